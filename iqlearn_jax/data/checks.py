"""What must hold of demonstrations before anything learns from them; every failure is one line."""

import os
from collections.abc import Iterable, Mapping

import numpy as np

from iqlearn_jax.data.suspect import box_text, spans_unit
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec, order_fault

FIELDS = ("observations", "actions", "rewards", "next_observations", "terminals", "truncations")
STATE_DTYPES = ("float32", "float64", "uint8", "int32")
JUMP_TOLERANCE = 1e-5  # relative to 1 + |observation|: float32 rounding, far below one physical step
BOUND_TOLERANCE = 1e-6  # bounds themselves are rounded to float32
CHUNK_ENTRIES = 1 << 22  # keeps the float64 scratch of image comparisons near 100 MB

CONVERT_REMEDY = "'iqlearn demos convert' reads other layouts; docs/formats.md lists the six keys"
ORDER_REMEDY = {
    2: "add an axis (observations[..., None])",
    3: "transpose them (np.moveaxis(observations, 1, -1))",
    4: "make the frames channels of one image",
}

Source = str | os.PathLike
Arrays = Mapping[str, np.ndarray]


def problem(source: Source, place: str, expected: str, actual: str, remedy: str) -> InputError:
    """The one-line error of this layer: file, field[index], expected, found, remedy."""
    text = f"{os.fspath(source)}: {place}: expected {expected}, found {actual}; {remedy}"
    return InputError(" ".join(text.split()))


def check_arrays(
    arrays: Arrays, spec: EnvSpec | None = None, source: Source = "demos", observation_only: bool = False
) -> None:
    """Checks the arrays of the format, and against an environment where `spec` is given.

    Args:
      arrays: the fields, `rewards` or not; see docs/formats.md for shapes and dtypes.
      spec: environment to compare with, or None.
      source: file name for messages.
      observation_only: the actions may be absent and are not looked at.
    Raises:
      InputError: one line that names file, field, index, expected, found and remedy.
    """
    left_out = {"actions"} if observation_only else set()
    left_out |= {"rewards"} if arrays.get("rewards") is None else set()
    fields = tuple(f for f in FIELDS if f not in left_out)
    check_keys(arrays, fields, source)
    _check_shapes(arrays, fields, source)
    _check_order(arrays["observations"], source)
    for field in fields:
        _check_finite(arrays[field], field, source)
    check_last_step(arrays, source)
    _check_continuity(arrays, source)
    if spec is not None:
        arrays = in_terms_of(spec, arrays, source)
        _check_state_spec(arrays, spec, source)
    if not observation_only:
        check_actions(arrays["actions"], spec, source)


def in_terms_of(spec: EnvSpec, arrays: Arrays, source: Source) -> Arrays:
    """The fields with the observations and actions of `spec`, where the environment's own are others.

    Raises:
      InputError: they are neither.
    """
    return arrays if spec.spaces is None else spec.spaces.flat_fields(arrays, os.fspath(source))


def check_keys(
    arrays: Arrays,
    fields: Iterable[str],
    source: Source,
    found: Iterable[str] | None = None,
    remedy: str = CONVERT_REMEDY,
) -> None:
    """Refuses arrays of which some are missing.

    Args:
      fields: those that must be there.
      found: the keys that the message lists; None for those of `arrays`.
    Raises:
      InputError: names the missing ones and what was found instead.
    """
    missing = [f for f in fields if arrays.get(f) is None]
    if missing:
        present = [f for f, array in arrays.items() if array is not None] if found is None else list(found)
        actual = f"only {', '.join(present)}" if present else "no arrays"
        expected = "this key" if len(missing) == 1 else "these keys"
        raise problem(source, ", ".join(missing), expected, actual, remedy)


def _check_shapes(arrays: Arrays, fields: tuple[str, ...], source: Source) -> None:
    obs = arrays["observations"]
    if obs.ndim == 0:
        raise problem(source, "observations", "shape [N, *obs]", "a scalar", "store one row per step")
    for field in fields:
        check_dtype(arrays[field], field, source)
    if len(obs) == 0:
        raise problem(
            source, "observations[0]", "at least one episode", "zero episodes", "record at least one episode"
        )
    empty = [f for f in ("observations", "actions") if f in fields and 0 in arrays[f].shape[1:]]
    if empty:
        actual = f"shape {list(arrays[empty[0]].shape)}"
        raise problem(
            source, empty[0], "at least one number in each step", actual, "store what was seen and done"
        )
    expected = {f: (len(obs),) for f in fields} | {"observations": obs.shape, "next_observations": obs.shape}
    for field in fields:
        _check_shape(arrays[field], field, expected[field], source)
    if arrays["next_observations"].dtype != obs.dtype:
        actual = str(arrays["next_observations"].dtype)
        raise problem(
            source, "next_observations", f"dtype {obs.dtype} as observations", actual, "store both alike"
        )


