"""Numbers of any type as the format's, where that keeps them."""

from collections.abc import Mapping

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.origin import find_origin
from iqlearn_jax.data.suspect import lost_in_float32, warn


def cast(arrays: Mapping[str, np.ndarray], source: Source = "demos") -> dict[str, np.ndarray]:
    """Casts to the format's dtypes where that keeps the numbers; validation judges what cannot be cast.

    float64 becomes float32 (with a warning where neighbours in a column of observations or actions become
    equal), but vectors stay of which that would lose much (`data.origin`). Integers become int32 (uint8
    states stay), flags of 0 and 1 bool, states of bools float32. Integer actions [N, 1] become [N] and real
    ones [N] become [N, 1]. Rewards that are all NaN are left out: not known.

    Raises:
      InputError: integers beyond int32, or flags other than 0 and 1.
    """
    result: dict[str, np.ndarray] = {}
    wide = ("observations", "next_observations") if _needs_float64(arrays.get("observations")) else ()
    for field, array in arrays.items():
        if field in ("terminals", "truncations"):
            result[field] = flags(array, field, source)
        elif field in wide and array.dtype.kind == "f":
            result[field] = array.astype(np.float64, copy=False)
        elif field == "rewards" or array.dtype.kind == "f":
            result[field] = _floats(array, field, source)
        else:
            result[field] = _integers(array, field, source)
    if "actions" in result:
        result["actions"] = _action_axes(result["actions"])
    if "rewards" in result and result["rewards"].ndim == 2 and result["rewards"].shape[1] == 1:
        result["rewards"] = result["rewards"][:, 0]
    if "rewards" in result and _all_nan(result["rewards"]):
        del result["rewards"]
    return result


def _needs_float64(obs: np.ndarray | None) -> bool:
    if obs is None or obs.ndim != 2 or not len(obs) or obs.dtype != np.float64:
        return False
    if not (np.abs(obs) <= np.finfo(np.float32).max).all():  # validation refuses these
        return False
    return find_origin([obs]) is not None


def _floats(array: np.ndarray, field: str, source: Source) -> np.ndarray:
    if field in ("observations", "actions"):
        warn(source, lost_in_float32(array, field))
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite then, which validation refuses
        return array.astype(np.float32, copy=False) if array.dtype.kind in "biuf" else array


def _all_nan(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and bool(array.size and np.isnan(array).all())


def flags(array: np.ndarray, field: str, source: Source) -> np.ndarray:
    """Flags [N] of any numeric type as bool.

    Raises:
      InputError: a number other than 0 and 1.
    """
    if array.dtype.kind not in "biuf":
        return array
    bad = np.flatnonzero((array != 0) & (array != 1))
    if bad.size:
        index = np.unravel_index(bad[0], array.shape)
        place = f"{field}[{', '.join(map(str, index))}]"
        raise problem(source, place, "0 or 1", str(array[index]), "store flags as booleans")
    return array.astype(bool, copy=False)


def _integers(array: np.ndarray, field: str, source: Source) -> np.ndarray:
    if array.dtype.kind == "b":
        return array.astype(np.int32 if field == "actions" else np.float32)
    if array.dtype.kind not in "iu" or (array.dtype == np.uint8 and field != "actions"):
        return array
    if array.size and (array.max() > np.iinfo(np.int32).max or array.min() < np.iinfo(np.int32).min):
        actual = f"{array.min()}..{array.max()}"
        raise problem(source, field, "integers that fit int32", actual, "number states and actions from 0")
    return array.astype(np.int32, copy=False)


def _action_axes(actions: np.ndarray) -> np.ndarray:
    if actions.dtype.kind == "f" and actions.ndim == 1:
        return actions[:, None]
    if actions.dtype.kind == "i" and actions.ndim == 2 and actions.shape[1] == 1:
        return actions[:, 0]
    return actions
