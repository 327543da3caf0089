"""Training from a configuration to a finished folder: loop, evaluation, checkpoints, summary."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from iqlearn_jax.sweep.checkpoint import Checkpoints
from iqlearn_jax.sweep.console import interruptible, progress_bar
from iqlearn_jax.sweep.evaluation import make_evaluator
from iqlearn_jax.sweep.finish import Clock, describe, finish
from iqlearn_jax.sweep.problem import Problem, make_loop, make_problem
from iqlearn_jax.sweep.workdir import (
    MetricsFile,
    check_same_config,
    check_same_demos,
    claim,
    last_wall_seconds,
    open_tensorboard,
    read_normalization,
)
from iqlearn_jax.train.device import Loop
from iqlearn_jax.train.state import NORMALIZATION, RunState

CHECKPOINTS, SNAPSHOTS = "checkpoints", "snapshots"  # folders in a run's


class Stopped(KeyboardInterrupt):
    """Ctrl-C, after the state was saved."""


class Chunk(NamedTuple):
    """What the host sees of a chunk: metrics [R], steps of a run's environments, `RunState.failed_at` [R]."""

    metrics: dict[str, np.ndarray]
    env_steps: int
    failed_at: np.ndarray


class Session(NamedTuple):
    """What stays the same while one folder is trained."""

    problem: Problem
    loop: Loop
    evaluate: Callable
    checkpoints: Checkpoints
    snapshots: Checkpoints
    metrics: MetricsFile
    tensorboard: Any
    interrupted: Callable[[], bool]


def train(config, workdir: Path, resume: bool = False) -> dict[str, Any]:
    """Trains all runs of a configuration and leaves the files of docs/formats.md in `workdir`.

    Args:
      config: from `iqlearn_jax.config.base_config`.
      workdir: new folder, or with `resume` one whose training was stopped.
    Returns:
      the content of `summary.json`.
    Raises:
      InputError: unusable configuration, demonstrations or folder.
      Stopped: after Ctrl-C, with everything saved.
    """
    problem = reopen(config, workdir) if resume else open_new(config, workdir)
    loop = make_loop(problem)
    checkpoints, snapshots = Checkpoints(workdir / CHECKPOINTS), Checkpoints(workdir / SNAPSHOTS, keep=None)
    try:
        with interruptible() as interrupted:  # also while it compiles: nothing there may lose a Ctrl-C
            run = start_or_restore(problem, loop, checkpoints)
            updates = int(problem.placement.get(run.updates)[0])
            session = Session(
                problem,
                loop,
                make_evaluator(problem),
                checkpoints,
                snapshots,
                MetricsFile(workdir / "metrics.jsonl", upto=updates),
                open_tensorboard(config, workdir),
                interrupted,
            )
            run, clock = go_on(session, run, Clock(wall=last_wall_seconds(workdir / "metrics.jsonl")))
    finally:
        checkpoints.close()
        snapshots.close()
    return finish(problem, session.evaluate, run, clock, workdir)


def open_new(config, workdir: Path) -> Problem:
    """The problem of a new run, whose folder it makes."""
    problem = make_problem(config)
    normalization = {name: np.asarray(problem.hparams[name]) for name in NORMALIZATION}
    claim(workdir, config, demos_digest(problem), normalization)
    return problem


def reopen(config, workdir: Path) -> Problem:
    """The problem that a folder was started with; refuses another configuration or other demonstrations."""
    check_same_config(workdir, config)
    problem = make_problem(config, read_normalization(workdir))
    check_same_demos(workdir, demos_digest(problem))
    return problem


def demos_digest(problem: Problem) -> str | None:
    """What identifies the demonstrations' content; None for plain RL."""
    return None if problem.demos is None else problem.demos.digest


def load_run(workdir: Path, config) -> tuple[Problem, RunState]:
    """The newest checkpoint of a folder and the problem that it was trained on, for use after training.

    Raises:
      InputError: another configuration, changed demonstrations, or a damaged or unfinished folder.
    """
    problem = reopen(config, workdir)
    checkpoints = Checkpoints(workdir / CHECKPOINTS)
    try:
        checkpoints.require()
        return problem, start_or_restore(problem, make_loop(problem), checkpoints)
    finally:
        checkpoints.close()


def load_snapshot(workdir: Path, problem: Problem, updates: int) -> Any:
    """The method's state [R] after so many updates, where `config.snapshot_every` kept it.

    Raises:
      InputError: it was not kept.
    """
    keys = jax.random.split(jax.random.key(0), problem.placement.slots)
    like = jax.eval_shape(jax.vmap(problem.method.init), keys, problem.hparams)
    snapshots = Checkpoints(workdir / SNAPSHOTS, keep=None)
    try:
        snapshots.require(updates)
        return snapshots.restore(like, updates)
    finally:
        snapshots.close()


