"""Where a foreign file's episodes end, and why: flags, lengths, starts, ends or numbers of episodes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from iqlearn_jax.data.cast import flags
from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.convert.columns import NUMBERS, Column, Recording, rows_of_episodes
from iqlearn_jax.data.convert.names import BOUNDARIES, FLAGS, listed

REMEDY = "say where episodes end: --episode-starts=KEY, --episode-ends=KEY or --lengths=KEY"
LARGEST = 2.0**53  # of whole numbers that any type holds exactly


@dataclass(frozen=True)
class Ends:
    """[E] each: steps of the episodes, whether the task ended them, whether time cut them; and notes."""

    lengths: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    notes: dict[str, Any]

    @property
    def starts(self) -> np.ndarray:
        """[E] first step of each."""
        return np.cumsum(self.lengths) - self.lengths


def find_ends(found: Mapping[str, Column], recording: Recording, breaks: np.ndarray, source: Source) -> Ends:
    """The episodes of a recording.

    They are cut where the file says: by lengths, starts, ends or numbers of episodes, or else by flags. An
    episode terminated where `terminals` says so; where there are only `dones`, where one is no timeout. A
    last episode without an end, and every end without a reason, counts as cut by time.

    Args:
      found: columns by field; those of `FLAGS` and `BOUNDARIES` are read whole.
      breaks: steps after which the next one is of another episode, whatever the flags say.
    Raises:
      InputError: nothing says where episodes end, or two things disagree.
    """
    steps = steps_of(found, recording)
    marks = {name: _flag(found[name], name, steps, source) for name in FLAGS if name in found}
    lengths = _stated_lengths(found, recording, steps, source)
    notes: dict[str, Any] = {}
    if lengths is None:
        if not marks and not breaks.size:
            actual = f"no flags or episodes among {listed(recording.columns)}"
            raise problem(source, "terminals", "ends of episodes", actual, REMEDY)
        ends = np.logical_or.reduce(list(marks.values())) if marks else np.zeros(steps, bool)
        unmarked = np.union1d(breaks, [steps - 1]) if steps else breaks
        notes["open_ends"] = int((~ends[unmarked]).sum())
        lengths = np.diff(np.union1d(np.flatnonzero(ends), unmarked), prepend=-1)
        return _reasons(lengths, marks, ends[np.cumsum(lengths) - 1], notes)
    if not recording.inner_ends:
        _check_inside(marks, lengths, source)
    stated = np.ones(len(lengths), bool)
    stated[-1] = not _last_is_open(found)
    notes["open_ends"] = int((~stated).sum())
    return _reasons(lengths, marks, stated, notes)


def steps_of(found: Mapping[str, Column], recording: Recording) -> int:
    """How many steps a recording has, by what has one row for each."""
    if recording.lengths is not None:
        return int(recording.lengths.sum())
    counted = ("actions", "rewards", *FLAGS, "episode", "observations")
    return next((found[name].shape[0] for name in counted if name in found), 0)


def _flag(column: Column, name: str, steps: int, source: Source) -> np.ndarray:
    array = np.asarray(column[:])
    if array.shape == (steps, 1):
        array = array[:, 0]
    if array.shape != (steps,) or array.dtype.kind not in NUMBERS:
        actual = f"{array.dtype} {list(array.shape)}"
        raise problem(source, name, f"{steps} flags, one for each step", actual, "name another column")
    return flags(array, name, source)


def _stated_lengths(
    found: Mapping[str, Column], recording: Recording, steps: int, source: Source
) -> np.ndarray | None:
    counted = ("actions", "rewards", *FLAGS, "observations")
    parts = [rows_of_episodes(found[name]) for name in counted if name in found]
    whole = next((part for part in parts if part is not None), None)
    stated = [name for name in BOUNDARIES if name in found]
    lengths = recording.lengths if recording.lengths is not None else whole
    if stated:
        lengths = _READ[stated[0]](np.asarray(found[stated[0]][:]), steps, stated[0], source)
    if lengths is None:
        return None
    if lengths.size == 0 or (lengths < 1).any() or lengths.sum() != steps:
        place = stated[0] if stated else "episodes"
        actual = (
            f"{len(lengths)} of {lengths.sum()} steps in all, the shortest of {lengths.min(initial=steps)}"
        )
        raise problem(source, place, f"episodes of one step or more, {steps} in all", actual, REMEDY)
    return lengths


def _last_is_open(found: Mapping[str, Column]) -> bool:
    """Whether flags of ends do not mark the last step."""
    ends = None if "lengths" in found or "episode_starts" in found else found.get("episode_ends")
    return ends is not None and len(ends[:]) > 0 and float(ends[:].reshape(-1)[-1]) == 0


def _whole_numbers(array: np.ndarray, name: str, source: Source) -> np.ndarray:
    flat = array.reshape(-1)
    whole = flat.dtype.kind in NUMBERS and bool(((abs(flat) < LARGEST) & (flat == np.floor(flat))).all())
    if array.size != len(array) or not whole:
        actual = f"{array.dtype} {list(array.shape)}"
        raise problem(source, name, "a list of whole numbers or flags", actual, "name another column")
    return flat.astype(np.int64)


def _from_lengths(array: np.ndarray, steps: int, name: str, source: Source) -> np.ndarray:
    return _whole_numbers(array, name, source)


def _from_numbers(array: np.ndarray, steps: int, name: str, source: Source) -> np.ndarray:
    numbers = _whole_numbers(array, name, source)
    if len(numbers) != steps:
        raise problem(source, name, f"{steps} numbers, one for each step", str(len(numbers)), REMEDY)
    changes = np.flatnonzero(numbers[1:] != numbers[:-1])
    if len(np.unique(numbers)) != len(changes) + 1:
        remedy = "sort the rows by episode and step"
        raise problem(source, name, "each episode in one piece", "a number that comes back", remedy)
    return np.diff([-1, *changes, steps - 1])


def _from_starts(array: np.ndarray, steps: int, name: str, source: Source) -> np.ndarray:
    starts = _positions(array, steps, name, source)
    if not starts.size or starts[0] != 0:
        actual = f"the first one at step {starts[0]}" if starts.size else "none"
        raise problem(source, name, "a start at step 0", actual, "cut off what comes before the first start")
    return np.diff([*starts, steps])


def _from_ends(array: np.ndarray, steps: int, name: str, source: Source) -> np.ndarray:
    """Flags, the numbers of last steps, or those of the steps after them."""
    ends = _positions(array, steps, name, source)
    if len(array) == steps:
        return np.diff(np.union1d(ends, [steps - 1]), prepend=-1)
    if not ends.size or ends[-1] not in (steps - 1, steps):
        actual = f"the last one at {ends[-1]}" if ends.size else "none"
        raise problem(source, name, f"a last end at step {steps - 1} (or {steps}, exclusive)", actual, REMEDY)
    return np.diff(ends, prepend=-1 if ends[-1] == steps - 1 else 0)


def _positions(array: np.ndarray, steps: int, name: str, source: Source) -> np.ndarray:
    numbers = _whole_numbers(array, name, source)
    if len(numbers) == steps and np.isin(numbers, (0, 1)).all():
        return np.flatnonzero(numbers)
    if (np.diff(numbers) <= 0).any() or (numbers < 0).any() or (numbers > steps).any():
        expected = f"{steps} flags, or rising numbers of steps"
        raise problem(source, name, expected, f"{len(numbers)} numbers of another order", REMEDY)
    return numbers


_READ = {
    "lengths": _from_lengths,
    "episode": _from_numbers,
    "episode_starts": _from_starts,
    "episode_ends": _from_ends,
}


def _check_inside(marks: Mapping[str, np.ndarray], lengths: np.ndarray, source: Source) -> None:
    inside = np.ones(int(lengths.sum()), bool)
    inside[np.cumsum(lengths) - 1] = False
    for name, mark in marks.items():
        early = np.flatnonzero(mark & inside)
        if early.size:
            episode = int(np.searchsorted(np.cumsum(lengths), early[0], side="right"))
            expected = f"no end inside episode {episode}"
            remedy = f"correct one of the two, or leave the flags out: --map {name}="
            raise problem(source, f"{name}[{early[0]}]", expected, "an end", remedy)


def _reasons(
    lengths: np.ndarray, marks: Mapping[str, np.ndarray], stated: np.ndarray, notes: dict[str, Any]
) -> Ends:
    """Why episodes ended; `stated` [E]: whether the file says that they did."""
    last = np.cumsum(lengths) - 1
    at = {name: mark[last] for name, mark in marks.items()}
    nothing = np.zeros(len(last), bool)
    cut = at.get("truncations", nothing) | at.get("timeouts", nothing)
    won = at.get("timeouts", nothing) if "terminals" in at else cut  # a done may be either
    others = stated & ~cut if "timeouts" in at else nothing  # who names the timeouts says what the others are
    ended = at.get("terminals", at.get("dones", others))
    notes["timeouts_among_dones"] = int((ended & won).sum())
    terminated = ended & ~won
    if not marks:
        notes["ends_without_reason"] = len(last)
    return Ends(lengths, terminated, cut | ~terminated, notes)
