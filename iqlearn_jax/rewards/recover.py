"""The recovered reward on given transitions (IQ-Learn, eq. 11)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import Method
from iqlearn_jax.types import Hparams, Transition

BATCH = 4096  # transitions in one compiled call


def recover(method: Method, hparams: Hparams, state, rows: Transition, key: jax.Array) -> np.ndarray:
    """r(s, a, s') = Q(s,a) − γV(s') of one run on any transitions; E_π[Q(s,·)] − γV(s') with state_only.

    Args:
      hparams, state: of ONE run (no leading axis).
      rows: transitions [N]; their reward is not read.
      key: V(s') of continuous actions is sampled.
    Returns:
      [N] float32 rewards, in the units of Q.
    Raises:
      InputError: the method recovers no reward.
    """
    size = rows.reward.shape[0]
    if method.reward is None:
        raise InputError("this method recovers no reward; use one that does, e.g. 'iq'")
    reward = jax.jit(method.reward)

    def part(number, start):
        index = np.minimum(np.arange(start, start + BATCH), size - 1)  # padded: one shape, one compile
        batch = jax.tree.map(lambda x: jnp.asarray(x[index]), rows)
        return np.asarray(reward(hparams, state, batch, jax.random.fold_in(key, number)))

    return np.concatenate([part(*item) for item in enumerate(range(0, size, BATCH))])[:size]


def join_episodes(episodes: Sequence[Transition]) -> tuple[Transition, np.ndarray]:
    """Episodes end to end, and the number [N] int32 of the episode that each step belongs to."""
    rows = jax.tree.map(lambda *x: np.concatenate(x), *episodes)
    lengths = [len(episode.reward) for episode in episodes]
    return rows, np.repeat(np.arange(len(episodes), dtype=np.int32), lengths)
