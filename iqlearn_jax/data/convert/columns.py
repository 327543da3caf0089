"""What a foreign file holds, before anything large of it is read.

A reader lists a file's columns; `assemble` decides which of them are the format's and which rows it wants.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.errors import InputError

NUMBERS = "biuf"  # kinds of NumPy dtypes


class Column(Protocol):
    """Numbers [rows, ...] that are read when they are sliced: an array, or a part of a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first."""

    @property
    def dtype(self) -> np.dtype:
        """As stored."""

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Rows `start` to `stop`, both given or both left out."""


@dataclass
class Recording:
    """An open file.

    Attributes:
      format: for the record of the conversion.
      columns: by name. One that is stored an episode at a time is `Episodes`.
      lengths: [E] steps of each episode, where a file states them.
      known: names of fields that only this layout has, {field: name, or names joined by "+"}.
      groups: {field: prefix} under which `--map` finds the parts of a field, too.
      inner_ends: whether ends inside an episode mean nothing here (robomimic marks successes so).
      unread: {name: why} of what is no column.
      metadata: for the demonstrations, such as the environment's id.
      notes: for the record of the conversion.
    """

    format: str
    columns: dict[str, Column]
    lengths: np.ndarray | None = None
    known: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    inner_ends: bool = False
    unread: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


class Pieces:
    """Columns one after the other."""

    def __init__(self, parts: Sequence[Column]):
        """Parts with rows of one shape (`unlike`)."""
        self.parts = parts
        self._rows = np.array([part.shape[0] for part in parts], np.int64)
        self.dtype = np.result_type(*(part.dtype for part in parts))
        self._last = np.cumsum(self._rows)
        self.shape = (int(self._rows.sum()), *parts[0].shape[1:])

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Rows of whatever parts they lie in."""
        start, stop, _ = rows.indices(self.shape[0])
        last, first = self._last, self._last - self._rows
        touched = np.flatnonzero((last > start) & (first < stop))
        if not touched.size:
            return np.zeros((0, *self.shape[1:]), self.dtype)
        return np.concatenate(
            [
                self.parts[i][max(start - first[i], 0) : min(stop, last[i]) - first[i]]
                for i in touched.tolist()
            ]
        )


class Episodes(Pieces):
    """Columns of single episodes, one after the other."""

    @property
    def rows(self) -> np.ndarray:
        """[E] rows of each episode."""
        return self._rows


def unlike(parts: Sequence[Column]) -> str | None:
    """What keeps columns from being put one after the other, in words."""
    row = parts[0].shape[1:]
    bad = next((i for i, part in enumerate(parts) if part.shape[1:] != row), None)
    return (
        None if bad is None else f"shape {list(parts[bad].shape)} in episode {bad}, {list(row)} a row before"
    )


def join_episodes(episodes: Sequence[Mapping[str, Column]]) -> tuple[dict[str, Column], dict[str, str]]:
    """What all episodes have, as columns; and {name: why} of what is no column."""
    columns: dict[str, Column] = {}
    unread: dict[str, str] = {}
    for name in episodes[0]:
        parts = [episode[name] for episode in episodes if name in episode]
        reason = unlike(parts) if len(parts) == len(episodes) else "nothing in some of the episodes"
        if reason is None:
            columns[name] = Episodes(parts)
        else:
            unread[name] = reason
    return columns, unread


class Beside:
    """Columns side by side, each flattened: [rows, sum of their sizes]."""

    def __init__(self, parts: Sequence[Column]):
        """All with the same number of rows."""
        self.parts = parts
        self.dtype = np.result_type(*(part.dtype for part in parts))
        self.shape = (parts[0].shape[0], sum(int(np.prod(part.shape[1:])) for part in parts))
        self.rows = rows_of_episodes(parts[0])

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Those rows of all parts."""
        read = [np.asarray(part[rows]) for part in self.parts]
        return np.concatenate([part.reshape(len(part), -1) for part in read], axis=1)


def is_column(array: Any) -> bool:
    """Whether this is numbers with an axis of rows."""
    return len(array.shape) > 0 and np.dtype(array.dtype).kind in NUMBERS


def rows_of_episodes(column: Column) -> np.ndarray | None:
    """[E] rows of each episode, where a column is stored an episode at a time."""
    return getattr(column, "rows", None)


def take(column: Column, spans: Iterable[tuple[int, int]]) -> np.ndarray:
    """Rows of ascending spans [start, stop), neighbours read at once; nothing else is held in memory."""
    joined: list[tuple[int, int]] = []
    for start, stop in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    parts = [np.asarray(column[slice(start, stop)]) for start, stop in joined]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and dtype of an npy file, which is left at its first number.

    Raises:
      Exception: whatever damage makes NumPy raise.
    """
    version = np.lib.format.read_magic(stream)
    read: Any = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read:
        raise ValueError(f"an npy header of version {version}")
    return read[version](stream)


@contextmanager
def reading(path: Source, what: str) -> Iterator[None]:
    """Whatever a damaged file makes its library raise, as one line.

    Raises:
      InputError: in place of any exception.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # foreign bytes can make any of them raise anything
        reason = f"{type(error).__name__}: {error}"[:160]
        raise problem(path, "file", f"a whole {what}", reason, "copy or record it again") from error


def needs(path: Source, package: str, extra: str, error: ImportError) -> InputError:
    """The error where the package that reads a file is missing."""
    remedy = f"pip install 'iqlearn_jax[{extra}]'"
    return problem(path, "file", f"{package}, which reads it", str(error), remedy)
