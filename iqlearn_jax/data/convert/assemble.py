"""From a file's columns to the six arrays of the format: its episodes, successors, and the wanted rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.complete import with_successors
from iqlearn_jax.data.convert.columns import Column, Recording, rows_of_episodes, take
from iqlearn_jax.data.convert.episodes import Ends, find_ends
from iqlearn_jax.data.convert.names import BOUNDARIES, FLAGS, USUAL, find, no_column

ROWS = ("actions", "rewards")  # one for each step; observations may have one more for each episode
Spans = list[tuple[int, int]]


@dataclass(frozen=True)
class Choice:
    """What of a file is wanted, and under which names (`names.given_names`)."""

    names: Mapping[str, str] = field(default_factory=dict)
    observation_only: bool = False
    max_episodes: int | None = None
    min_return: float | None = None


def assemble(
    recording: Recording, choice: Choice, source: Source
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads the chosen episodes.

    Where a file has no successors, they are the next observations of the episode, see `with_successors`,
    unless the file holds T + 1 observations for T steps.

    Returns:
      the arrays of the format, dtypes as found, and notes on what was done.
    Raises:
      InputError: a column that is missing or does not fit, no episode left, or disagreement about ends.
    """
    found, said = find(recording, choice.names, source)
    for name in ("observations",) if choice.observation_only else ("observations", "actions"):
        if name not in found:
            raise no_column(recording, name, recording.known.get(name, USUAL[name][0]), source)
    _check_width(found, source)
    found, breaks = _by_environment(found, source)
    ends = find_ends(found, recording, breaks, source)
    one_more = _check_rows(found, ends, int(ends.lengths.sum()), source)
    kept = _chosen(found, ends, choice, source)
    fields = _read(found, ends, kept, one_more, choice)
    notes = recording.notes | ({"columns": said} if said else {}) | ends.notes
    if len(kept) < len(ends.lengths):
        notes["kept_episodes"] = f"{len(kept)} of {len(ends.lengths)}"
    if "next_observations" not in found and not one_more:
        fields, dropped = with_successors(fields, "name them: --map next_observations=KEY", source)
        notes |= dropped
    return fields, {name: value for name, value in notes.items() if value or value is None}


def _check_width(found: Mapping[str, Column], source: Source) -> None:
    """Refuses rows of nothing: a few bytes of file could declare any number of them."""
    for name, column in found.items():
        if 0 in column.shape[1:]:
            actual, remedy = f"shape {list(column.shape)}", "store what was seen and done"
            raise problem(source, name, "at least one number in each step", actual, remedy)


def _by_environment(found: dict[str, Column], source: Source) -> tuple[dict[str, Column], np.ndarray]:
    """Steps of several environments side by side [T, K, ...] (SB3's buffers) one environment after the other.

    Known by their flags, which have that axis, and their actions, which have one more.
    """
    shape = next((found[name].shape for name in FLAGS if name in found), ())
    actions = found["actions"].shape if "actions" in found else ()
    if len(shape) != 2 or len(actions) < 3 or actions[:2] != shape:
        return found, np.zeros(0, np.int64)
    turned: dict[str, Column] = {}
    for name, column in found.items():
        if name in BOUNDARIES:
            continue
        if column.shape[:2] != shape:
            actual, remedy = str(list(column.shape)), f"leave it out: --map {name}="
            raise problem(source, name, f"shape {list(shape)}, ... as the flags", actual, remedy)
        turned[name] = np.asarray(column[:]).swapaxes(0, 1).reshape(-1, *column.shape[2:])
    return turned, np.arange(1, shape[1] + 1) * shape[0] - 1


