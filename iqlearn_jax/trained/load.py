"""Which of a run's states: the final one, a snapshot by its updates, or the one that likeness chooses.

`at` (on the command line `--at`) is "final", the newest checkpoint; a number of updates that
`config.snapshot_every` kept; or "likeness", the snapshot that `choices` names, without a true reward.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from iqlearn_jax.envs.facts import require_fit
from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.relative import with_origin
from iqlearn_jax.errors import InputError
from iqlearn_jax.loops.loop import RunState, runs_of
from iqlearn_jax.runs.files import metrics_lines
from iqlearn_jax.runs.folder import SNAPSHOTS, stored_config
from iqlearn_jax.training.evaluation import make_evaluator
from iqlearn_jax.training.problem import Problem
from iqlearn_jax.training.reopen import load_run, load_snapshot

FINAL, LIKENESS = "final", "likeness"
LIKE = 0.9  # likeness at which a policy counts as like the demonstrations


def load_states(workdir: Path, at: str = FINAL) -> tuple[Problem, RunState]:
    """The problem of a folder and the state of all its runs, each as it was at the time that `at` names.

    Raises:
      InputError: no such time, no trained run in the folder, or no such snapshot.
    """
    check(at)
    problem, trained = load_run(workdir, stored_config(workdir))
    if at == FINAL:
        return problem, trained
    place = problem.placement
    updates = np.array(snapshots_at(workdir, len(problem.seeds), at))
    states = {n: place.get(load_snapshot(workdir, problem, n)) for n in set(updates.tolist())}
    kept = [jax.tree.map(lambda x, run=run: x[run], states[n]) for run, n in enumerate(updates.tolist())]
    state = place.put(jax.tree.map(lambda *x: np.stack(x), *kept))
    lines = {
        (line["run"], line["update"]): line
        for line in metrics_lines(workdir / "metrics.jsonl", ("update", "run", "env_steps"))
    }
    missing = [n for run, n in enumerate(updates.tolist()) if (run, n) not in lines]
    if missing:
        raise InputError(f"{workdir}/metrics.jsonl: no line after {missing[0]} updates; put the file back")
    steps = np.array([lines[run, n]["env_steps"] for run, n in enumerate(updates.tolist())], np.int32)
    failed = place.get(trained.failed_at)
    failed = np.where(failed < updates, failed, -1)
    counters = place.put({"updates": updates.astype(np.int32), "env_steps": steps, "failed_at": failed})
    return problem, trained.replace(state=state, **counters)


def load_state(workdir: Path, run: int, at: str = FINAL) -> tuple[Problem, Any, dict[str, int]]:
    """As `load_states`: the problem, the method's states [R], and how far run number `run` was.

    Raises:
      InputError: as `load_states`, or no such run.
    """
    last = len(runs_of(stored_config(workdir)).seeds) - 1
    if not 0 <= run <= last:
        raise InputError(f"--run is {run}; {workdir} holds runs 0..{last}")
    problem, trained = load_states(workdir, at)
    names = ("updates", "env_steps", "failed_at")
    return problem, trained.state, {name: int(getattr(trained, name)[run]) for name in names}


def returns_at(
    workdir: Path, episodes: int, at: str = FINAL, handle: EnvHandle | None = None
) -> list[tuple[int, int, np.ndarray]]:
    """Of each run of a folder its seed, its updates by then, and its policy's returns [episodes].

    Args:
      handle: another environment with the same observations and actions; None: the folder's.
    Raises:
      InputError: as `load_states`, or an environment that does not fit.
    """
    problem, trained = load_states(workdir, at)
    if handle is not None:
        require_fit(problem.spec, handle.spec, "policy")
        problem = problem._replace(handle=with_origin(handle, problem.spec.obs_origin))
    played = make_evaluator(problem)(trained.state, episodes).returns
    updates = problem.placement.get(trained.updates).tolist()
    return list(zip(problem.seeds.tolist(), updates, played, strict=True))


def check(at: str) -> None:
    """Refuses what names no state."""
    if at not in (FINAL, LIKENESS) and not at.isdecimal():
        raise InputError(f"--at is {at!r}; expected {FINAL!r}, {LIKENESS!r} or a number of updates")


def snapshots_at(workdir: Path, runs: int, at: str) -> list[int]:
    """Of each run the updates of the snapshot that "likeness" or a number names."""
    if at != LIKENESS:
        return [int(at)] * runs
    chosen = choices(workdir)
    if chosen.keys() != set(range(runs)):
        raise InputError(
            f"{workdir}: no snapshot with an eval/likeness to choose by; train with config.snapshot_every "
            f"a multiple of config.eval_every, or take --at={FINAL}"
        )
    return [chosen[run]["update"] for run in range(runs)]


def choices(workdir: Path) -> dict[int, dict[str, Any]]:
    """By run, the line of `metrics.jsonl` of the first snapshot like the demonstrations, or else most like.

    Reads `eval/likeness` (docs/doctor.md) and no true reward. A run without such a snapshot is left out.
    """
    chosen: dict[int, dict[str, Any]] = {}
    for line in metrics_lines(workdir / "metrics.jsonl", ("update", "run")):
        if "eval/likeness" not in line or not (workdir / SNAPSHOTS / str(line["update"])).is_dir():
            continue
        best = chosen.setdefault(line["run"], line)
        if min(line["eval/likeness"], LIKE) > best["eval/likeness"]:
            chosen[line["run"]] = line
    return chosen
