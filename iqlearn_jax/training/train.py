"""Training from a configuration to the finished folder of its runs: the loop around the compiled loop."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.demos import in_own_terms
from iqlearn_jax.data.sampling import NORMALIZATION
from iqlearn_jax.data.save import save
from iqlearn_jax.devices.placement import is_main, largest_of_all
from iqlearn_jax.errors import SimulatorError
from iqlearn_jax.loops.loop import RunState
from iqlearn_jax.runs.folder import RunFolder, claim, make_folder, read_config, refuse_taken
from iqlearn_jax.runs.history import read_history
from iqlearn_jax.runs.lock import locked
from iqlearn_jax.runs.provenance import collect
from iqlearn_jax.training.console import announce, interruptible, progress_bar, warn_of_data, warn_of_failures
from iqlearn_jax.training.kept import keep
from iqlearn_jax.training.problem import Problem, data_digest, make_problem, updates_done
from iqlearn_jax.training.session import Chunk, Clock, Session, Stopped, begin


def run_session(
    session: Session, start: Callable[[Session], RunState], started: Callable[[], None] = lambda: None
) -> tuple[RunState, Clock]:
    """From the first state to the last update; everything is on the disk then, if there is a folder.

    Args:
      start: (session) -> the run state to go on from.
      started: called once the state is there, before anything is written.
    """
    folder = nullcontext() if session.folder is None else closing(session.folder)
    _ = session.loop  # opens simulators, which Ctrl-C may end at once
    with interruptible() as interrupted, folder:  # also while it compiles
        if session.progress:
            announce(session.problem)
        run = start(session)
        started()
        clock = Clock() if session.folder is None else _rewind(session, run)
        return go_on(session, run, clock, interrupted)


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
            done += config.log_every - done % config.log_every
            run, chunk, clock, metrics = one_more(session, run, clock, done)
            doctor = session.doctor  # made before this chunk is recorded, on what was logged before
            record(session, chunk, done, clock, metrics)
            show(done, metrics)
            session.latest = run, clock
            doctor.see(done, metrics)
            save_if_due(session, run, done, stop=largest_of_all(interrupted()))
    session.doctor.conclude()
    return run, clock


def one_more(
    session: Session, run: RunState, clock: Clock, done: int
) -> tuple[RunState, Chunk, Clock, dict[str, np.ndarray]]:
    """The chunk that ends at `done` updates and its metrics [R], with an evaluation where one is due.

    Raises:
      SimulatorError: an environment failed; what was learned until then is saved.
    """
    try:
        run, chunk, clock = one_chunk(session, run, clock)
    except SimulatorError as error:
        keep(session, run, clock, error)
        raise
    if session.latest is None:
        warn_of_data(session.problem)
    try:
        scores = evaluation(session, run, done)
    except SimulatorError as error:
        record(session, chunk, done, clock, chunk.metrics)
        keep(session, run, clock, error)
        raise
    return run, chunk, clock, chunk.metrics | session.initial_value(run.state) | scores


def evaluation(session: Session, run: RunState, done: int) -> dict[str, np.ndarray]:
    """Mean returns and likeness [R] of the current policies, where an evaluation is due."""
    config = session.problem.config
    if not session.problem.is_played or not due(done, config.eval_every, config.updates):
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
    run, metrics = session.loop.chunk(problem.hparams, problem.rows, problem.demo_indices, run)
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


def train(
    config, workdir: Path, resume: bool = False, force: bool = False, named: Iterable[str] = ()
) -> dict[str, Any]:
    """Trains all runs of a configuration and leaves the files of docs/formats.md in `workdir`.

    Args:
      config: from `iqlearn_jax.config.base_config`.
      workdir: new folder, or with `resume` one whose training was stopped or is to go on for more updates.
      force: resumes with another configuration, code or demonstrations than the folder's, and records it.
      named: dotted keys that were set on purpose; of a new run that would not read one, nothing begins.
    Returns:
      the content of `summary.json`.
    Raises:
      InputError: unusable configuration, demonstrations or folder; another process trains there.
      StorageError: the disk is full; what was saved before is whole.
      SimulatorError: an environment failed; what was learned until then is saved.
      Stopped: after Ctrl-C or SIGTERM, with everything saved.
    """
    if resume:
        read_config(workdir)  # no run there? then no lock is left there either
        with locked(workdir):
            return _resume(config, workdir, force)
    problem = make_problem(config, named=named)  # before there is a folder: a refusal leaves nothing behind
    with claimed(problem, workdir) as folder:
        return _finished(Session(problem, folder), begin)


def _resume(config, workdir: Path, force: bool) -> dict[str, Any]:
    from iqlearn_jax.training.resume import open_stopped, record_changes, restore

    problem, forced = open_stopped(config, workdir, force)
    session = Session(problem, RunFolder(workdir, problem.config))
    return _finished(session, restore, partial(record_changes, problem, workdir, forced))


def _finished(session: Session, *how: Callable) -> dict[str, Any]:
    run, clock = run_session(session, *how)
    from iqlearn_jax.training.summary import finish

    return finish(session, run, clock)


@contextmanager
def claimed(problem: Problem, workdir: Path) -> Iterator[RunFolder]:
    """Makes a folder a new run's, and keeps other processes out of it. Demonstrations in memory go with it.

    Raises:
      InputError: it holds a run already, or another process trains there.
    """
    make_folder(workdir)
    with locked(workdir):
        refuse_taken(workdir)
        _keep_demos(problem, workdir)
        statistics = {name: problem.hparams[name] for name in NORMALIZATION if name in problem.hparams}
        made = collect(data_digest(problem))
        claim(workdir, problem.config, problem.spec, made, problem.placement.get(statistics))
        yield RunFolder(workdir, problem.config)


def _keep_demos(problem: Problem, workdir: Path) -> None:
    """Demonstrations in memory become a file of the folder."""
    if problem.demos is None or problem.config.demos.path:
        return
    problem.config.demos.path = str((workdir / "demos.npz").absolute())
    if is_main():
        save(problem.config.demos.path, in_own_terms(problem.spec, problem.demos))
