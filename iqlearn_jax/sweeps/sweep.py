"""Sweeps: every point of a grid on the same seeds, in few compiled programs, with one table at the end."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from iqlearn_jax.devices.placement import is_main, wait_for_all
from iqlearn_jax.disk import interpreting
from iqlearn_jax.errors import InputError
from iqlearn_jax.runs.files import read_json, write_json
from iqlearn_jax.runs.provenance import collect
from iqlearn_jax.statistics import iqm, iqm_and_ci, known
from iqlearn_jax.sweeps.grid import Program, parts_of
from iqlearn_jax.training.train import train

REMEDY = "remove it and give the same command again; finished programs stay"
BEST_NOTE = (
    "chosen as the best of these points on these seeds, so its score is an optimistic one; "
    "report it from other seeds"
)


def run_sweep(
    programs: Sequence[Program],
    grid: dict[str, tuple],
    workdir: Path,
    runs_per_device: int | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Trains every program in turn and writes `sweep.json` (docs/formats.md) after each.

    A folder that was stopped goes on where it was: finished programs are not run again.

    Args:
      programs: from `sweeps.grid.plan`.
      grid: {config key: values} that was asked for.
      runs_per_device: most runs that a device holds at once; None for all.
      force: goes on although code or demonstrations changed (see `train`).
    Returns:
      the content of `sweep.json`.
    Raises:
      InputError: the folder holds another sweep; whatever `train` raises.
    """
    pieces = [piece for program in programs for piece in cut(program, runs_per_device)]
    claim_sweep(workdir, pieces, grid)
    for piece in pieces:
        folder = workdir / piece.name
        if not (folder / "summary.json").exists():
            begun = (folder / "config.json").exists()
            wait_for_all(f"{piece.name} looked for")
            train(piece.config, folder, resume=begun, force=begun and force)
        wait_for_all(piece.name)
        content = result(workdir, pieces, grid)
        write_json(workdir / "sweep.json", content)
    return content


def cut(program: Program, runs_per_device: int | None) -> list[Program]:
    """The program's parts, if a device may hold only so many runs."""
    return [program] if runs_per_device is None else parts_of(program, runs_per_device * jax.device_count())


def claim_sweep(workdir: Path, pieces: Sequence[Program], grid: dict[str, tuple]) -> None:
    """Makes the folder this sweep's, or checks that it is.

    Raises:
      InputError: it holds a single run, or another sweep.
    """
    if (workdir / "config.json").exists():
        raise InputError(f"workdir {workdir} holds a single run; name another folder for the sweep")
    path = workdir / "sweep.json"
    before = read_json(path, REMEDY) if path.exists() else None
    wanted = outline(pieces, grid)
    if before is not None and {name: before.get(name) for name in wanted} != wanted:
        raise InputError(
            f"workdir {workdir} holds another sweep (grid {before.get('grid')}, programs "
            f"{before.get('programs')}; now {wanted['grid']}, {wanted['programs']}); name another folder"
        )
    wait_for_all("claim sweep")
    if is_main():
        workdir.mkdir(parents=True, exist_ok=True)
    if before is None:
        write_json(workdir / "sweep.json", wanted | {"provenance": collect(None), "rows": [], "best": None})


def outline(pieces: Sequence[Program], grid: dict[str, tuple]) -> dict[str, Any]:
    """What makes a sweep this one, as JSON gives it back."""
    programs = [{"folder": p.name, "static": _plain(p.static), "part": list(p.config.part)} for p in pieces]
    return {"grid": _plain(grid), "programs": programs}


def result(workdir: Path, pieces: Sequence[Program], grid: dict[str, tuple]) -> dict[str, Any]:
    """The content of `sweep.json` from the programs that are done."""
    rows = points(
        (piece.static, summary_of(workdir / piece.name))
        for piece in pieces
        if (workdir / piece.name / "summary.json").exists()
    )
    rows.sort(key=_score, reverse=True)
    best = rows[0] | {"note": BEST_NOTE} if rows and np.isfinite(_score(rows[0])).all() else None
    made = read_json(workdir / "sweep.json", REMEDY).get("provenance")
    return outline(pieces, grid) | {"provenance": made, "rows": rows, "best": best}


def summary_of(folder: Path) -> dict[str, Any]:
    """The summary of a program that is done.

    Raises:
      InputError: it is damaged.
    """
    path = folder / "summary.json"
    summary = read_json(path, "remove it and give the same command again")
    with interpreting(path, "remove it and give the same command again"):
        points([({}, summary)])
    return summary


def points(summaries) -> list[dict[str, Any]]:
    """One row for each point of the grid, its seeds gathered from all (static values, summary) given."""
    table: dict[str, dict[str, Any]] = {}
    for static, summary in summaries:
        failed = {entry["run"] for entry in summary["failed"]}
        for run, seed in enumerate(summary["seeds"]):
            values = _plain(static) | {name: x[run] for name, x in summary["varied"].items()}
            row = table.setdefault(
                repr(values), {"point": values, "seeds": [], "returns": [], "normalized": [], "failed": []}
            )
            row["seeds"].append(seed)
            row["returns"].append(None if summary["returns"] is None else summary["returns"][run])
            row["normalized"] += [] if summary["normalized"] is None else [summary["normalized"][run]]
            row["failed"] += [seed] if run in failed else []
    return [_with_score(row) for row in table.values()]


def _with_score(row: dict[str, Any]) -> dict[str, Any]:
    score, interval = iqm_and_ci(row["normalized"]) if row["normalized"] else (None, None)
    returns = known(row["returns"])
    average = float(iqm(returns)) if returns.size else None
    return row | {"iqm_return": average, "normalized_iqm": score, "ci95": interval}


def _score(row: dict[str, Any]) -> tuple[float, float]:
    """What points are ordered by: the normalised IQM where there is one, else the return's; then the mean."""
    score = row["iqm_return"] if row["normalized_iqm"] is None else row["normalized_iqm"]
    returns = known(row["returns"])
    return (-np.inf, -np.inf) if score is None else (score, float(np.mean(returns)))


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Tuples as lists, as JSON gives them back."""
    return {name: _listed(value) for name, value in values.items()}


def _listed(value: Any) -> Any:
    return [_listed(x) for x in value] if isinstance(value, tuple | list) else value
