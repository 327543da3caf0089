"""CSV files with a row for each step and a line of names above."""

import csv
import re
from itertools import islice

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.convert.columns import Recording, reading

ENDINGS = {".csv": ",", ".tsv": "\t"}
ROWS = 10_000  # as text at a time
NUMBERED = re.compile(r"^(.+?)[_.\[]?(\d+)\]?$")
WORDS = {"true": 1, "false": 0, "yes": 1, "no": 0}


def read_table(path: Source, delimiter: str = ",") -> Recording:
    """Reads a table; columns `obs_0, obs_1, ...` (or `obs[0]`, `obs0`) are also one column `obs`.

    Raises:
      InputError: no names, or rows of other lengths than the first.
    """
    pieces: list[list[np.ndarray | None]] = []
    count = 0
    with reading(path, "table of text"), open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file, delimiter=delimiter)
        names = [name.strip() for name in next(rows, [])]
        while piece := list(islice(rows, ROWS)):
            whole = [row for row in piece if row]  # an empty line is no row
            _check_widths(whole, len(names), count, path)
            pieces.append([_numbers(column) for column in zip(*whole, strict=True)])
            count += len(whole)
    if not count or len(set(names)) < len(names) or all(_numbers((name,)) is not None for name in names):
        actual = f"{count} rows below '{','.join(names)[:60]}'"
        raise problem(path, "first line", "a name for each column, and rows", actual, "add a line of names")
    return _recording(names, pieces)


def _check_widths(rows: list[list[str]], width: int, before: int, path: Source) -> None:
    bad = next((i for i, row in enumerate(rows) if len(row) != width), None)
    if bad is not None:
        place, actual = f"row {before + bad + 1}", str(len(rows[bad]))
        raise problem(path, place, f"{width} entries as in the first line", actual, "mend the row")


def _recording(names: list[str], pieces: list[list[np.ndarray | None]]) -> Recording:
    columns: dict[str, np.ndarray] = {}
    unread: dict[str, str] = {}
    for name, parts in zip(names, zip(*pieces, strict=True), strict=True):
        numbers = [part for part in parts if part is not None]
        if len(numbers) == len(parts):
            columns[name] = np.concatenate(numbers)
        else:
            unread[name] = "text"
    groups: dict[str, list[tuple[int, str]]] = {}
    for name in columns:
        match = NUMBERED.match(name)
        if match:
            groups.setdefault(match.group(1), []).append((int(match.group(2)), name))
    for name, members in groups.items():
        if name not in columns:
            columns[name] = np.stack([columns[member] for _, member in sorted(members)], axis=1)
    return Recording("table", dict(columns), unread=unread)


def _numbers(texts: tuple[str, ...]) -> np.ndarray | None:
    """Integers where all are, real numbers, or flags in words; None for other text."""
    array = np.array(texts)
    for kind in (np.int64, np.float64):
        try:
            return array.astype(kind)
        except (ValueError, OverflowError):
            continue
    words = [WORDS.get(text.strip().lower()) for text in texts]
    return None if None in words else np.array(words, np.int64)
