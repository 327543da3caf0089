"""Folders opened again: the problem that was trained there, and the states that were saved."""

import copy
from contextlib import closing
from pathlib import Path
from typing import Any

import jax

from iqlearn_jax.data.replay.grow import grow
from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.registry import ENVIRONMENTS, handle_from_spec, open_env
from iqlearn_jax.envs.relative import with_origin
from iqlearn_jax.errors import InputError
from iqlearn_jax.loops.loop import RunState
from iqlearn_jax.loops.online import first_state
from iqlearn_jax.runs.checkpoint import KEEP, Checkpoints
from iqlearn_jax.runs.folder import (
    CHECKPOINTS,
    SNAPSHOTS,
    identity,
    read_normalization,
    read_spec,
    stored_config,
)
from iqlearn_jax.runs.provenance import check_same_config, check_same_demos
from iqlearn_jax.training.observations import saved_origin
from iqlearn_jax.training.problem import Problem, concrete, data_digest, make_loop, make_problem, updates_done


def folder_handle(config, workdir: Path) -> EnvHandle:
    """The environment of a folder, or what is known of it where there is no simulator (any more)."""
    gone = config.env.backend == "registered" and config.env.id not in ENVIRONMENTS
    if config.env.backend == "none" or gone:
        return handle_from_spec(read_spec(workdir))
    return with_origin(open_env(config.env), saved_origin(workdir))


def restore_newest(problem: Problem, loop, checkpoints: Checkpoints, workdir: Path) -> RunState:
    """The newest whole checkpoint's state. `Loop.restore` is for whoever goes on to train from it.

    Raises:
      InputError: all checkpoints are damaged, or the newest belongs to another run or schedule.
    """
    before = stored_config(workdir).updates
    longer = problem.config.updates > before
    saved = make_loop(problem._replace(config=_with_updates(problem.config, before))) if longer else loop
    run = checkpoints.restore_newest(saved.like(*problem.inputs), problem.placement)
    if longer and run.replay is not None:  # there may be room for more steps now
        run = run.replace(replay=grow(run.replay, loop.like(*problem.inputs).replay))
    done, every = updates_done(problem, run), problem.config.log_every
    on_host = problem.env is None and problem.config.feed == "replay"  # which goes on inside a chunk, too
    if done % every and not on_host:  # by force only
        raise InputError(f"config.log_every is {every}; expected a divisor of the {done} updates done so far")
    return run


def _with_updates(config, updates: int) -> Any:
    config = copy.deepcopy(config)
    config.updates = updates
    return config


def reopen(config, workdir: Path) -> Problem:
    """The problem that a folder was trained on; refuses another configuration or other demonstrations."""
    config = concrete(config)
    check_same_config(workdir, config)
    problem = make_problem(config, read_normalization(workdir), folder_handle(config, workdir))
    check_same_demos(workdir, data_digest(problem))
    return problem


def open_checkpoints(problem: Problem, workdir: Path, name: str, keep: int | None = KEEP) -> Checkpoints:
    """A folder's checkpoints or snapshots, to be read only."""
    run = identity(problem.config, read_normalization(workdir))
    return Checkpoints(workdir / name, keep, reading=True, run=run)


def load_run(workdir: Path, config) -> tuple[Problem, RunState]:
    """The newest checkpoint of a folder and the problem that it was trained on, for use after training.

    Raises:
      InputError: another configuration, changed demonstrations, or a damaged or unfinished folder.
    """
    problem = reopen(config, workdir)
    with closing(open_checkpoints(problem, workdir, CHECKPOINTS)) as checkpoints:
        checkpoints.require()
        return problem, restore_newest(problem, make_loop(problem), checkpoints, workdir)


def load_snapshot(workdir: Path, problem: Problem, updates: int) -> Any:
    """The method's state [R] after so many updates, where `config.snapshot_every` kept it.

    Raises:
      InputError: it was not kept.
    """
    keys = jax.random.split(jax.random.key(0), problem.placement.slots)

    def begin(hparams, key, demo_indices):
        num_envs = problem.config.online.num_envs
        return first_state(problem.method, hparams, key, problem.rows, demo_indices, num_envs)

    like = jax.eval_shape(jax.vmap(begin), problem.hparams, keys, problem.demo_indices)
    with closing(open_checkpoints(problem, workdir, SNAPSHOTS, keep=None)) as snapshots:
        snapshots.require(updates)
        return snapshots.restore(like, updates, problem.placement)
