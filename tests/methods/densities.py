"""Rows with the frequencies of known occupancies, for discriminators that are to find their log-ratio."""

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.ops.tabular.mdp import MDP, occupancy
from iqlearn_jax.types import Transition
from tests.common import deterministic_mdp
from tests.methods.soft_rl_reference import ACTIONS, GAMMA, STATES


def two_occupancies():
    """Exact occupancies [S, A] of two random policies in one process with noise."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        mdp = deterministic_mdp(STATES, ACTIONS, 3, GAMMA)
        mixed = jnp.asarray(0.7 * mdp.transition + 0.3 / STATES)
        model = MDP(mixed, jnp.asarray(mdp.initial), GAMMA)
        policies = [jnp.asarray(rng.dirichlet(2 * np.ones(ACTIONS), STATES)) for _ in range(2)]
        return [np.asarray(occupancy(model, policy)) for policy in policies]


def drawn_from(density, size, ends):
    """About `size` rows with the frequencies of a density [S, A], the first `ends` of them terminal."""
    counts = np.rint(size * density).astype(int)
    s, a = (np.repeat(x.ravel(), counts.ravel()) for x in np.indices(counts.shape))
    s, a = s.astype(np.int32), a.astype(np.int32)
    rows = Transition(
        obs=s, action=a, reward=np.zeros(len(s)), next_obs=s,
        terminated=np.arange(len(s)) < ends, truncated=np.zeros(len(s), bool),
    )  # fmt: skip
    return jax.tree.map(jnp.asarray, rows), counts / counts.sum()


def every_pair():
    """One row for each (s, a), state by state."""
    s, a = (jnp.asarray(x.ravel(), jnp.int32) for x in np.indices((STATES, ACTIONS)))
    return Transition(obs=s, action=a, reward=s * 0.0, next_obs=s, terminated=s < 0, truncated=s < 0)
