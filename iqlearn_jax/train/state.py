"""What a run is made of: the state that a checkpoint holds, its demonstrations, its hyperparameters."""

import math
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from iqlearn_jax.config import TRACED
from iqlearn_jax.data.demos import Demos
from iqlearn_jax.data.frame_replay import FrameRows, take_next_actions, take_rows
from iqlearn_jax.data.select import select, stack_selections
from iqlearn_jax.types import Batch, Hparams, Transition

NORMALIZATION = ("obs_mean", "obs_std", "obs_turn")  # the last one with `config.whiten` only
MIN_STD = 1e-3  # an observation entry that varies less is left unscaled


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


class Runs(NamedTuple):
    """The runs of a configuration, point by point of its grid, seed by seed.

    Attributes:
      seeds: [R].
      values: {name: [R]} of the hyperparameters that the grid varies.
    """

    seeds: np.ndarray
    values: dict[str, np.ndarray]


class Picks(struct.PyTreeNode):
    """Which transitions of the shared demonstrations a run may see.

    Attributes:
      indices: [n] int32, padded to the longest run; the first `count` are valid.
      initial: [trajectories] int32 first steps of its episodes.
    """

    indices: jax.Array
    count: jax.Array
    initial: jax.Array


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


def number_of_runs(config) -> int:
    """Runs of the whole grid, whatever part of them this program takes."""
    return config.seeds * math.prod(len(values) for values in config.grid.values() if values)


def pick_demos(config, demos: Demos, seeds: np.ndarray) -> Picks:
    """Each run's own choice of trajectories and of steps in them, by its seed. Leading axis R."""
    chosen = [select(demos, config.demos.trajectories, config.demos.subsample, int(seed)) for seed in seeds]
    indices, counts = stack_selections(chosen)
    return Picks(
        indices=jnp.asarray(indices),
        count=jnp.asarray(counts),
        initial=jnp.asarray(np.stack([choice.initial for choice in chosen])),
    )


def demonstrated_obs(demos: Demos, picks: Picks) -> list[np.ndarray]:
    """Observations and successors [2n, ...] that each run's demonstrations show."""
    found = []
    for indices, count in zip(np.asarray(picks.indices), np.asarray(picks.count), strict=True):
        seen = indices[:count]
        found.append(np.concatenate([demos.observations[seen], demos.next_observations[seen]]))
    return found


def make_hparams(config, normalization: dict[str, np.ndarray]) -> Hparams:
    """Traced leaves [R] of all runs, with the statistics that standardise vectors [R, D]; else [R]."""
    runs = runs_of(config)
    same = {name: np.full(len(runs.seeds), config[name]) for name in TRACED}
    hparams = {name: jnp.asarray(values, jnp.float32) for name, values in (same | runs.values).items()}
    return hparams | {name: jnp.asarray(values) for name, values in normalization.items()}


def identity_normalization(
    runs: int, obs_shape: tuple[int, ...], whiten: bool = False
) -> dict[str, np.ndarray]:
    """Statistics that leave observations as they are: [R, D] for vectors, [R] where there is nothing to
    standardise, with `whiten` also [R, D, D]."""
    shape = (runs, *obs_shape) if len(obs_shape) == 1 else (runs,)
    found = {"obs_mean": np.zeros(shape, np.float32), "obs_std": np.ones(shape, np.float32)}
    if whiten:
        found["obs_turn"] = np.tile(np.eye(*obs_shape, dtype=np.float32), (runs, 1, 1))
    return found


def measure_normalization(seen: list[list[np.ndarray]], whiten: bool = False) -> dict[str, np.ndarray]:
    """Statistics [R, D] from each run's sources, [n, D] each, that count alike in mean and deviation; with
    `whiten` also the matrix [R, D, D] that leaves standardised observations uncorrelated."""
    mean, spread = (np.stack(found) for found in zip(*map(moments, seen), strict=True))
    std = np.where(spread > MIN_STD, spread, 1.0)
    found = {"obs_mean": mean, "obs_std": std}
    if whiten:
        scaled = [[(x - m) / s for x in own] for own, m, s in zip(seen, mean, std, strict=True)]
        found["obs_turn"] = np.stack([turn(own) for own in scaled])
    return {name: values.astype(np.float32) for name, values in found.items()}


def turn(sources: list[np.ndarray]) -> np.ndarray:
    """The matrix W [D, D] with which x @ W has covariance 1, for x from sources that count alike.

    Directions in which they vary less than MIN_STD keep their scale.
    """
    doubles = [x.astype(np.float64) for x in sources]
    covariance = np.mean([x.T @ x / len(x) for x in doubles], axis=0)  # x is centred over all sources
    variance, directions = np.linalg.eigh(covariance)
    return directions / np.where(variance > MIN_STD**2, np.sqrt(np.maximum(variance, 0)), 1.0)


def moments(sources: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [D] of the mixture in which each source [n, D] has the same weight."""
    means = np.stack([obs.mean(axis=0) for obs in sources])
    variances = np.stack([obs.var(axis=0) for obs in sources])
    return means.mean(axis=0), np.sqrt(variances.mean(axis=0) + means.var(axis=0))


def sample_expert(rows: Transition | FrameRows, picks: Picks, key: jax.Array, size: int) -> Batch:
    """Uniform sample of one run's demonstrations: transitions, the actions after them, start observations."""
    row_key, initial_key = jax.random.split(key)
    index = picks.indices[jax.random.randint(row_key, (size,), 0, picks.count)]
    initial = jax.random.choice(initial_key, picks.initial, (size,))
    return Batch(
        expert=take_rows(rows, index),
        next_action=take_next_actions(rows, index),
        initial=take_rows(rows, initial).obs,
    )


def sample_windows(
    rows: Transition | FrameRows, picks: Picks, key: jax.Array, size: int, length: int, from_start=False
) -> Batch:
    """Windows [size, length] of successive steps in the file, from uniformly drawn ones of a run's own.

    A window may run over the end of its episode, which its `terminated` and `truncated` then show inside it.

    Args:
      from_start: from the first steps of the run's episodes.
    """
    starts = picks.initial if from_start else picks.indices
    count = len(picks.initial) if from_start else picks.count
    first = starts[jax.random.randint(key, (size,), 0, count)]
    last = jax.tree.leaves(rows.facts if isinstance(rows, FrameRows) else rows)[0].shape[0] - 1
    index = jnp.minimum(first[:, None] + jnp.arange(length), last)
    found = take_rows(rows, index.ravel())
    return Batch(expert=jax.tree.map(lambda x: x.reshape(size, length, *x.shape[1:]), found))
