"""Gymnasium spaces as an EnvSpec: what is kept, flattened or numbered, and what is refused."""

import math
from typing import Any, NamedTuple

import numpy as np

from iqlearn_jax.envs.spaces.images import check_order
from iqlearn_jax.envs.spaces.own import OwnSpaces, Part, size
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec

DEFAULT_MAX_STEPS = 27_000  # where nothing says more: Atari's 30 minutes, at 4 frames a step
FRAMES = 4  # of which an Atari observation consists
MOST_ENTRIES = 100_000  # of a flat observation
MOST_ACTIONS = 4096  # combinations of a space of several integers
KINDS = ("Box", "Discrete", "MultiDiscrete", "MultiBinary", "Dict", "Tuple")


class Actions(NamedTuple):
    """The fields of an EnvSpec that describe actions, and that of `OwnSpaces` where they are not its own."""

    num_actions: int | None
    low: np.ndarray | None
    high: np.ndarray | None
    own: Part | None


def spec_from_spaces(
    observation_space: Any, action_space: Any, id: str = "none", max_episode_steps: int = DEFAULT_MAX_STEPS
) -> EnvSpec:
    """Static facts of an environment from gymnasium spaces; float64 observations are kept as float32.

    Vectors and images are kept. Dict, Tuple, Discrete, MultiDiscrete, MultiBinary and tables of numbers are
    flattened (`OwnSpaces` has the order). Discrete actions count from 0, MultiDiscrete and MultiBinary ones
    are numbered, one number for each combination; continuous ones are vectors in a finite box.

    Args:
      observation_space: of the kinds above.
      action_space: Discrete, MultiDiscrete, MultiBinary, or a Box.
      id: name of the environment.
      max_episode_steps: time limit, in steps.
    Raises:
      InputError: other spaces; names them, what was expected and the remedy.
    """
    shape, dtype, own_obs = _observations(id, observation_space)
    actions = _actions(id, action_space)
    own = OwnSpaces(own_obs, actions.own)
    return EnvSpec(
        id=id,
        obs_shape=shape,
        obs_dtype=dtype,
        num_actions=actions.num_actions,
        action_low=actions.low,
        action_high=actions.high,
        max_episode_steps=max_episode_steps,
        frame_stack=FRAMES if is_atari(id) else 1,
        spaces=own if any(own) else None,
    )


def is_atari(env_id: str) -> bool:
    """Whether an id names an Atari game, which gets the standard preprocessing."""
    return env_id.startswith("ALE/") or "NoFrameskip" in env_id


def _observations(env_id: str, space: Any) -> tuple[tuple[int, ...], np.dtype, Part | None]:
    """Shape, dtype, and what is flattened, None for nothing."""
    if _kind(space) == "Box":
        check_order(env_id, space.shape, space.dtype)
        if len(space.shape) in (1, 3):
            return space.shape, np.dtype(np.float32) if space.dtype == np.float64 else space.dtype, None
    part = _part(env_id, space)
    if size(part) > MOST_ENTRIES:
        raise InputError(
            f"environment '{env_id}': observation space {space} has {size(part)} entries as a vector; "
            f"expected {MOST_ENTRIES} at most: show less of it by a wrapper (--config.env.wrappers)"
        )
    return (size(part),), np.dtype(np.float32), part


def _kind(space: Any) -> str:
    """The name of gymnasium's class that a space is of, "" for others."""
    return next((base.__name__ for base in type(space).__mro__ if base.__name__ in KINDS), "")


def _part(env_id: str, space: Any) -> Part:
    kind = _kind(space)
    if kind in ("Box", "MultiBinary"):
        return {"shape": list(space.shape)}
    if kind in ("Discrete", "MultiDiscrete"):
        return _integers(space)
    if kind == "Dict":
        return {"parts": [[key, _part(env_id, inner)] for key, inner in space.spaces.items()]}
    if kind == "Tuple":
        return {"parts": [[number, _part(env_id, inner)] for number, inner in enumerate(space.spaces)]}
    raise InputError(
        f"environment '{env_id}': observation space {space} has no fixed length; expected {', '.join(KINDS)} "
        "(a wrapper can make one of it: --config.env.wrappers)"
    )


def _integers(space: Any) -> Part:
    """Discrete, MultiDiscrete, MultiBinary or a Box of integers."""
    kind = _kind(space)
    if kind == "Box":
        sizes, starts = space.high.astype(object) - space.low + 1, space.low
    elif kind == "MultiBinary":
        sizes, starts = np.full(space.shape, 2), np.zeros(space.shape)
    else:
        sizes, starts = (space.n, space.start) if kind == "Discrete" else (space.nvec, space.start)
    return {
        "shape": list(space.shape),
        "sizes": [int(n) for n in np.ravel(sizes)],
        "starts": [int(n) for n in np.ravel(starts)],
    }


def _actions(env_id: str, space: Any) -> Actions:
    kind = _kind(space)
    if kind == "Discrete" and space.start == 0:
        return Actions(int(space.n), None, None, None)
    if kind in ("Discrete", "MultiDiscrete", "MultiBinary") or (kind == "Box" and space.dtype.kind in "iu"):
        return _numbered(env_id, space)
    if kind == "Box":
        return _box(env_id, space)
    raise InputError(
        f"environment '{env_id}': action space {space}; expected Discrete, MultiDiscrete, MultiBinary or a "
        "Box: make one of them of it by a wrapper, e.g. gymnasium.wrappers.TransformAction"
    )


def _numbered(env_id: str, space: Any) -> Actions:
    part = _integers(space)
    count = math.prod(part["sizes"])
    if len(part["sizes"]) > 1 and count > MOST_ACTIONS:
        raise InputError(
            f"environment '{env_id}': action space {space} has {count} combinations; each is an action of "
            f"its own here, expected {MOST_ACTIONS} at most: leave out some, or act by a Box, in a wrapper "
            "(gymnasium.wrappers.TransformAction)"
        )
    return Actions(count, None, None, part)


def _box(env_id: str, space: Any) -> Actions:
    low, high = inwards(space.low, space.high)
    with np.errstate(over="ignore", invalid="ignore"):
        usable = np.isfinite(high - low) & (low < high)
    if not usable.all():
        index = np.unravel_index(np.argmin(usable), usable.shape)
        entry = f"entry {[int(i) for i in index]}" if index else "it"
        raise InputError(
            f"environment '{env_id}': action space {space}: {entry} is {low[index]} to {high[index]}; "
            "expected a finite box, into which the policy squashes its actions: give it the range that is "
            "used, in a wrapper (gymnasium.wrappers.TransformAction with an action_space of its own)"
        )
    part = None if low.ndim == 1 else {"shape": list(space.shape)}
    return Actions(None, low.ravel(), high.ravel(), part)


def inwards(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds as float32 that do not leave those of float64: float32(0.1) is above 0.1."""
    inf = np.float32(np.inf)
    with np.errstate(over="ignore"):
        below, above = np.asarray(low, np.float32), np.asarray(high, np.float32)
    return (
        np.where(below < low, np.nextafter(below, inf), below).astype(np.float32),
        np.where(above > high, np.nextafter(above, -inf), above).astype(np.float32),
    )