def _check_rows(found: Mapping[str, Column], ends: Ends, steps: int, source: Source) -> bool:
    """Whether an episode of T steps has T + 1 observations; every other column has to have a row a step."""
    one_more = found["observations"].shape[0] == steps + len(ends.lengths) != steps
    for name in ("observations", *ROWS, "next_observations"):
        if name in found:
            _check_column(found[name], name, ends, int(one_more and name == "observations"), source)
    if one_more and "next_observations" in found:
        actual, remedy = (
            "both, and one observation more for each episode",
            "--map next_observations= leaves it out",
        )
        raise problem(source, "next_observations", "none, or as many observations", actual, remedy)
    return one_more


def _check_column(column: Column, name: str, ends: Ends, extra: int, source: Source) -> None:
    expected = ends.lengths + extra
    parts = rows_of_episodes(column)
    if parts is not None and len(parts) == len(expected) and not np.array_equal(parts, expected):
        bad = int(np.argmax(parts != expected))
        remedy = "drop the episode or record it again"
        raise problem(source, f"{name} of episode {bad}", f"{expected[bad]} rows", str(parts[bad]), remedy)
    if column.shape[0] != expected.sum():
        rows = f"{ends.lengths.sum()} rows, one for each step"
        if name == "observations":
            rows += f" (or {ends.lengths.sum() + len(expected)}, one more for each episode)"
        raise problem(source, name, rows, str(column.shape[0]), "every column holds the same steps")
    if name == "rewards" and np.prod(column.shape[1:]) != 1:
        actual = str(list(column.shape))
        raise problem(source, name, "one number for each step", actual, "--map rewards= leaves them out")


def _chosen(found: Mapping[str, Column], ends: Ends, choice: Choice, source: Source) -> np.ndarray:
    """[kept] numbers of the episodes that are wanted, in order."""
    kept = np.arange(len(ends.lengths))
    if choice.min_return is not None:
        if "rewards" not in found:
            raise problem(
                source, "rewards", "rewards, to compare returns with", "none", "leave --min-return out"
            )
        rewards = np.asarray(found["rewards"][:], np.float64).reshape(-1)
        returns = np.add.reduceat(rewards, ends.starts)
        kept = np.flatnonzero(returns >= choice.min_return)
        if not kept.size:
            actual = f"at most {returns.max():.6g} in {len(returns)} episodes"
            raise problem(
                source, "rewards", f"a return of {choice.min_return:g} or more", actual, "ask for less"
            )
    return kept[: choice.max_episodes]


def _read(
    found: Mapping[str, Column], ends: Ends, kept: np.ndarray, one_more: bool, choice: Choice
) -> dict[str, np.ndarray]:
    starts, lengths = ends.starts[kept], ends.lengths[kept]
    spans: Spans = list(zip(starts.tolist(), (starts + lengths).tolist(), strict=True))
    fields = {}
    for name in ("next_observations", *ROWS):
        if name in found and not (name == "actions" and choice.observation_only):
            fields[name] = take(found[name], spans)
    if one_more:  # episode e begins e rows later
        spans = [(start + int(e), stop + int(e) + 1) for (start, stop), e in zip(spans, kept, strict=True)]
        track = take(found["observations"], spans)
        first = np.cumsum(lengths + 1) - lengths - 1
        fields["observations"] = np.delete(track, first + lengths, axis=0)
        fields["next_observations"] = np.delete(track, first, axis=0)
    else:
        fields["observations"] = take(found["observations"], spans)
    for name in ("observations", "next_observations"):
        if name in fields:
            fields[name] = _state_axes(fields[name])
    last = np.cumsum(lengths) - 1
    for name, values in (("terminals", ends.terminated), ("truncations", ends.truncated)):
        fields[name] = np.zeros(int(lengths.sum()), bool)
        fields[name][last] = values[kept]
    return fields


def _state_axes(states: np.ndarray) -> np.ndarray:
    """Numbered states [N, 1] as [N] and single real numbers [N] as [N, 1]."""
    if states.dtype.kind == "f" and states.ndim == 1:
        return states[:, None]
    if states.dtype.kind in "iu" and states.dtype != np.uint8 and states.ndim == 2 and states.shape[1] == 1:
        return states[:, 0]
    return states
