"""From the arrays that a user has to those of the format: types, ends and successors."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from iqlearn_jax.data.cast import cast
from iqlearn_jax.data.checks import Source, check_dtype, check_last_step, problem

Arrays = dict[str, np.ndarray]


def complete(given: Mapping[str, Any], source: Source = "demos") -> tuple[Arrays, dict[str, Any]]:
    """Casts the fields and fills in what follows from them.

    Args:
      given: fields of the format, anything that NumPy takes for an array; None counts as left out.
      source: file name for messages.
    Returns:
      the arrays, and what was done to them for `metadata["conversion"]`, {} for nothing.
    Raises:
      InputError: no array, numbers that a cast would change, or episodes that cannot be told apart.
    """
    arrays = {name: _array(value, name, source) for name, value in given.items() if value is not None}
    arrays = _with_ends(cast(arrays, source), source)
    if "next_observations" in arrays or "observations" not in arrays:
        return arrays, {}
    return _with_successors(arrays, source)


def _array(value: Any, name: str, source: Source) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise problem(source, name, "an array", str(error)[:120], "give every step the same shape") from error


def _with_ends(arrays: Arrays, source: Source) -> Arrays:
    """The one kind of ends that was left out is all False; then the last step is an end."""
    present = [name for name in ("terminals", "truncations") if name in arrays]
    if not present:
        remedy = "mark true ends of the task in the first or cuts by time in the second, or both"
        raise problem(source, "terminals, truncations", "one of them", "neither", remedy)
    for name in present:
        check_dtype(arrays[name], name, source)
    if len(present) == 2:
        return arrays
    ends = arrays[present[0]]
    pair = {"terminals": np.zeros_like(ends), "truncations": np.zeros_like(ends)} | {present[0]: ends.copy()}
    pair["truncations"][-1:] |= ~pair["terminals"][-1:]
    return arrays | pair


def _with_successors(arrays: Arrays, source: Source) -> tuple[Arrays, dict[str, Any]]:
    for name, array in arrays.items():
        if array.ndim == 0 or len(array) != len(arrays["terminals"]):
            expected = f"{len(arrays['terminals'])} rows as in terminals"
            raise problem(source, name, expected, str(list(array.shape)), "every field has one row per step")
    if arrays["terminals"].size:
        check_last_step(arrays, source)
    shorter, notes = with_successors(arrays, "give next_observations", source)
    return shorter, {"format": "arrays"} | notes


def with_successors(arrays: Arrays, remedy: str, source: Source) -> tuple[Arrays, dict[str, Any]]:
    """The next step's observation inside episodes, where nobody recorded successors.

    The last step of an episode that is cut has none and is dropped; the one before is cut then. Behind a true
    end nothing is valued: that step stays, and its own observation stands for the successor. (Who learns the
    dynamics, `dsfn` and `max_entropy_dynamics`, sees a step that stays where it is.)

    Args:
      arrays: fields of the format but `next_observations`, the last step an end.
    Returns:
      the arrays, and notes for `metadata["conversion"]`.
    Raises:
      InputError: no step is left.
    """
    observations, terminals = arrays["observations"], arrays["terminals"]
    cut = arrays["truncations"] & ~terminals
    kept = np.flatnonzero(~cut)
    if not kept.size:
        expected = "an episode of two steps or more"
        raise problem(source, "observations, next_observations", expected, "none", remedy)
    ended = terminals[kept]
    following = kept + ~ended
    shorter = {name: array[kept] for name, array in arrays.items()}
    shorter["next_observations"] = observations[following]
    shorter["terminals"], shorter["truncations"] = ended, ~ended & cut[following]
    text = "the next step's observation; the last step of each episode that is cut was dropped"
    return shorter, {"next_observations": text, "dropped_steps": int(cut.sum())}
