"""Training from a configuration to a finished folder: loop, evaluation, checkpoints, summary."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from iqlearn_jax.errors import InputError
from iqlearn_jax.rewards.file import content_digest
from iqlearn_jax.sweep.checkpoint import Checkpoints
from iqlearn_jax.sweep.console import interruptible, progress_bar
from iqlearn_jax.sweep.doctor import Doctor
from iqlearn_jax.sweep.evaluation import make_evaluator, make_initial_value
from iqlearn_jax.sweep.finish import Clock, finish, warn_of_failures
from iqlearn_jax.sweep.likeness import make_judge
from iqlearn_jax.sweep.lock import locked
from iqlearn_jax.sweep.mesh import largest_of_all
from iqlearn_jax.sweep.problem import Problem, make_loop, make_problem
from iqlearn_jax.sweep.resuming import (
    check_same_config,
    check_same_demos,
    code_changes,
    config_changes,
    demos_changes,
    record_resumption,
    refuse_unless_forced,
)
from iqlearn_jax.sweep.symptoms import make_case
from iqlearn_jax.sweep.workdir import (
    MetricsFile,
    claim,
    last_wall_seconds,
    make_folder,
    open_tensorboard,
    read_config,
    read_normalization,
)
from iqlearn_jax.train.device import Loop
from iqlearn_jax.train.state import NORMALIZATION, RunState

CHECKPOINTS, SNAPSHOTS = "checkpoints", "snapshots"  # folders in a run's


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, after the state was saved; `number` is the signal's."""

    def __init__(self, number: int = signal.SIGINT):
        super().__init__()
        self.number = number


class Chunk(NamedTuple):
    """What the host sees of a chunk: metrics [R], steps of a run's environments, `RunState.failed_at` [R]."""

    metrics: dict[str, np.ndarray]
    env_steps: int
    failed_at: np.ndarray


class Session(NamedTuple):
    """What stays the same while one folder is trained."""

    problem: Problem
    loop: Loop
    initial_value: Callable
    evaluate: Callable
    judge: Callable
    checkpoints: Checkpoints
    snapshots: Checkpoints
    metrics: MetricsFile
    doctor: Doctor
    tensorboard: Any
    interrupted: Callable[[], int]  # the signal's number, 0 while there is none


def train(config, workdir: Path, resume: bool = False, force: bool = False) -> dict[str, Any]:
    """Trains all runs of a configuration and leaves the files of docs/formats.md in `workdir`.

    Args:
      config: from `iqlearn_jax.config.base_config`.
      workdir: new folder, or with `resume` one whose training was stopped.
      force: resumes with another configuration, code or demonstrations than the folder's, and records it.
    Returns:
      the content of `summary.json`.
    Raises:
      InputError: unusable configuration, demonstrations or folder; another process trains there.
      StorageError: the disk is full; what was saved before is whole.
      Stopped: after Ctrl-C or SIGTERM, with everything saved.
    """
    with opened(config, workdir, resume, force) as (problem, forced):
        note = partial(record_resumption, workdir, config, demos_digest(problem), forced)
        evaluate = make_evaluator(problem)
        run, clock = learn(problem, evaluate, workdir, restored=note if resume else lambda: None)
        return finish(problem, evaluate, run, clock, workdir)


def learn(
    problem: Problem, evaluate: Callable, workdir: Path, restored: Callable[[], None]
) -> tuple[RunState, Clock]:
    """From the newest checkpoint, or from nothing, to the last update; everything is on the disk then.

    Args:
      restored: called once the state is there, before anything is written.
    """
    loop, log = make_loop(problem), workdir / "metrics.jsonl"
    with (
        interruptible() as interrupted,  # also while it compiles and at the last save
        closing(Checkpoints(workdir / CHECKPOINTS)) as checkpoints,
        closing(Checkpoints(workdir / SNAPSHOTS, keep=None)) as snapshots,
    ):
        run = start_or_restore(problem, loop, checkpoints)
        restored()
        metrics = MetricsFile(log, upto=updates_done(problem, run))
        doctor = Doctor(make_case(problem.config, problem.spec), workdir)
        starts, judge = make_initial_value(problem), make_judge(problem)
        tools = loop, starts, evaluate, judge, checkpoints, snapshots, metrics, doctor
        session = Session(problem, *tools, open_tensorboard(problem.config, workdir), interrupted)
        return go_on(session, run, Clock(wall=last_wall_seconds(log)))


@contextmanager
def opened(config, workdir: Path, resume: bool, force: bool) -> Iterator[tuple[Problem, list[str]]]:
    """The problem of a new or stopped run, whose folder no other process may train in, and forced changes."""
    if resume:
        read_config(workdir)  # no run there? then no lock is left there either
        with locked(workdir):
            yield reopen_to_train(config, workdir, force)
        return
    problem = make_problem(config)  # before there is a folder: a refusal leaves nothing behind
    make_folder(workdir)
    with locked(workdir):
        claim_for(problem, workdir)
        yield problem, []


def claim_for(problem: Problem, workdir: Path) -> None:
    """Makes the folder a new run's."""
    normalization = problem.placement.get(
        {name: problem.hparams[name] for name in NORMALIZATION if name in problem.hparams}
    )
    claim(workdir, problem.config, demos_digest(problem), normalization)


