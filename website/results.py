"""docs/results/NAME.json as tables and drawings; every row has seeds, steps, hardware, commit, command."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from iqlearn_jax.errors import InputError
from iqlearn_jax.report.read import method_name
from iqlearn_jax.report.tables import interval_text
from iqlearn_jax.statistics import iqm

PENDING = re.compile(r"^pending: (?P<command>python -m \S+(?: --\S+)*) ?(?P<note>.*)$", re.S)
COMMAND = "command"


class Cell(NamedTuple):
    """One entry of a table: what is read, what it is sorted by, and whether it is code or folded away."""

    text: str
    order: float | str = ""
    kind: str = ""  # "", "number", "code" or "folded"


class Score(NamedTuple):
    """One line of the drawing of scores: normalised returns of all seeds, 0 random, 1 expert."""

    label: str
    seeds: Sequence[float]
    iqm: float
    interval: Sequence[float] | None
    text: str


class Curve(NamedTuple):
    """Interquartile mean of the return while training, of one row."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


class Group(NamedTuple):
    """Rows of one task on the same demonstrations."""

    name: str
    scores: list[Score]
    curves: list[Curve]
    expert: float | None
    random: float | None


class Result(NamedTuple):
    """One result file: tables of what was run and of what is pending, and drawings."""

    name: str
    head: list[str]
    rows: list[list[Cell]]
    pending_head: list[str]
    pending: list[list[Cell]]
    groups: list[Group]


def read_result(path: Path) -> Result:
    """A file of docs/results.

    Raises:
      InputError: no list `rows` of objects in it.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        rows = [dict(row) for row in content["rows"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: found no results ({error!r}); expected an object with a list 'rows' of objects, as in "
            "docs/formats.md; write it again with its experiment"
        ) from error
    origin = content.get("provenance") or {}
    done = [row for row in rows if not _pending(row)]
    return Result(
        path.stem,
        *_table([_cells(row, origin) for row in done]),
        *_table([_pending_cells(row) for row in rows if _pending(row)]),
        _groups([row for row in done if "normalized" in row]),
    )


def _table(rows: Sequence[Mapping[str, Cell]]) -> tuple[list[str], list[list[Cell]]]:
    """Heads, and cells in their order, of rows that need not have the same ones."""
    head = list(dict.fromkeys(key for row in rows for key in row))
    return head, [[row.get(key, Cell("–")) for key in head] for row in rows]


def _pending(row: Mapping[str, Any]) -> bool:
    """A row that was not run yet."""
    return str(row.get("note", "")).startswith("pending")


def _cells(row: Mapping[str, Any], origin: Mapping[str, Any]) -> dict[str, Cell]:
    if "returns" in row and "seeds" in row and "normalized_iqm" in row:
        return _run_cells(row) | _origin_cells(row, origin)
    plain = {key: _any_cell(value) for key, value in row.items() if key not in ("provenance", COMMAND)}
    return plain | _origin_cells(row, origin)


def _pending_cells(row: Mapping[str, Any]) -> dict[str, Cell]:
    match = PENDING.match(str(row.get("note", "")))
    command, note = (match["command"], match["note"]) if match else ("", str(row.get("note", "")))
    first = "task" if "task" in row else "name"
    name = Cell(str(row.get(first, "?")))
    return {first: name, "note": Cell(note or "–"), COMMAND: Cell(command or "–", kind="code")}


def _run_cells(row: Mapping[str, Any]) -> dict[str, Cell]:
    returns, seeds, demos = row["returns"], row["seeds"], row.get("demos")
    score = interval_text(row["normalized_iqm"], row["ci95"], digits=3)
    worst = min(row["normalized"]) if row.get("normalized") else None
    amount = "–" if demos is None else f"{demos} × {row.get('subsample')}"
    return {
        "task": Cell(row["task"]),
        "method": Cell(row.get("label") or method_name(row["method"])),
        "setting": Cell(row["setting"]),
        "demos × every": Cell(amount, demos or 0),
        "seeds": Cell(f"{seeds[0]}–{seeds[-1]} ({len(seeds)})", len(seeds), "number"),
        "normalised IQM [95 %]": Cell(score, _order(row["normalized_iqm"]), "number"),
        "worst seed": _number(worst, 3),
        "return, IQM": _number(float(iqm(returns)), 1),
        "returns": Cell(" ".join(f"{value:,.4g}" for value in returns), kind="folded"),
        "random, expert": Cell(f"{_short(row.get('random_return'))}, {_short(row.get('expert_return'))}"),
        "updates": _number(row["updates"], 0),
        "env steps": _number(row["env_steps"], 0),
        "seconds": _number(row["wall_seconds"], 0),
        "note": Cell(row.get("note") or "–"),
    }


def _origin_cells(row: Mapping[str, Any], origin: Mapping[str, Any]) -> dict[str, Cell]:
    """Where a row comes from; what a file says of all its rows counts where a row says nothing."""
    made = {**origin, **(row.get("provenance") or {})}
    command = row.get(COMMAND) or made.get(COMMAND) or "–"
    return {
        "hardware": Cell(str(made.get("hardware", "–"))),
        "commit": Cell(str(made.get("commit", "–"))[:8], kind="code"),
        COMMAND: Cell(str(command), kind="code"),
    }


def _any_cell(value: Any) -> Cell:
    if isinstance(value, bool) or value is None:
        return Cell("–" if value is None else str(value))
    if isinstance(value, int | float):
        return Cell(f"{value:,.4g}", float(value), "number")
    if isinstance(value, str):
        return Cell(value)
    return Cell(json.dumps(value, ensure_ascii=False), kind="folded")


def _number(value: float | None, digits: int) -> Cell:
    return Cell("–", _order(None)) if value is None else Cell(f"{value:,.{digits}f}", float(value), "number")


def _order(value: float | None) -> float:
    return -1e300 if value is None else float(value)


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}"


def _groups(rows: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Rows that may be compared: the same task, demonstrations and subsampling."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(_group_name(row), []).append(row)
    return [
        Group(
            name,
            [_score(row) for row in members if row["normalized"]],
            [curve for row in members if (curve := _curve(row)) is not None],
            members[0].get("expert_return"),
            members[0].get("random_return"),
        )
        for name, members in groups.items()
    ]


def _group_name(row: Mapping[str, Any]) -> str:
    demos, every = row.get("demos"), row.get("subsample")
    if demos is None:
        return row["task"]
    thinned = f", every {every}th step" if every and every > 1 else ""
    return f"{row['task']}, {demos} demonstration{'' if demos == 1 else 's'}{thinned}"


def _label(row: Mapping[str, Any]) -> str:
    label = row.get("label") or method_name(row["method"])
    return (
        label
        if row["setting"] in label or row.get("label") == row.get("name")
        else f"{label}, {row['setting']}"
    )


def _score(row: Mapping[str, Any]) -> Score:
    text = interval_text(row["normalized_iqm"], row["ci95"])
    return Score(_label(row), row["normalized"], row["normalized_iqm"], row["ci95"], text)


def _curve(row: Mapping[str, Any]) -> Curve | None:
    """None where there are fewer than two evaluations, or a seed is missing from one."""
    updates, returns = (
        (row.get("curve") or {}).get("updates", ()),
        (row.get("curve") or {}).get("returns", ()),
    )
    if len(updates) < 2 or len({len(values) for values in returns}) != 1:
        return None
    return Curve(_label(row), updates, np.asarray(iqm(np.asarray(returns, float), axis=1)).tolist())
