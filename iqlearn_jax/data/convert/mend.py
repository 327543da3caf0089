"""What a conversion changes when asked to: ends that the clock made, steps without a successor, actions."""

from typing import Any, NamedTuple

import numpy as np

from iqlearn_jax.data.checks import Source, at, out_of_range, problem
from iqlearn_jax.types import EnvSpec

Arrays = dict[str, np.ndarray]
Mended = tuple[Arrays, dict[str, Any]]  # arrays, and what was done to them


class Mends(NamedTuple):
    """What `convert` was asked to change; see there."""

    clip_actions: bool = False
    rescale_actions: bool = False
    max_episode_steps: int | None = None
    timeouts_win: bool = False
    drop_last: bool = False


def mend(arrays: Arrays, mends: Mends, spec: EnvSpec | None, path: Source) -> Mended:
    """Valid arrays of the format with what was asked for changed, and a record of it with counts.

    Raises:
      InputError: no episode of two steps to drop the last of, no bounds, or actions that were not within ±1.
    """
    if mends.clip_actions and mends.rescale_actions:
        actual, remedy = "clip_actions, too", "rescaled actions lie within the bounds: leave one out"
        raise problem(path, "rescale_actions", "one change of actions", actual, remedy)
    record: dict[str, Any] = {}
    if mends.timeouts_win:
        arrays = _timeouts_win(arrays, record)
    if mends.max_episode_steps is not None:
        arrays = _at_limit(arrays, mends.max_episode_steps, record)
    if mends.drop_last:
        arrays = _drop_last(arrays, record, path)
    for wanted, change in ((mends.clip_actions, _clip), (mends.rescale_actions, _rescale)):
        if wanted and "actions" in arrays:
            arrays = arrays | {"actions": change(arrays["actions"], spec, record, path)}
    return arrays, record


def _timeouts_win(arrays: Arrays, record: dict[str, Any]) -> Arrays:
    both = arrays["terminals"] & arrays["truncations"]
    record["timeouts_taken_as_truncations"] = int(both.sum())
    return arrays | {"terminals": arrays["terminals"] & ~both}


def _at_limit(arrays: Arrays, limit: int, record: dict[str, Any]) -> Arrays:
    last = np.flatnonzero(arrays["terminals"] | arrays["truncations"])
    cut = last[arrays["terminals"][last] & (np.diff(last, prepend=-1) == limit)]
    terminals, truncations = arrays["terminals"].copy(), arrays["truncations"].copy()
    terminals[cut], truncations[cut] = False, True
    record |= {"max_episode_steps": limit, "dones_taken_as_truncations": len(cut)}
    return arrays | {"terminals": terminals, "truncations": truncations}


def _drop_last(arrays: Arrays, record: dict[str, Any], path: Source) -> Arrays:
    """Without the last step of each truncated episode; the one before, whose successor is known, ends it."""
    dropped = arrays["truncations"] & ~arrays["terminals"]
    if dropped.all():
        remedy = "give next_observations"
        raise problem(path, "drop_last", "an episode of two steps or more", "none", remedy)
    truncations = arrays["truncations"].copy()
    truncations[:-1] |= dropped[1:] & ~arrays["terminals"][:-1]
    record["dropped_last_steps"] = int(dropped.sum())
    return {name: array[~dropped] for name, array in (arrays | {"truncations": truncations}).items()}


def _bounds(actions: np.ndarray, spec: EnvSpec | None, option: str, path: Source) -> Any:
    """The bounds [A] twice, float32; None where actions are not this environment's: validation says so."""
    if spec is None:
        raise problem(path, option, "bounds of actions", "no environment", "name it with --env ID")
    if actions.dtype.kind != "f" or spec.action_low is None or actions.shape[1:] != np.shape(spec.action_low):
        return None
    return np.asarray(spec.action_low, np.float32), np.asarray(spec.action_high, np.float32)


def _clip(actions: np.ndarray, spec: EnvSpec | None, record: dict[str, Any], path: Source) -> np.ndarray:
    bounds = _bounds(actions, spec, "clip_actions", path)
    if bounds is None:
        return actions
    outside = out_of_range(actions, *bounds)
    record |= {
        "clipped_entries": int(outside.sum()),
        "action_entries": int(actions.size),
        "largest_magnitude": float(np.abs(actions[outside]).max(initial=0.0)),
    }
    return np.clip(actions, *bounds)


def _rescale(actions: np.ndarray, spec: EnvSpec | None, record: dict[str, Any], path: Source) -> np.ndarray:
    bounds = _bounds(actions, spec, "rescale_actions", path)
    if bounds is None:
        return actions
    low, high = bounds
    if not np.isfinite([low, high]).all():
        raise problem(path, "rescale_actions", "finite bounds", "infinite ones", "give the box bounds")
    bad = np.argwhere(out_of_range(actions, -np.ones_like(low), np.ones_like(high)))
    if len(bad):
        actual = f"{actions[tuple(bad[0])]:.4g} ({len(bad)} of {actions.size} entries outside)"
        remedy = "leave --rescale-actions out: they are not normalised"
        raise problem(path, at("actions", tuple(bad[0])), "-1..1", actual, remedy)
    record["rescaled_actions"] = {"from": [-1, 1], "to": [low.tolist(), high.tolist()]}
    return np.clip(low + (high - low) * (0.5 * actions + 0.5), low, high)