def check_dtype(array: np.ndarray, field: str, source: Source) -> None:
    """Refuses a dtype that the format does not have for this field."""
    allowed = {
        "observations": STATE_DTYPES,
        "next_observations": STATE_DTYPES,
        "actions": ("int32", "float32"),
        "rewards": ("float32",),
    }.get(field, ("bool",))
    if array.dtype.name not in allowed or not array.dtype.isnative:
        casts = f"cast it (array.astype('{allowed[0]}')) or run 'iqlearn demos convert', which does"
        remedy = casts if array.dtype.kind in "biuf" else "store numbers"
        raise problem(source, field, "dtype " + " or ".join(allowed), str(array.dtype), remedy)


def _check_shape(array: np.ndarray, field: str, expected: tuple[int, ...], source: Source) -> None:
    if field == "actions" and (array.dtype == np.float32 or array.ndim == 2):
        if array.ndim != 2 or len(array) != expected[0]:
            raise problem(
                source, field, f"shape [{expected[0]}, A]", str(list(array.shape)), "one row per step"
            )
    elif array.shape != expected:
        remedy = "every field has one row per step, in the same order"
        raise problem(source, field, f"shape {list(expected)}", str(list(array.shape)), remedy)


def _check_order(obs: np.ndarray, source: Source) -> None:
    fault = order_fault(obs.shape[1:], obs.dtype)
    if fault is not None:
        place = f"{os.fspath(source)}: observations [N, {', '.join(map(str, obs.shape[1:]))}]"
        raise InputError(
            f"{place}: {fault}; {ORDER_REMEDY[obs.ndim - 1]}, in the environment too (config.env.wrappers, "
            "e.g. iqlearn_jax.envs.spaces:channels_last), or flatten them"
        )


def _check_finite(array: np.ndarray, field: str, source: Source) -> None:
    if array.dtype.kind != "f":
        return
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        index = np.unravel_index(bad[0], array.shape)
        actual = f"{array[index]} ({bad.size} such entries)"
        remedy = "drop these episodes or record them again"
        if field == "rewards" and bad.size == array.size:
            remedy = "leave rewards out where they are not known, as 'iqlearn demos convert' does"
        raise problem(source, at(field, index), "a finite number", actual, remedy)


def check_last_step(arrays: Arrays, source: Source) -> None:
    """Refuses a last step that ends no episode."""
    last = len(arrays["terminals"]) - 1
    if not (arrays["terminals"][last] or arrays["truncations"][last]):
        remedy = "set truncations[-1] = True if the recording was cut there"
        raise problem(
            source, f"truncations[{last}]", "the last step to end its episode", "an open episode", remedy
        )


