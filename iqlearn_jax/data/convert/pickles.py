"""Pickles, and npy files that hold one: the IQ-Learn authors' lists by field, dicts, lists of dicts."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.convert.columns import Recording, read_header, reading
from iqlearn_jax.data.convert.dicts import from_dict, from_episodes
from iqlearn_jax.data.convert.safe_pickle import plain, read_bytes, unpickle
from iqlearn_jax.errors import InputError

KEYS = ("states", "next_states", "actions", "rewards", "dones")
AMPLIFICATION = 64  # bytes in memory per byte of file; shared states need 2
STEP_BYTES = 64  # of a step as an array of its own, beside its entries
_NUMBER = bool | int | float | np.generic


def read_pickle(path: Source) -> Recording:
    """Reads a pickle: the authors' layout, a dict of arrays, or a list with such a dict for each episode.

    The authors' is a dict of `states, next_states, actions, rewards, dones[, lengths]`. Each is a list with
    one entry per episode, an array or a list of steps. The last step of an episode ends it: as a terminal
    where its done is true, else as a truncation.

    Args:
      path: the pickle, of any protocol (from Python 2: protocol 2).
    Raises:
      InputError: anything but arrays, numbers, strings and containers inside, damage, or another layout.
    """
    data = read_bytes(path)
    return _recording(data, len(data), path)


def read_npy(path: Source) -> Recording:
    """Reads an npy file that holds a pickled dict or list of dicts, as `read_pickle` does.

    Raises:
      InputError: as there, or an npy file of a plain array, which says nothing of its columns.
    """
    data = read_bytes(path)
    file = io.BytesIO(data)
    with reading(path, "npy file"):
        shape, _, dtype = read_header(file)
    if not dtype.hasobject:
        actual, remedy = f"one array, {dtype} {list(shape)}", "put the arrays of all fields into one npz"
        raise problem(path, "file", "several arrays by name", actual, remedy)
    return _recording(data[file.tell() :], len(data), path)


def _recording(data: bytes, size: int, path: Source) -> Recording:
    try:
        record = plain(unpickle(data, path))
        if isinstance(record, list | tuple):
            _check_weight(_all_leaves(record), size, path)
            return from_episodes(record, path, "pickle, a dict for each episode")
        if isinstance(record, Mapping) and _is_flat(record):
            _check_weight(_all_leaves(record), size, path)
            return from_dict(record, path, "pickle, a dict of arrays")
        return _authors(record, size, path)
    except InputError:
        raise
    except Exception as error:  # foreign bytes can make the unpickler and NumPy raise anything
        reason = f"{type(error).__name__}: {error}"[:160]
        expected = "a whole pickle of arrays, numbers, strings and containers"
        raise problem(
            path, "pickle", expected, f"damaged or foreign data ({reason})", "export it as npz"
        ) from error


def _is_flat(record: Mapping) -> bool:
    """Whether rewards or ends are one array of all steps, not one list for each episode."""
    flat = (plain(record.get(key)) for key in ("rewards", "dones", "terminals", "timeouts"))
    return "states" not in record or any(isinstance(array, np.ndarray) and array.ndim == 1 for array in flat)


def _authors(record: Any, size: int, path: Source) -> Recording:
    _check_layout(record, path)
    _check_weight(_leaves(record), size, path)
    episodes = [_episode(record, i, path) for i in range(len(plain(record["states"])))]
    arrays = {key: np.concatenate([episode[key] for episode in episodes]) for key in KEYS}
    lengths = np.array([len(episode["dones"]) for episode in episodes])
    return Recording("pickle", dict(_with_ends(arrays, lengths)))


def _check_layout(record: Any, path: Source) -> None:
    remedy = f"the authors' layout is a dict of the lists {', '.join(KEYS)}, one entry per episode"
    if not isinstance(record, Mapping):
        raise problem(path, "pickle", "a dict", type(record).__name__, remedy)
    for key in KEYS:
        if key not in record:
            raise problem(
                path, key, "this key", f"a dict with {', '.join(map(str, record)) or 'no keys'}", remedy
            )
        if not isinstance(plain(record[key]), list | tuple | np.ndarray):
            raise problem(path, key, "a list of episodes", type(record[key]).__name__, remedy)
    counts = {key: len(plain(record[key])) for key in (*KEYS, "lengths") if key in record}
    for key, count in counts.items():
        if count != counts["states"]:
            raise problem(path, key, f"{counts['states']} episodes as in states", str(count), remedy)
    if not counts["states"]:
        raise problem(path, "states", "at least one episode", "zero episodes", "record at least one episode")


def _check_weight(leaves: Iterator[Any], size: int, path: Source) -> None:
    """References are short, so a small file can name one large array a million times."""
    limit = AMPLIFICATION * size + 2**20
    weight = 0
    for leaf in leaves:
        entries = 8 * len(leaf) if isinstance(leaf, list | tuple) else getattr(leaf, "nbytes", 0)
        weight += STEP_BYTES + entries
        if weight > limit:
            actual = f"more than {AMPLIFICATION} times the file"
            raise problem(path, "pickle", f"at most {limit} bytes of data", actual, "do not trust this file")


def _all_leaves(record: Any, depth: int = 0) -> Iterator[Any]:
    """Everything inside, what is referred to twice twice; containers as well."""
    record = plain(record)
    yield record
    if isinstance(record, Mapping | list | tuple) and depth < 8:
        for part in record.values() if isinstance(record, Mapping) else record:
            yield from _all_leaves(part, depth + 1)


def _leaves(record: Mapping) -> Iterator[Any]:
    for key in KEYS:
        for episode in plain(record[key]):
            steps = plain(episode)
            yield from map(plain, steps) if isinstance(steps, list | tuple) else (steps,)


def _episode(record: Mapping, index: int, path: Source) -> dict[str, np.ndarray]:
    """{key: [T, ...]} of one episode, its lengths checked."""
    episode = {key: _steps(plain(record[key])[index], f"{key}[{index}]", path) for key in KEYS}
    lengths = {key: len(steps) for key, steps in episode.items()}
    if "lengths" in record:
        lengths["lengths"] = int(plain(plain(record["lengths"])[index]))
    for key, length in lengths.items():
        if length != lengths["states"] or not length:
            expected = f"{lengths['states'] or 'at least one'} steps as in states"
            raise problem(
                path, f"{key}[{index}]", expected, str(length), "drop the episode or record it again"
            )
    episode["dones"] = episode["dones"].reshape(lengths["states"])  # [T, 1] in some files
    early = np.flatnonzero(episode["dones"][:-1])
    if early.size:
        remedy = "one entry per episode: split the list there"
        raise problem(path, f"dones[{index}][{early[0]}]", "no end inside an episode", "done = True", remedy)
    return episode


def _steps(value: Any, place: str, path: Source) -> np.ndarray:
    """[T, ...] numbers of one field of one episode."""
    value = plain(value)
    if isinstance(value, np.ndarray) and value.ndim:
        return value
    if not isinstance(value, list | tuple):
        raise problem(path, place, "an array or a list of steps", type(value).__name__, "export it as npz")
    steps = [_step(step, f"{place}[{i}]", path) for i, step in enumerate(value)]
    bad = next((i for i, step in enumerate(steps) if step.shape != steps[0].shape), None)
    if bad is not None:
        expected = f"shape {steps[0].shape} as before"
        raise problem(path, f"{place}[{bad}]", expected, f"shape {steps[bad].shape}", "export it as npz")
    return np.stack(steps) if steps else np.zeros(0)


def _step(value: Any, place: str, path: Source) -> np.ndarray:
    value = plain(value)
    # a nested list is refused: through shared references it could stand for any number of entries
    flat = isinstance(value, list | tuple) and all(isinstance(entry, _NUMBER) for entry in value)
    if not (flat or isinstance(value, np.ndarray | _NUMBER)):
        raise problem(
            path, place, "a number, an array or a list of numbers", type(value).__name__, "export it as npz"
        )
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise problem(path, place, "numbers", f"dtype {array.dtype}", "export it as npz")
    return array


def _with_ends(arrays: dict[str, np.ndarray], lengths: np.ndarray) -> dict[str, np.ndarray]:
    last = np.cumsum(lengths) - 1
    done = arrays["dones"].reshape(-1)[last].astype(bool)
    terminals = np.zeros(last[-1] + 1, bool)
    truncations = terminals.copy()
    terminals[last] = done
    truncations[last] = ~done
    return {
        "observations": arrays["states"],
        "actions": arrays["actions"],
        "rewards": arrays["rewards"].reshape(-1),
        "next_observations": arrays["next_states"],
        "terminals": terminals,
        "truncations": truncations,
    }