def start_or_restore(problem: Problem, loop: Loop, checkpoints: Checkpoints) -> RunState:
    """The newest checkpoint's state, or a fresh one where there is none."""
    if checkpoints.latest is None:
        return loop.init(*problem.inputs)
    run = checkpoints.restore(loop.like(*problem.inputs))
    loop.restore(run)
    return run


def go_on(session: Session, run: RunState, clock: Clock) -> tuple[RunState, Clock]:
    """Trains chunk by chunk until the configured number of updates, or until Ctrl-C."""
    config, place = session.problem.config, session.problem.placement
    done, last = int(place.get(run.updates)[0]), config.updates
    title = f"{config.method} {config.env.id} x {place.runs}"
    with progress_bar(title, last, done) as show:
        while done < last:
            run, seen, clock = one_chunk(session, run, clock)
            done += config.log_every
            metrics = seen.metrics | evaluation(session, run, done)
            write_metrics(session, seen.env_steps, done, clock, metrics)
            show(done, metrics.get("eval/return"))
            warn_of_failures(session.problem, seen, done)
            save_if_due(session, run, done, stop=session.interrupted())
    return run, clock


def evaluation(session: Session, run: RunState, done: int) -> dict[str, np.ndarray]:
    """Mean returns [R] of the current policies, where an evaluation is due."""
    config = session.problem.config
    if not due(done, config.eval_every, config.updates):
        return {}
    return {"eval/return": session.evaluate(run.state, config.eval_episodes).mean(axis=1)}


def save_if_due(session: Session, run: RunState, done: int, stop: bool) -> None:
    """Saves what is due, and a checkpoint where the user wants to stop; raises Stopped in that case."""
    config = session.problem.config
    if config.snapshot_every and due(done, config.snapshot_every, config.updates):
        session.snapshots.save(done, run.state)
    if stop or due(done, config.checkpoint_every, config.updates):
        session.checkpoints.save(done, run)
    if stop and done < config.updates:
        raise Stopped


def one_chunk(session: Session, run: RunState, clock: Clock) -> tuple[RunState, Chunk, Clock]:
    """One compiled chunk, what the host sees of it, and the clock moved on."""
    problem, begun = session.problem, time.perf_counter()
    run, metrics = session.loop.chunk(problem.hparams, problem.rows, problem.picks, run)
    metrics, env_steps, failed_at = problem.placement.get((metrics, run.env_steps, run.failed_at))
    seen = Chunk(averages(metrics), int(env_steps[0]), failed_at)
    seconds, updates = time.perf_counter() - begun, problem.config.log_every
    if clock.first:  # compiles
        return run, seen, clock._replace(wall=clock.wall + seconds, first=False)
    warm = clock.warm_updates + updates, clock.warm_seconds + seconds
    return run, seen, Clock(clock.wall + seconds, *warm, first=False)


def warn_of_failures(problem: Problem, seen: Chunk, done: int) -> None:
    """Says which runs failed in the chunk that ended after `done` updates."""
    for run in np.flatnonzero(seen.failed_at >= max(0, done - problem.config.log_every)):
        names = sorted(name for name, value in seen.metrics.items() if not np.isfinite(value[run]))
        print(
            f"run {run} ({describe(problem, int(run))}): {', '.join(names)} not finite at update "
            f"{seen.failed_at[run]}; its parameters stay as they were before, the other runs go on",
            file=sys.stderr,
        )


def due(done: int, every: int, last: int) -> bool:
    """Whether something that happens every so many updates (0: only at the end) happens now."""
    return done >= last or (every > 0 and done % every == 0)


def averages(metrics: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turns sums over episodes into the mean return of the episodes that ended (NaN where none did)."""
    metrics = dict(metrics)
    if "episodes" not in metrics:
        return metrics
    episodes, total = metrics.pop("episodes"), metrics.pop("return_sum")
    ended = np.where(episodes > 0, episodes, np.nan)
    return metrics | {"train/return": total / ended}


def write_metrics(
    session: Session, env_steps: int, done: int, clock: Clock, metrics: dict[str, np.ndarray]
) -> None:
    """Writes one chunk's metrics to the files."""
    session.metrics.write(done, env_steps, clock.wall, session.problem.seeds, metrics)
    if session.tensorboard is not None:
        for name, value in metrics.items():
            session.tensorboard.add_scalar(name, float(np.mean(value)), done)
