"""Which of a run's states: the final one, a snapshot by its updates, or the one that likeness chooses.

A moment (`--at`) is "final", the newest checkpoint; a number of updates that `config.snapshot_every` kept; or
"likeness", the snapshot that `choices` names, without a true reward.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.errors import InputError
from iqlearn_jax.settings import from_flat
from iqlearn_jax.sweep.evaluation import make_evaluator
from iqlearn_jax.sweep.problem import Problem
from iqlearn_jax.sweep.run import SNAPSHOTS, load_run, load_snapshot
from iqlearn_jax.sweep.workdir import read_config, whole_lines
from iqlearn_jax.train.state import runs_of

FINAL, LIKENESS = "final", "likeness"
LIKE = 0.9  # likeness at which a policy counts as like the demonstrations


def load_moment(workdir: Path, run: int, at: str = FINAL) -> tuple[Problem, Any, dict[str, int]]:
    """The problem of a folder, the method's state [R] at a moment of `run`, and how far that run was by then.

    Raises:
      InputError: no moment, no trained run in the folder, no such run or snapshot.
    """
    check(at)
    config = from_flat(read_config(workdir))
    last = len(runs_of(config).seeds) - 1
    if not 0 <= run <= last:
        raise InputError(f"--run is {run}; {workdir} holds runs 0..{last}")
    problem, trained = load_run(workdir, config)
    if at == FINAL:
        names = ("updates", "env_steps", "failed_at")
        return problem, trained.state, {name: int(getattr(trained, name)[run]) for name in names}
    updates = snapshots_at(workdir, last + 1, at)[run]
    state = load_snapshot(workdir, problem, updates)
    own = (line for line in lines_of(workdir) if (line["run"], line["update"]) == (run, updates))
    line = next(own, None)
    if line is None:
        raise InputError(f"{workdir}/metrics.jsonl: no line after {updates} updates; put the file back")
    failed = int(trained.failed_at[run])
    counts = {"env_steps": line["env_steps"], "failed_at": failed if failed < updates else -1}
    return problem, state, {"updates": updates} | counts


def returns_at(workdir: Path, episodes: int, at: str = FINAL) -> list[tuple[int, int, np.ndarray]]:
    """Of each run of a folder its seed, its updates by that moment, and its policy's returns [episodes].

    Raises:
      InputError: as `load_moment`.
    """
    check(at)
    problem, trained = load_run(workdir, from_flat(read_config(workdir)))
    seeds, evaluate = problem.seeds.tolist(), make_evaluator(problem)
    if at == FINAL:
        updates = problem.placement.get(trained.updates).tolist()
        played = evaluate(trained.state, episodes).returns
        return list(zip(seeds, updates, played, strict=False))  # the states may hold padding runs
    updates = snapshots_at(workdir, len(seeds), at)
    played = {n: evaluate(load_snapshot(workdir, problem, n), episodes).returns for n in set(updates)}
    return [(seed, n, played[n][run]) for run, (seed, n) in enumerate(zip(seeds, updates, strict=True))]


def check(at: str) -> None:
    """Refuses what is no moment."""
    if at not in (FINAL, LIKENESS) and not at.isdecimal():
        raise InputError(f"--at is {at!r}; expected {FINAL!r}, {LIKENESS!r} or a number of updates")


def snapshots_at(workdir: Path, runs: int, at: str) -> list[int]:
    """Of each run the updates of the snapshot that "likeness" or a number names."""
    if at != LIKENESS:
        return [int(at)] * runs
    found = choices(workdir)
    if found.keys() != set(range(runs)):
        raise InputError(
            f"{workdir}: no snapshot with an eval/likeness to choose by; train with config.snapshot_every "
            f"a multiple of config.eval_every, or take --at={FINAL}"
        )
    return [found[run]["update"] for run in range(runs)]


def choices(workdir: Path) -> dict[int, dict[str, Any]]:
    """By run, the line of `metrics.jsonl` of the first snapshot like the demonstrations, or else most like.

    Reads `eval/likeness` (docs/doctor.md) and no true reward. A run without such a snapshot is left out.
    """
    found: dict[int, dict[str, Any]] = {}
    for line in lines_of(workdir):
        if "eval/likeness" not in line or not (workdir / SNAPSHOTS / str(line["update"])).is_dir():
            continue
        best = found.setdefault(line["run"], line)
        if min(line["eval/likeness"], LIKE) > best["eval/likeness"]:
            found[line["run"]] = line
    return found


def lines_of(workdir: Path) -> list[dict[str, Any]]:
    """All lines of `metrics.jsonl`, in order."""
    return [json.loads(line) for line in whole_lines(workdir / "metrics.jsonl")]
