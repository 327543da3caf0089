"""Training that goes on from a folder's newest checkpoint."""

from pathlib import Path

from absl import logging

from iqlearn_jax.config.values import as_plain
from iqlearn_jax.errors import InputError
from iqlearn_jax.loops.loop import RunState
from iqlearn_jax.runs.folder import read_config, read_normalization
from iqlearn_jax.runs.identity import config_edits
from iqlearn_jax.runs.provenance import (
    code_changes,
    config_changes,
    demos_changes,
    record_resumption,
    refuse_unless_forced,
)
from iqlearn_jax.runs.trust import require_imported
from iqlearn_jax.training.problem import Problem, concrete, data_digest, make_problem
from iqlearn_jax.training.reopen import folder_handle, restore_newest
from iqlearn_jax.training.session import Session, begin

LEARNER = ("method", "feed")  # whose optimisers, targets and replay a checkpoint holds


def open_stopped(config, workdir: Path, force: bool) -> tuple[Problem, list[str]]:
    """The problem of a stopped run, and what changed since in words, which is nothing without `force`.

    More updates than before are no change: the run goes on.

    Raises:
      InputError: something changed and `force` is off, or the learner is another, which nothing can bridge.
    """
    require_imported(config.imports, workdir)
    config = concrete(config)
    refuse_another_learner(workdir, config)
    changed = config_edits(workdir, read_config(workdir))
    changed += config_changes(workdir, config, more_updates=True) + code_changes(workdir)
    refuse_unless_forced(workdir, changed, force)
    problem = make_problem(config, read_normalization(workdir), folder_handle(config, workdir))
    other_data = demos_changes(workdir, data_digest(problem))
    refuse_unless_forced(workdir, other_data, force)
    return problem, changed + other_data


def refuse_another_learner(workdir: Path, config) -> None:
    """Refuses what would go on with another learner's optimisers and targets, also by force.

    Raises:
      InputError: another method or feed than the folder's.
    """
    saved, wanted = read_config(workdir), as_plain(config)
    for key in LEARNER:
        if saved.get(key, wanted[key]) != wanted[key]:
            raise InputError(
                f"config.{key} is {wanted[key]!r}, but workdir {workdir} was trained with {saved[key]!r}, "
                "whose optimisers and targets its checkpoints hold; go on with that one, or start a new "
                f"folder from its networks: --init-from={workdir} without --resume"
            )


def record_changes(problem: Problem, workdir: Path, forced: list[str]) -> None:
    """Records that the run goes on, with which code and which changes."""
    record_resumption(workdir, problem.config, data_digest(problem), forced)


def restore(session: Session) -> RunState:
    """The newest whole checkpoint's state, or a fresh one where none was ever saved.

    Raises:
      InputError: checkpoints are gone; else as `restore_newest`.
    """
    folder = session.folder
    assert folder is not None
    folder.require_checkpoints()
    if folder.checkpoints.empty:
        logging.warning("%s: stopped before its first checkpoint, so it begins again", folder.workdir)
        return begin(session)
    run = restore_newest(session.problem, session.loop, folder.checkpoints, folder.workdir)
    session.loop.restore(run)
    return run