def reopen(config, workdir: Path) -> Problem:
    """The problem that a folder was trained on; refuses another configuration or other demonstrations."""
    check_same_config(workdir, config)
    problem = make_problem(config, read_normalization(workdir))
    check_same_demos(workdir, demos_digest(problem))
    return problem


def reopen_to_train(config, workdir: Path, force: bool) -> tuple[Problem, list[str]]:
    """As `reopen`, but refuses other code too; returns what changed, which is nothing without `force`."""
    changed = config_changes(workdir, config) + code_changes(workdir)
    refuse_unless_forced(workdir, changed, force)
    problem = make_problem(config, read_normalization(workdir))
    other_demos = demos_changes(workdir, demos_digest(problem))
    refuse_unless_forced(workdir, other_demos, force)
    return problem, changed + other_demos


def demos_digest(problem: Problem) -> str | None:
    """What identifies the content of the demonstrations or of the reward file; None for plain RL."""
    if problem.config.reward_path:
        return content_digest(problem.config.reward_path)
    return None if problem.demos is None else problem.demos.digest


def load_run(workdir: Path, config) -> tuple[Problem, RunState]:
    """The newest checkpoint of a folder and the problem that it was trained on, for use after training.

    Raises:
      InputError: another configuration, changed demonstrations, or a damaged or unfinished folder.
    """
    problem = reopen(config, workdir)
    with closing(Checkpoints(workdir / CHECKPOINTS, reading=True)) as checkpoints:
        checkpoints.require()
        return problem, start_or_restore(problem, make_loop(problem), checkpoints)


def load_snapshot(workdir: Path, problem: Problem, updates: int) -> Any:
    """The method's state [R] after so many updates, where `config.snapshot_every` kept it.

    Raises:
      InputError: it was not kept.
    """
    keys = jax.random.split(jax.random.key(0), problem.placement.slots)
    like = jax.eval_shape(jax.vmap(problem.method.init), keys, problem.hparams)
    with closing(Checkpoints(workdir / SNAPSHOTS, keep=None, reading=True)) as snapshots:
        snapshots.require(updates)
        return snapshots.restore(like, updates, problem.placement)


def start_or_restore(problem: Problem, loop: Loop, checkpoints: Checkpoints) -> RunState:
    """The newest whole checkpoint's state, or a fresh one where none was ever saved.

    Raises:
      InputError: all checkpoints are damaged, or the newest belongs to another schedule.
    """
    if checkpoints.empty:
        return loop.init(*problem.inputs)
    run = checkpoints.restore_newest(loop.like(*problem.inputs), problem.placement)
    done, every = updates_done(problem, run), problem.config.log_every
    if done % every:  # by force only
        raise InputError(f"config.log_every is {every}; expected a divisor of the {done} updates done so far")
    loop.restore(run)
    return run


def go_on(session: Session, run: RunState, clock: Clock) -> tuple[RunState, Clock]:
    """Trains chunk by chunk until the configured number of updates, or until a signal."""
    config = session.problem.config
    done, last = updates_done(session.problem, run), config.updates
    title = f"{config.method} {config.env.id} x {session.problem.placement.runs}"
    with progress_bar(title, last, done) as show:
        while done < last:
            run, seen, clock = one_chunk(session, run, clock)
            done += config.log_every
            metrics = seen.metrics | session.initial_value(run.state) | evaluation(session, run, done)
            write_metrics(session, seen.env_steps, done, clock, metrics)
            show(done, metrics.get("eval/return"))
            session.doctor.see(done, metrics)
            warn_of_failures(session.problem, seen.metrics, seen.failed_at, done)
            save_if_due(session, run, done, stop=largest_of_all(session.interrupted()))
    session.doctor.conclude()
    return run, clock


def updates_done(problem: Problem, run: RunState) -> int:
    """Updates of all runs so far; they go in step."""
    return int(problem.placement.get(run.updates)[0])


def evaluation(session: Session, run: RunState, done: int) -> dict[str, np.ndarray]:
    """Mean returns and likeness [R] of the current policies, where an evaluation is due."""
    config = session.problem.config
    if not due(done, config.eval_every, config.updates):
        return {}
    played = session.evaluate(run.state, config.eval_episodes)
    likeness = session.judge(played)
    found = {"eval/return": played.returns.mean(axis=1)}
    return found if likeness is None else found | {"eval/likeness": likeness}


def save_if_due(session: Session, run: RunState, done: int, stop: int) -> None:
    """Saves what is due, and a checkpoint where a signal `stop` came; raises Stopped in that case."""
    config, checkpoints = session.problem.config, session.checkpoints
    if config.snapshot_every and due(done, config.snapshot_every, config.updates):
        session.snapshots.save(done, run.state)
    late = largest_of_all(checkpoints.overdue(config.checkpoint_minutes))
    if stop or late or due(done, config.checkpoint_every, config.updates):
        session.snapshots.wait()  # resuming writes nothing again that lies before the checkpoint
        session.metrics.sync()
        checkpoints.save(done, run)
    if stop and done < config.updates:
        raise Stopped(stop)


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
