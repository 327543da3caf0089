"""Dictionaries of arrays, and lists with one for each episode: from pickles, npy files, or memory."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.convert.columns import NUMBERS, Column, Recording, is_column, join_episodes
from iqlearn_jax.data.convert.names import FLAGS, USUAL
from iqlearn_jax.data.convert.safe_pickle import plain

REMEDY = "known: a dict of arrays [N, ...], or a list with a dict of arrays [T, ...] for each episode"


def from_dict(record: Mapping[Any, Any], source: Source, kind: str = "arrays") -> Recording:
    """Arrays by name, all steps one after the other; a dict inside gives names with "/"."""
    columns, unread = _columns(record)
    return Recording(kind, columns, unread=unread)


def from_episodes(record: Sequence[Any], source: Source, kind: str = "arrays") -> Recording:
    """A dict of arrays for each episode, as CS285, rlkit and the Decision Transformer pickle them.

    Raises:
      InputError: no episodes, or something else in the list.
    """
    episodes: list[Mapping[str, Column]] = []
    unread: dict[str, str] = {}
    for i, episode in enumerate(map(plain, record)):
        if not isinstance(episode, Mapping):
            raise problem(source, f"episode {i}", "a dict", type(episode).__name__, REMEDY)
        columns, other = _columns(episode)
        unread |= other
        episodes.append(columns | _flags_of_the_whole(episode, columns))
    if not episodes:
        raise problem(source, "episodes", "at least one", "zero episodes", "record at least one episode")
    joined, unequal = join_episodes(episodes)
    return Recording(kind, joined, unread=unread | unequal)


def _columns(record: Mapping[Any, Any]) -> tuple[dict[str, Column], dict[str, str]]:
    columns: dict[str, Column] = {}
    unread: dict[str, str] = {}
    for name, value in _leaves(record):
        array = _numbers(value)
        if array is not None:
            columns[name] = array
        elif value is not None:  # None is left out, as for `Demos`
            unread[name] = f"{type(value).__name__}, which is no array of numbers"
    return columns, unread


def _flags_of_the_whole(episode: Mapping[Any, Any], columns: Mapping[str, Column]) -> dict[str, Column]:
    """Flags of an episode's last step from one flag for the episode (imitation's `terminal`)."""
    rows = (
        columns[name].shape[0] for field in ("actions", "rewards") for name in USUAL[field] if name in columns
    )
    steps, found = next(rows, 0), {}
    for name in (name for field in FLAGS for name in USUAL[field]):
        if isinstance(episode.get(name), bool | np.bool_) and steps:
            found[name] = np.arange(steps) == (steps - 1 if episode[name] else steps)
    return dict(found)


def _leaves(record: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        name, value = f"{prefix}{key}", plain(value)
        if isinstance(value, Mapping) and depth < 4:
            yield from _leaves(value, f"{name}/", depth + 1)
        else:
            yield name, value


def _numbers(value: Any) -> np.ndarray | None:
    """An array with an axis of rows; lists of numbers, and of arrays alike, become one."""
    if isinstance(value, list | tuple):
        steps = [plain(step) for step in value]
        # no nested lists: through shared references a pickle's could stand for any number of entries
        if not steps or any(isinstance(step, list | tuple | Mapping | str | bytes) for step in steps):
            return None
        if any(np.shape(step) != np.shape(steps[0]) for step in steps):
            return None
        value = np.asarray(steps)
    elif hasattr(value, "__array__") and not isinstance(value, np.ndarray):
        value = np.asarray(value)  # in memory: of another library
    good = isinstance(value, np.ndarray) and is_column(value) and value.dtype.kind in NUMBERS
    return value if good else None
