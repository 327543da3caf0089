"""The loop around the compiled loop: chunks, evaluations, metrics, checkpoints, until the last update."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import cached_property
from typing import NamedTuple

import numpy as np
from absl import logging

from iqlearn_jax.devices.placement import is_main, largest_of_all
from iqlearn_jax.loops.loop import Loop, RunState
from iqlearn_jax.runs.folder import (
    RunFolder,
)
from iqlearn_jax.runs.history import History, read_history
from iqlearn_jax.training.console import announce, interruptible, progress_bar
from iqlearn_jax.training.problem import Problem, make_loop, updates_done


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, after the state was saved; `number` is the signal's."""

    def __init__(self, number: int = signal.SIGINT):
        super().__init__()
        self.number = number


class Clock(NamedTuple):
    """Seconds of training so far; updates and seconds after the first chunk, which compiles."""

    wall: float = 0.0
    warm_updates: int = 0
    warm_seconds: float = 0.0
    first: bool = True


class Chunk(NamedTuple):
    """What the host sees of a chunk: metrics [R], steps of a run's environments, `RunState.failed_at` [R]."""

    metrics: dict[str, np.ndarray]
    env_steps: int
    failed_at: np.ndarray


class Session:
    """What stays the same while one problem is trained; what looks at it is made when first needed.

    Attributes:
      folder: where it is written, None: nowhere.
      callback: (update, metrics [R]) -> None, called after each chunk.
      progress: whether to show how far it is.
      latest: the newest state and the clock, for whoever stops it.
    """

    def __init__(
        self,
        problem: Problem,
        folder: RunFolder | None = None,
        callback: Callable | None = None,
        progress: bool = True,
    ):
        self.problem, self.folder, self.callback, self.progress = problem, folder, callback, progress
        self.loop: Loop = make_loop(problem)
        self.latest: tuple[RunState, Clock] | None = None

    @cached_property
    def history(self) -> History:
        """Metrics so far."""
        return History(len(self.problem.seeds))

    @cached_property
    def evaluate(self) -> Callable:
        """(state, episodes) -> Played [R, episodes]."""
        from iqlearn_jax.training.evaluation import make_evaluator

        return make_evaluator(self.problem)

    @cached_property
    def initial_value(self) -> Callable:
        """(state) -> {"iq/initial_value": [R]}."""
        from iqlearn_jax.training.evaluation import make_initial_value

        return make_initial_value(self.problem)

    @cached_property
    def judge(self) -> Callable:
        """(Played) -> likeness [R], or None."""
        from iqlearn_jax.training.judging import make_judge

        return make_judge(self.problem)

    @cached_property
    def doctor(self):
        """Watches the metrics; goes on from those that a resumed folder holds."""
        from iqlearn_jax.doctor.doctor import Doctor
        from iqlearn_jax.doctor.rules import make_case

        problem, workdir = self.problem, None if self.folder is None else self.folder.workdir
        return Doctor(make_case(problem.config, problem.spec), self.history, workdir)


def run_session(
    session: Session, start: Callable[[Session], RunState], started: Callable[[], None] = lambda: None
) -> tuple[RunState, Clock]:
    """From the first state to the last update; everything is on the disk then, if there is a folder.

    Args:
      start: (session) -> the run state to go on from.
      started: called once the state is there, before anything is written.
    """
    with interruptible() as interrupted, _closing(session.folder):  # also while it compiles
        if session.progress:
            announce(session.problem)
        run = start(session)
        started()
        clock = Clock() if session.folder is None else _rewind(session, run)
        return go_on(session, run, clock, interrupted)


def begin(session: Session) -> RunState:
    """A fresh state of all runs, or one with the networks of `config.init_from`."""
    run = session.loop.init(*session.problem.inputs)
    if not session.problem.config.init_from:
        return run
    from iqlearn_jax.training.warm_start import warm_start

    return warm_start(session.problem, run)


@contextmanager
def _closing(folder: RunFolder | None) -> Iterator[None]:
    if folder is None:
        yield
        return
    with closing(folder):
        yield


def _rewind(session: Session, run: RunState) -> Clock:
    """Metrics after the state's updates are dropped; the clock goes on where they end."""
    assert session.folder is not None
    seconds = session.folder.rewind(updates_done(session.problem, run))
    if seconds:
        session.history = read_history(session.folder.metrics, len(session.problem.seeds))
    return Clock(wall=seconds)


