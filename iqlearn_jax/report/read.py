"""The files of a run's folder (docs/formats.md), read and checked; the report's only source."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iqlearn_jax.disk import Unreadable, damaged, interpreting, read_json, read_lines, read_npz, unsealed
from iqlearn_jax.doctor.findings import Finding, of_runs, read_findings, sentence
from iqlearn_jax.errors import InputError

NAMES = {
    "iq": "IQ-Learn", "iqlearn": "IQ-Learn", "edm": "EDM", "avril": "AVRIL", "adril": "AdRIL",
    "lstd_mu": "LSTD-μ", "value_dice": "ValueDICE", "regularized_bc": "regularised BC",
}  # fmt: skip
REQUIRED = ("method", "env", "seeds", "returns")
MAYBE = ("expert_return", "random_return", "updates", "env_steps", "wall_seconds")  # numbers, where known
REWARDS = ("recovered", "true", "episode", "source")
REMEDY = "write it again by resuming the run"

Arrays = Mapping[str, NDArray]


class Run(NamedTuple):
    """What one run's folder holds; an absent optional file is an empty mapping or sequence."""

    folder: Path
    label: str
    summary: Mapping[str, Any]
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]
    rewards: Arrays
    maps: Arrays
    settings: Mapping[str, Any] = {}
    findings: Sequence[Finding] = ()


class Series(NamedTuple):
    """One metric of all seeds on a common axis: x [T], y [R, T]."""

    x: NDArray
    y: NDArray


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Reads the folders and gives each a label of its own.

    Raises:
      InputError: no folder, a folder without summary.json, or a file that cannot be read.
    """
    if not folders:
        raise InputError("no folder to report on; name at least one that `iqlearn train` wrote")
    runs = [point for folder in folders for program in programs(Path(folder)) for point in points(program)]
    return distinct_labels(runs)


def programs(folder: Path) -> list[Run]:
    """A run's folder, or the finished programs of a sweep's, with what sets them apart in their labels."""
    path = folder / "sweep.json"
    with interpreting(path, "remove it and give the sweep's command again"):
        named = [
            (folder / part["folder"], dict(part["static"])) for part in _read_json(path).get("programs", ())
        ]
        done = [(part, static) for part, static in named if (part / "summary.json").is_file()]
    runs = [_with_settings(read_run(part), static) for part, static in done]
    return runs or [read_run(folder)]


def points(run: Run) -> list[Run]:
    """One entry for each point of a run's grid; itself where it has none."""
    varied = run.summary.get("varied") or {}
    keys = list(zip(*varied.values(), strict=True))
    if not keys:
        return [run]
    return [_point(run, dict(zip(varied, key, strict=True)), keys) for key in dict.fromkeys(keys)]


def _point(run: Run, point: Mapping[str, float], keys: Sequence[tuple]) -> Run:
    mine = [number for number, key in enumerate(keys) if key == tuple(point.values())]
    selected = {name: [run.summary[name][i] for i in mine] for name in ("seeds", "returns")}
    if run.summary.get("likeness") is not None:
        selected["likeness"] = [run.summary["likeness"][i] for i in mine]
    selected["failed"] = [entry for entry in run.summary.get("failed", ()) if entry["run"] in mine]
    first = mine[0] == 0  # rewards and maps were recovered from the first run
    return _with_settings(run, point)._replace(
        summary={**run.summary, **selected},
        metrics=[line for line in run.metrics if line.get("run") in set(mine)],
        rewards=run.rewards if first else {},
        maps=run.maps if first else {},
        findings=of_runs(run.findings, mine),
    )


def settings_text(settings: Mapping[str, Any]) -> str:
    """`temperature 0.1, hidden 64-64`"""
    return ", ".join(f"{name} {short(value)}" for name, value in settings.items())


def short(value: Any) -> str:
    """`0.1`, `64-64`, `both`"""
    if isinstance(value, list | tuple):
        return "-".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _with_settings(run: Run, settings: Mapping[str, Any]) -> Run:
    if not settings:
        return run
    label = f"{run.label}, {settings_text(settings)}"
    return run._replace(label=label, settings={**run.settings, **settings})


def read_run(folder: Path) -> Run:
    """Reads one run's folder; only summary.json must exist."""
    summary = _read_summary(folder)
    provenance = _read_json(folder / "provenance.json")
    with interpreting(folder / "doctor.json", REMEDY):
        findings = read_findings(_read_json(folder / "doctor.json"))
        for finding in findings:
            sentence(finding, len(summary["seeds"])), of_runs([finding], [])
    return Run(
        folder=folder,
        label=method_name(summary["method"]),
        summary=summary,
        config=_read_json(folder / "config.json"),
        provenance=provenance,
        metrics=read_lines(folder / "metrics.jsonl"),
        rewards=_read_arrays(folder, "rewards.npz", REWARDS, "digests" in provenance),
        maps=_read_arrays(folder, "maps.npz", (), "digests" in provenance),
        findings=findings,
    )


