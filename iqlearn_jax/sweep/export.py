"""The reward of a trained run as a file of its own."""

import json
from pathlib import Path
from typing import Any

from iqlearn_jax.errors import InputError
from iqlearn_jax.rewards import RecoveredReward, save_reward
from iqlearn_jax.settings import from_flat
from iqlearn_jax.sweep.problem import Problem
from iqlearn_jax.sweep.resuming import read_provenance
from iqlearn_jax.sweep.run import SNAPSHOTS, load_run, load_snapshot
from iqlearn_jax.sweep.workdir import as_plain, provenance, read_config, whole_lines
from iqlearn_jax.train.state import RunState, runs_of

FINAL, LIKENESS = "final", "likeness"
LIKE = 0.9  # likeness at which a policy counts as like the demonstrations


def export_reward(workdir: Path, run: int, out: Path, at: str = FINAL) -> RecoveredReward:
    """Writes the reward of one run to `out`; returns it as it is read from there.

    Args:
      at: which of the run's states: "final", the newest checkpoint; a number of updates that
        `config.snapshot_every` kept; "likeness", the kept one that `likest` names.
    Raises:
      InputError: no trained run in the folder, no such run, state or snapshot, a method without a reward, or
        numbers that are not finite.
    """
    if at not in (FINAL, LIKENESS) and not at.isdecimal():
        raise InputError(f"--at is {at!r}; expected {FINAL!r}, {LIKENESS!r} or a number of updates")
    config = from_flat(read_config(workdir))
    last = len(runs_of(config).seeds) - 1
    if not 0 <= run <= last:
        raise InputError(f"--run is {run}; {workdir} holds runs 0..{last}")
    problem, trained = load_run(workdir, config)
    state, counts = state_at(workdir, problem, trained, run, at)
    hparams, state = problem.placement.one((problem.hparams, state), run)
    about = {
        "run": {"index": run, "seed": int(problem.seeds[run])} | counts,
        "provenance": read_provenance(workdir),
        "exported": provenance(None),
    }
    return save_reward(out, problem.method, problem.spec, hparams, state, as_plain(config), about)


def state_at(
    workdir: Path, problem: Problem, trained: RunState, run: int, at: str
) -> tuple[Any, dict[str, int]]:
    """The method's state [R], and how far `run` had come by then; see `export_reward`."""
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
            f"a multiple of config.eval_every, or export --at={FINAL}"
        )
    return max(scores, key=lambda updates: min(scores[updates], LIKE))


def lines_of(workdir: Path, run: int) -> list[dict[str, Any]]:
    """The run's lines of `metrics.jsonl`, in order."""
    lines = (json.loads(line) for line in whole_lines(workdir / "metrics.jsonl"))
    return [line for line in lines if line["run"] == run]