def go_on(
    session: Session, run: RunState, clock: Clock, interrupted: Callable[[], int]
) -> tuple[RunState, Clock]:
    """Trains chunk by chunk until the configured number of updates, or until a signal."""
    config = session.problem.config
    done, last = updates_done(session.problem, run), config.updates
    title = f"{config.method} {config.env.id} x {session.problem.placement.runs}"
    with progress_bar(title, last, done) if session.progress else nullcontext(lambda *_: None) as show:
        while done < last:
            run, chunk, clock = one_chunk(session, run, clock)
            done += config.log_every
            metrics = chunk.metrics | session.initial_value(run.state) | evaluation(session, run, done)
            record(session, chunk, done, clock, metrics)
            show(done, metrics)
            session.latest = run, clock
            session.doctor.see(done, metrics)
            save_if_due(session, run, done, stop=largest_of_all(interrupted()))
    session.doctor.conclude()
    return run, clock


def evaluation(session: Session, run: RunState, done: int) -> dict[str, np.ndarray]:
    """Mean returns and likeness [R] of the current policies, where an evaluation is due."""
    config = session.problem.config
    if not session.problem.has_simulator or not due(done, config.eval_every, config.updates):
        return {}
    played = session.evaluate(run.state, config.eval_episodes)
    likeness = session.judge(played)
    metrics = {"eval/return": played.returns.mean(axis=1)}
    return metrics if likeness is None else metrics | {"eval/likeness": likeness}


def record(session: Session, chunk: Chunk, done: int, clock: Clock, metrics: dict[str, np.ndarray]) -> None:
    """Keeps one chunk's metrics [R]: in memory, in the folder, and for whoever asked to be called."""
    session.history.add(done, chunk.env_steps, clock.wall, metrics)
    if session.folder is not None:
        session.folder.write(done, chunk.env_steps, clock.wall, session.problem.seeds, metrics)
    failed = np.flatnonzero(chunk.failed_at >= max(0, done - session.problem.config.log_every))
    if failed.size:
        warn_of_failures(session.problem, chunk.metrics, chunk.failed_at, failed)
    if session.callback is not None:
        session.callback(done, metrics)


def save_if_due(session: Session, run: RunState, done: int, stop: int) -> None:
    """Saves what is due, and a checkpoint where a signal `stop` came; raises Stopped in that case."""
    config, folder = session.problem.config, session.folder
    if folder is not None:
        if config.snapshot_every and due(done, config.snapshot_every, config.updates):
            folder.save_snapshot(done, run.state)
        late = largest_of_all(folder.overdue(config.checkpoint_minutes))
        if stop or late or due(done, config.checkpoint_every, config.updates):
            folder.save(done, run)
    if stop and done < config.updates:
        raise Stopped(stop)


def one_chunk(session: Session, run: RunState, clock: Clock) -> tuple[RunState, Chunk, Clock]:
    """One compiled chunk, what the host sees of it, and the clock moved on."""
    problem, begun = session.problem, time.perf_counter()
    run, metrics = session.loop.chunk(problem.hparams, problem.rows, problem.picks, run)
    metrics, env_steps, failed_at = problem.placement.get((metrics, run.env_steps, run.failed_at))
    chunk = Chunk(averages(metrics), int(env_steps[0]), failed_at)
    seconds, updates = time.perf_counter() - begun, problem.config.log_every
    if clock.first:  # compiles
        return run, chunk, clock._replace(wall=clock.wall + seconds, first=False)
    warm = clock.warm_updates + updates, clock.warm_seconds + seconds
    return run, chunk, Clock(clock.wall + seconds, *warm, first=False)


def due(done: int, every: int, last: int) -> bool:
    """Whether something that happens every so many updates (0: only at the end) happens now."""
    return done >= last or (every > 0 and done % every == 0)


def averages(metrics: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Sums over episodes as the mean return of the episodes that ended (NaN where none did)."""
    metrics = dict(metrics)
    if "episodes" not in metrics:
        return metrics
    episodes, total = metrics.pop("episodes"), metrics.pop("return_sum")
    ended = np.where(episodes > 0, episodes, np.nan)
    return metrics | {"train/return": total / ended}


def warn_of_failures(
    problem: Problem, metrics: dict[str, np.ndarray], failed_at: np.ndarray, failed: np.ndarray
) -> None:
    """Says which metrics of the runs `failed` were not finite in their last chunk."""
    for run in failed if is_main() else ():
        names = ", ".join(sorted(name for name, value in metrics.items() if not np.isfinite(value[run])))
        logging.warning(
            f"run {run} ({describe(problem, int(run))}): {names} not finite at update {failed_at[run]}; its "
            "parameters stay as they were before, the other runs go on"
        )


def describe(problem: Problem, run: int) -> str:
    """A run by its seed and what the grid gave it."""
    varied = [f"{name} {values[run]:g}" for name, values in problem.varied.items()]
    return ", ".join([f"seed {problem.seeds[run]}", *varied])
