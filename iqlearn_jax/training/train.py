"""Training from a configuration to the finished folder of its runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from iqlearn_jax.data.demos import save
from iqlearn_jax.runs.folder import RunFolder, claim, locked, make_folder, read_config, refuse_taken
from iqlearn_jax.runs.provenance import collect
from iqlearn_jax.training.problem import Problem, data_digest, make_problem
from iqlearn_jax.training.session import Session, Stopped, begin, run_session

__all__ = ["Stopped", "claimed", "train"]
NORMALIZATION = ("obs_mean", "obs_std", "obs_turn")  # what a saved policy means nothing without


def train(config, workdir: Path, resume: bool = False, force: bool = False) -> dict[str, Any]:
    """Trains all runs of a configuration and leaves the files of docs/formats.md in `workdir`.

    Args:
      config: from `iqlearn_jax.config.base_config`.
      workdir: new folder, or with `resume` one whose training was stopped or is to go on for more updates.
      force: resumes with another configuration, code or demonstrations than the folder's, and records it.
    Returns:
      the content of `summary.json`.
    Raises:
      InputError: unusable configuration, demonstrations or folder; another process trains there.
      StorageError: the disk is full; what was saved before is whole.
      Stopped: after Ctrl-C or SIGTERM, with everything saved.
    """
    if resume:
        read_config(workdir)  # no run there? then no lock is left there either
        with locked(workdir):
            return _resume(config, workdir, force)
    problem = make_problem(config)  # before there is a folder: a refusal leaves nothing behind
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
        if problem.demos is not None and not problem.config.demos.path:
            problem.config.demos.path = str((workdir / "demos.npz").absolute())
            save(problem.config.demos.path, problem.demos)
        statistics = {name: problem.hparams[name] for name in NORMALIZATION if name in problem.hparams}
        made = collect(data_digest(problem))
        claim(workdir, problem.config, problem.spec, made, problem.placement.get(statistics))
        yield RunFolder(workdir, problem.config)