def method_name(method: str) -> str:
    """The name people use: IQ-Learn, BC, ValueDICE."""
    return NAMES.get(method, method.upper() if len(method) <= 4 else method.replace("_", " "))


def distinct_labels(runs: Sequence[Run]) -> list[Run]:
    """Adds setting, then folder, to labels that would name two runs of one task."""
    for extra in (lambda run: run.summary.get("setting"), lambda run: run.folder.name):
        count = Counter((run.summary["env"], run.label) for run in runs)
        runs = [
            run._replace(label=f"{run.label}, {extra(run)}")
            if extra(run) and count[run.summary["env"], run.label] > 1
            else run
            for run in runs
        ]
    return list(runs)


def series(run: Run, key: str) -> Series | None:
    """One metric of all seeds over env steps (online) or updates (offline).

    Seeds logged at different steps are interpolated between their own points; None when nothing was logged.
    """
    axis = x_axis(run)
    points: dict[int, dict[float, float]] = {}
    for line in run.metrics:
        value = line.get(key)
        if isinstance(value, int | float) and math.isfinite(value) and axis in line:
            points.setdefault(line.get("run", line.get("seed", 0)), {})[line[axis]] = value
    if not points:
        return None
    curves = [np.array(sorted(curve.items()), float).T for curve in points.values()]
    start, end = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    grid = grid[(grid >= start) & (grid <= end)]
    return Series(grid, np.stack([np.interp(grid, x, y) for x, y in curves])) if grid.size else None


def x_axis(run: Run) -> str:
    """`env_steps` for online runs, where interaction is the cost; else `update`."""
    return "env_steps" if run.summary.get("setting") == "online" else "update"


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / "summary.json"
    if not path.is_file():
        below = sorted(p.parent.name for p in folder.glob("*/summary.json"))
        remedy = f"runs lie below it: {', '.join(below)}" if below else "finish or resume the run first"
        raise InputError(f"{path}: no such file; a report needs the summary that training writes ({remedy})")
    summary = _read_json(path)
    with interpreting(path, REMEDY):
        return _checked(summary, path)


def _checked(summary: dict[str, Any], path: Path) -> dict[str, Any]:
    """A summary whose values are of the kinds that the report takes apart."""
    if summary.get("returns") is None and "agreement" in summary:  # never played
        summary["returns"] = [None] * len(summary.get("seeds", ()))
    for name in ("returns", "likeness"):  # null where an evaluation was not finite
        if isinstance(summary.get(name), list):
            summary[name] = [float("nan") if value is None else value for value in summary[name]]
    missing = [key for key in REQUIRED if summary.get(key) is None]
    if missing:
        raise InputError(f"{path}: no value for {', '.join(missing)}; was it written by another version?")
    if len(summary["seeds"]) != len(summary["returns"]) or not summary["seeds"]:
        actual = f"{len(summary['seeds'])} seeds and {len(summary['returns'])} returns"
        raise InputError(f"{path}: {actual}; expected one return for each of at least one seed")
    wrong = [key for key in ("method", "env") if not isinstance(summary[key], str)]
    wrong += [key for key in ("seeds", "returns") if not _numbers(summary[key])]
    wrong += [key for key in MAYBE if not isinstance(summary.get(key, 0), int | float | None)]
    failed = summary.get("failed") or []
    wrong += ["failed"] * any({"run", "seed", "update", "not_finite"} - entry.keys() for entry in failed)
    varied = summary.get("varied") or {}
    wrong += ["varied"] * any(len(values) != len(summary["seeds"]) for values in varied.values())
    if wrong:
        raise damaged(path, f"{wrong[0]} is {summary[wrong[0]]!r}"[:80], REMEDY)
    return summary


def _numbers(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, int | float | None) for value in values)


def _read_json(path: Path) -> dict[str, Any]:
    return read_json(path, REMEDY) if path.exists() else {}


def _read_arrays(folder: Path, name: str, keys: Sequence[str], sealed: bool) -> dict[str, NDArray]:
    """The arrays of a file that a run leaves; {} where there is none.

    Args:
      sealed: whether the folder is of a version that seals them.
    """
    path = folder / name
    if not path.exists():
        return {}
    try:
        arrays = unsealed(read_npz(path), required=sealed)
    except Unreadable as error:
        raise damaged(path, str(error), REMEDY) from error
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise InputError(f"{path}: no array {', '.join(missing)}; see docs/formats.md")
    return arrays
