"""What a run is made of: the state that a checkpoint holds, its demonstrations, its hyperparameters."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from iqlearn_jax.config import TRACED
from iqlearn_jax.data.demos import Demos
from iqlearn_jax.data.frame_replay import FrameRows, take_rows
from iqlearn_jax.data.select import select, stack_selections
from iqlearn_jax.types import Hparams, Transition

NORMALIZATION = ("obs_mean", "obs_std")
MIN_STD = 1e-3  # an observation entry that varies less is left unscaled


class RunState(struct.PyTreeNode):
    """Everything that training changes; a checkpoint of it resumes bit for bit.

    Attributes:
      state: the method's state.
      replay: state of the replay (`data.replay`), None offline.
      env: running environments [num_envs], None offline and on the host.
      key: typed key of the run; constant, each step folds its number in.
      updates, env_steps: [] int32 counters.
    """

    state: Any
    replay: Any
    env: Any
    key: jax.Array
    updates: jax.Array
    env_steps: jax.Array


class Picks(struct.PyTreeNode):
    """Which transitions of the shared demonstrations a run may see.

    Attributes:
      indices: [n] int32, padded to the longest run; the first `count` are valid.
      initial: [trajectories] int32 first steps of its episodes.
    """

    indices: jax.Array
    count: jax.Array
    initial: jax.Array


def seeds_of(config) -> np.ndarray:
    """[R] seeds of the runs: first_seed, first_seed + 1, ..."""
    return config.first_seed + np.arange(config.seeds)


def pick_demos(config, demos: Demos) -> Picks:
    """Each run's own choice of trajectories and of steps in them, by its seed. Leading axis R."""
    chosen = [
        select(demos, config.demos.trajectories, config.demos.subsample, int(seed))
        for seed in seeds_of(config)
    ]
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
    hparams = {name: jnp.full(config.seeds, config[name], jnp.float32) for name in TRACED}
    return hparams | {name: jnp.asarray(normalization[name]) for name in NORMALIZATION}


def normalization_shape(runs: int, obs_shape: tuple[int, ...]) -> tuple[int, ...]:
    """[R, D] for vectors; [R] where there is nothing to standardise."""
    return (runs, *obs_shape) if len(obs_shape) == 1 else (runs,)


def identity_normalization(runs: int, obs_shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Statistics that leave observations as they are."""
    shape = normalization_shape(runs, obs_shape)
    return {"obs_mean": np.zeros(shape, np.float32), "obs_std": np.ones(shape, np.float32)}


def measure_normalization(seen: list[list[np.ndarray]]) -> dict[str, np.ndarray]:
    """Statistics [R, D] from each run's sources, [n, D] each, that count alike in mean and deviation."""
    mean, spread = (np.stack(found) for found in zip(*map(moments, seen), strict=True))
    std = np.where(spread > MIN_STD, spread, 1.0)
    return {"obs_mean": mean.astype(np.float32), "obs_std": std.astype(np.float32)}


def moments(sources: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [D] of the mixture in which each source [n, D] has the same weight."""
    means = np.stack([obs.mean(axis=0) for obs in sources])
    variances = np.stack([obs.var(axis=0) for obs in sources])
    return means.mean(axis=0), np.sqrt(variances.mean(axis=0) + means.var(axis=0))


def sample_expert(
    rows: Transition | FrameRows, picks: Picks, key: jax.Array, size: int
) -> tuple[Transition, jax.Array]:
    """Uniform sample of one run's demonstrations: transitions [size] and start observations [size]."""
    row_key, initial_key = jax.random.split(key)
    index = picks.indices[jax.random.randint(row_key, (size,), 0, picks.count)]
    initial = jax.random.choice(initial_key, picks.initial, (size,))
    return take_rows(rows, index), take_rows(rows, initial).obs
