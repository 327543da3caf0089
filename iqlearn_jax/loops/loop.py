"""What all training loops share, and the simplest of them: learning from demonstrations alone."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from iqlearn_jax.data.others import add_others
from iqlearn_jax.data.sampling import sample_expert
from iqlearn_jax.devices.placement import vmap
from iqlearn_jax.methods import Method
from iqlearn_jax.types import Batch, Hparams, Metrics


class RunState(struct.PyTreeNode):
    """Everything that training changes; a checkpoint of it resumes bit for bit.

    Attributes:
      state: the method's state.
      replay: state of the replay (`data.replay`), None offline.
      env: running environments [num_envs], None offline and on the host.
      key: typed key of the run; constant, each step folds its number in.
      updates, env_steps: [] int32 counters.
      failed_at: [] int32 number of the update that was not finite and was not taken; -1 while there is none.
        `state` stays as it was before.
    """

    state: Any
    replay: Any
    env: Any
    key: jax.Array
    updates: jax.Array
    env_steps: jax.Array
    failed_at: jax.Array


class Loop(NamedTuple):
    """Training of R runs at once. Arrays have the leading axis R; the demonstrations `rows` are shared.

    Attributes:
      init: (hparams, seeds, rows, demo_indices) -> RunState.
      chunk: (hparams, rows, demo_indices, run) -> (run, metrics): `log_every` updates; metrics are means [R].
      like: as `init`, but shapes and dtypes only: what a checkpoint is read into.
      restore: (run) -> None: puts what lies outside the run's arrays (simulators) where the run left off.
    """

    init: Callable
    chunk: Callable
    like: Callable
    restore: Callable = lambda run: None


def make_offline(config, method: Method, map_runs: Callable = vmap) -> Loop:
    """Learning from demonstrations, and other data where there are any: no environment is touched."""

    def init(hparams, seed, rows, demo_indices):
        init_key, run_key = jax.random.split(jax.random.key(seed))
        return start_run(method.init(init_key, hparams), run_key)

    def step(hparams, rows, demo_indices, run):
        sample_key, update_key, other_key = jax.random.split(jax.random.fold_in(run.key, run.updates), 3)
        batch = sample_expert(rows, demo_indices, sample_key, config.batch_size)
        if config.data.path:
            batch = add_others(rows, demo_indices, batch, other_key, config.batch_size)
        return update_run(method, hparams, run, batch, update_key)

    return compile_loop(init, step, config.log_every, map_runs)


def start_run(state: Any, key: jax.Array, replay: Any = None, env: Any = None) -> RunState:
    """A run before its first update."""
    return RunState(state, replay, env, key, jnp.int32(0), jnp.int32(0), jnp.int32(-1))


def update_run(method: Method, hparams, run: RunState, batch: Batch, key) -> tuple[RunState, Metrics]:
    """One update, counted; from the first one on whose metrics are not finite, the state stays as it is.

    Only the method's state is selected: a select over the replay would copy it at each step.
    """
    state, metrics = method.update(hparams, run.state, batch, key)
    finite = jnp.isfinite(sum(jax.tree.leaves(metrics)))
    healthy = (run.failed_at < 0) & finite
    failed_at = jnp.where((run.failed_at < 0) & ~finite, run.updates, run.failed_at)
    state = jax.tree.map(lambda new, old: jnp.where(healthy, new, old), state, run.state)
    return run.replace(state=state, updates=run.updates + 1, failed_at=failed_at), metrics


def compile_loop(init: Callable, step: Callable, steps: int, map_runs: Callable) -> Loop:
    """Scans `step`, maps runs over the leading axis and compiles; the run's state is donated.

    Args:
      map_runs: as `placement.vmap`; on several devices it gives each its share of the runs.
    """

    def chunk(hparams, rows, demo_indices, run):
        run, metrics = jax.lax.scan(lambda run, _: step(hparams, rows, demo_indices, run), run, length=steps)
        return run, jax.tree.map(lambda x: jnp.mean(x, axis=0), metrics)

    mapped_init = map_runs(init, in_axes=(0, 0, None, 0))
    mapped_chunk = map_runs(chunk, in_axes=(0, None, 0, 0))
    return Loop(
        init=jax.jit(mapped_init),
        chunk=jax.jit(mapped_chunk, donate_argnums=3),
        like=partial(jax.eval_shape, mapped_init),
    )


class Runs(NamedTuple):
    """The runs of a configuration, point by point of its grid, seed by seed.

    Attributes:
      seeds: [R].
      values: {name: [R]} of the hyperparameters that the grid varies.
    """

    seeds: np.ndarray
    values: dict[str, np.ndarray]


def runs_of(config) -> Runs:
    """All runs of a configuration, or the part of them that `config.part` names.

    The seeds of each point of the grid are first_seed, first_seed + 1, ...
    """
    grid = {name: values for name, values in config.grid.items() if values}
    points = list(product(*grid.values()))
    seeds = np.tile(config.first_seed + np.arange(config.seeds), len(points))
    table = np.repeat(np.asarray(points, np.float64).reshape(len(points), len(grid)), config.seeds, axis=0)
    number, parts = config.part
    mine = np.array_split(np.arange(len(seeds)), parts)[number]
    return Runs(seeds[mine], {name: table[mine, i] for i, name in enumerate(grid)})


def make_hparams(config, normalization: dict[str, np.ndarray]) -> Hparams:
    """Traced leaves [R] of all runs, with the statistics that standardise vectors [R, D]; else [R]."""
    runs = runs_of(config)
    same = {name: np.full(len(runs.seeds), config[name]) for name in config.grid}
    hparams = {name: jnp.asarray(values, jnp.float32) for name, values in (same | runs.values).items()}
    return hparams | {name: jnp.asarray(values) for name, values in normalization.items()}