def _check_continuity(arrays: Arrays, source: Source) -> None:
    obs, following = arrays["observations"], arrays["next_observations"]
    inside = ~(arrays["terminals"] | arrays["truncations"])[:-1]
    chunk = max(1, CHUNK_ENTRIES // max(1, obs[0].size))
    for start in range(0, len(inside), chunk):
        stop = min(start + chunk, len(inside))
        target = obs[start + 1 : stop + 1].reshape(stop - start, -1).astype(np.float64)
        jump = np.abs(following[start:stop].reshape(stop - start, -1) - target)
        bad = (jump > JUMP_TOLERANCE * (1 + np.abs(target))).any(-1) & inside[start:stop]
        if bad.any():
            first = int(np.argmax(bad))
            raise _jump_error(start + first, float(jump[first].max()), inside, source)


def _jump_error(index: int, size: float, inside: np.ndarray, source: Source) -> InputError:
    episode = int(np.count_nonzero(~inside[:index]))
    expected = f"observations[{index + 1}], as step {index} does not end episode {episode}"
    remedy = "mark the step in terminals or truncations if the episode ends there, else keep steps in order"
    return problem(source, f"next_observations[{index}]", expected, f"a jump of {size:.4g}", remedy)


def _check_states(states: np.ndarray, field: str, count: int, spec: EnvSpec, source: Source) -> None:
    """Refuses states that a table has no row for; a compiled program would take another row in silence."""
    bad = np.flatnonzero((states < 0) | (states >= count))
    if bad.size:
        actual = f"{states[bad[0]]} ({bad.size} such entries)"
        remedy = "number the states as the environment does"
        raise problem(source, f"{field}[{bad[0]}]", f"0..{count - 1} of {spec.id}", actual, remedy)


def _check_state_spec(arrays: Arrays, spec: EnvSpec, source: Source) -> None:
    if spec.obs_fault is not None:  # as training says
        raise InputError(spec.obs_fault)
    obs = arrays["observations"]
    remedy = "these demonstrations are not of this environment (or of another version or wrapper of it)"
    if obs.shape[1:] != tuple(spec.obs_shape):
        expected = f"shape [N, {', '.join(map(str, spec.obs_shape))}] of {spec.id}"
        if spec.spaces is not None and spec.spaces.order:
            expected += f" (flattened: {spec.spaces.order})"
        if obs.ndim == 4 and (*obs.shape[2:], obs.shape[1]) == tuple(spec.obs_shape):
            remedy = "these look like [C, H, W]: store np.moveaxis(observations, 1, -1), successors likewise"
        raise problem(source, "observations", expected, str(list(obs.shape)), remedy)
    dtype = np.dtype(spec.obs_dtype)
    if dtype.kind != "b" and (obs.dtype.kind == "f") != (dtype.kind == "f"):
        raise problem(source, "observations", f"dtype {dtype} of {spec.id}", str(obs.dtype), remedy)
    if spec.mdp is not None and obs.ndim == 1:
        for field in ("observations", "next_observations"):
            _check_states(arrays[field], field, len(spec.mdp.initial), spec, source)
    if spec.frame_stack > 1:
        from iqlearn_jax.data.stacks import (
            check_stacks,  # here, as it says what it refuses in words of this module
        )

        check_stacks(arrays, spec.frame_stack, source)


def check_actions(actions: np.ndarray, spec: EnvSpec | None, source: Source) -> None:
    """Refuses actions that the environment would not take, or would clip in silence.

    Args:
      actions: [N] int32 or [N, A] float32, in the environment's own units.
      spec: environment to compare with; without one, nothing is refused.
      source: file name for messages.
    Raises:
      InputError: one line with the first offending index and the remedy.
    """
    if actions.dtype.kind != "f":
        _check_discrete(actions, spec, source)
    elif spec is not None:
        _check_continuous(actions, spec, source)


def _check_discrete(actions: np.ndarray, spec: EnvSpec | None, source: Source) -> None:
    if spec is None:  # some environments count from below 0
        return
    if not spec.discrete:
        actual = f"discrete {actions.dtype} actions"
        raise problem(
            source, "actions", f"continuous actions of {spec.id}", actual, "choose the right environment"
        )
    if actions.ndim > 1:
        expected, actual = f"one action of {spec.id} in each row", f"shape {list(actions.shape)}"
        raise problem(source, "actions", expected, actual, "number the actions as the environment does")
    bad = np.flatnonzero((actions < 0) | (actions >= spec.num_actions))
    if bad.size:
        expected = f"0..{spec.num_actions - 1} of {spec.id}"
        remedy = "number the actions as the environment does"
        raise problem(
            source, f"actions[{bad[0]}]", expected, f"{actions[bad[0]]} ({bad.size} such entries)", remedy
        )


def _check_continuous(actions: np.ndarray, spec: EnvSpec, source: Source) -> None:
    if spec.discrete:
        expected = f"{spec.num_actions} discrete actions of {spec.id}"
        raise problem(source, "actions", expected, f"{actions.dtype} actions", "choose the right environment")
    if spec.action_low is None or spec.action_high is None:
        return
    low, high = np.asarray(spec.action_low), np.asarray(spec.action_high)
    if actions.shape[1:] != low.shape:
        actual = str(list(actions.shape))
        expected = f"shape [N, {', '.join(map(str, low.shape))}] of {spec.id}"
        raise problem(source, "actions", expected, actual, "choose the right environment")
    bad = np.argwhere(out_of_range(actions, low, high))
    if len(bad):
        index = tuple(bad[0])
        expected = f"{low[index[1]]:.4g}..{high[index[1]]:.4g} of {spec.id}"
        actual = f"{actions[index]:.4g} ({len(bad)} of {actions.size} entries outside)"
        raise problem(source, at("actions", index), expected, actual, _range_remedy(actions, spec))


def _range_remedy(actions: np.ndarray, spec: EnvSpec) -> str:
    """What to do about actions beyond the bounds; clipping would cut those that are normalised to ±1."""
    command = f"'iqlearn demos convert --env {spec.id}"
    if spans_unit(actions, spec):
        return f"they span -1..1 exactly, as normalised ones do: {command} --rescale-actions' undoes it"
    if np.abs(actions).max() <= 1:
        return (
            f"{command} --rescale-actions' brings actions that were normalised to -1..1 to {box_text(spec)}, "
            "--clip-actions does what an environment does that clips"
        )
    return f"check the units, or let {command} --clip-actions' clip and record it"


def out_of_range(actions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[N, A] bool: entries beyond the bounds by more than their own rounding."""
    # relative to the actions, as relative to a bound it would be NaN for the infinite bounds of some spaces
    slack = BOUND_TOLERANCE * (1 + np.abs(actions))
    return (actions < low - slack) | (actions > high + slack)


def at(field: str, index: tuple) -> str:
    """`field[i, j]` for messages."""
    return f"{field}[{', '.join(str(int(i)) for i in index)}]"
