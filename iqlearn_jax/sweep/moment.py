"""Which of a run's states: the final one, a snapshot by its updates, or the one that likeness chooses.

A moment (`--at`) is "final", the newest checkpoint; a number of updates that `config.snapshot_every` kept; or
"likeness", the kept state that `likest` names, without a true reward.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.errors import InputError
from iqlearn_jax.sweep.evaluation import make_evaluator
from iqlearn_jax.sweep.problem import Problem
from iqlearn_jax.sweep.run import SNAPSHOTS, load_snapshot
from iqlearn_jax.sweep.workdir import whole_lines
from iqlearn_jax.train.state import RunState

FINAL, LIKENESS = "final", "likeness"
LIKE = 0.9  # likeness at which a policy counts as like the demonstrations


def check_moment(at: str) -> None:
    """Refuses what is no moment.

    Raises:
      InputError: neither "final" nor "likeness" nor a number.
    """
    if at not in (FINAL, LIKENESS) and not at.isdecimal():
        raise InputError(f"--at is {at!r}; expected {FINAL!r}, {LIKENESS!r} or a number of updates")


def state_at(
    workdir: Path, problem: Problem, trained: RunState, run: int, at: str
) -> tuple[Any, dict[str, int]]:
    """The method's state [R] at a moment of `run`, and how far that run had come by then.

    Raises:
      InputError: that state was not kept, or no snapshot was evaluated.
    """
    if at == FINAL:
        names = ("updates", "env_steps", "failed_at")
        return trained.state, {name: int(getattr(trained, name)[run]) for name in names}
    updates = likest(workdir, run) if at == LIKENESS else int(at)
    state = load_snapshot(workdir, problem, updates)
    line = next((line for line in lines_of(workdir, run) if line["update"] == updates), None)
    if line is None:
        raise InputError(f"{workdir}/metrics.jsonl: no line after {updates} updates; put the file back")
    failed = int(trained.failed_at[run])
    counts = {"env_steps": line["env_steps"], "failed_at": failed if failed < updates else -1}
    return state, {"updates": updates} | counts


def returns_at(
    workdir: Path, problem: Problem, trained: RunState, episodes: int, at: str
) -> list[tuple[int, np.ndarray]]:
    """Of each run its updates by that moment, and its policy's returns [episodes].

    Raises:
      InputError: as `state_at`.
    """
    evaluate, returns, found = make_evaluator(problem), {}, []
    for run in range(len(problem.seeds)):
        state, counts = state_at(workdir, problem, trained, run, at)
        updates = counts["updates"]
        if updates not in returns:
            returns[updates] = evaluate(state, episodes).returns
        found.append((updates, returns[updates][run]))
    return found


def likest(workdir: Path, run: int) -> int:
    """Updates of the first snapshot whose policy was like the demonstrations, or else of the most alike.

    Reads `eval/likeness` (docs/doctor.md) and no true reward. docs/rewards.md says what it is good for.

    Raises:
      InputError: no snapshot of that run was evaluated.
    """
    scores = {
        line["update"]: line["eval/likeness"]
        for line in lines_of(workdir, run)
        if "eval/likeness" in line and (workdir / SNAPSHOTS / str(line["update"])).is_dir()
    }
    if not scores:
        raise InputError(
            f"{workdir}: no snapshot with an eval/likeness to choose by; train with config.snapshot_every "
            f"a multiple of config.eval_every, or take --at={FINAL}"
        )
    return max(scores, key=lambda updates: min(scores[updates], LIKE))


def lines_of(workdir: Path, run: int) -> list[dict[str, Any]]:
    """The run's lines of `metrics.jsonl`, in order."""
    lines = (json.loads(line) for line in whole_lines(workdir / "metrics.jsonl"))
    return [line for line in lines if line["run"] == run]
