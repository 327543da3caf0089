"""SQIL against NumPy, and its fixed point on a finite process against exact soft value iteration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.ops.tabular.mdp import MDP, soft_value_iteration
from iqlearn_jax.types import Batch, Transition
from tests.common import deterministic_mdp
from tests.methods.soft_rl_reference import ACTIONS, GAMMA, STATES, TAU, check_update, setup, uneven_batch


@pytest.mark.parametrize("treatment", ["zero", "absorbing"])
def test_update_is_the_sum_of_both_means_of_squared_errors(treatment):
    """Reward 1 on the 7 demonstrations, 0 on the 5 replayed rows, whatever rewards they carry."""
    with jax.enable_x64(True):
        spec, made, hparams, state, table = setup("sqil", terminal=treatment)
        batch = uneven_batch(spec)
        ones = {"policy": np.zeros(5), "expert": np.ones(7)}
        check_update(made, hparams, state, table, batch, ones, ones, treatment == "absorbing")


def counted_pairs(mdp, counts, ends):
    """Every (s, a, s') of a deterministic process, repeated `counts` [S, A] times."""
    s, a = (np.repeat(x.ravel(), counts.ravel()) for x in np.indices(counts.shape))
    after = mdp.transition.argmax(axis=-1)[s, a]
    rows = Transition(
        obs=s.astype(np.int32), action=a.astype(np.int32), reward=np.zeros(len(s), np.float32),
        next_obs=after.astype(np.int32), terminated=ends[after], truncated=np.zeros(len(s), bool),
    )  # fmt: skip
    return jax.tree.map(jnp.asarray, rows)


@pytest.mark.parametrize("treatment", ["endless", "zero", "absorbing"])
def test_fixed_point_is_soft_value_iteration_of_the_share_of_expert_rows(treatment):
    """r(s,a) = p_E/(p_E + p_replay); after a terminal the share of the expert's among all ends."""
    rng = np.random.default_rng(1)
    mine, theirs = rng.integers(1, 9, (2, STATES, ACTIONS))
    mdp = deterministic_mdp(STATES, ACTIONS, 3, GAMMA)
    ends = (np.arange(STATES) == 1) & (treatment != "endless")
    _, made, hparams, state, _ = setup("sqil", terminal="zero" if treatment == "endless" else treatment)
    batch = Batch(policy=counted_pairs(mdp, mine, ends), expert=counted_pairs(mdp, theirs, ends))

    @jax.jit
    def train(state):
        def step(state, rate):
            return made.update(hparams | {"critic_lr": rate}, state, batch, jax.random.key(0))[0], None

        return jax.lax.scan(step, state, jnp.geomspace(0.1, 1e-4, 4000))[0]

    state = train(state)
    (table,) = jax.tree.leaves(state.critic["net"])
    learner, expert = mine / mine.sum(), theirs / theirs.sum()
    reward, ended = expert / (learner + expert), ends[mdp.transition.argmax(axis=-1)]
    if treatment == "endless":
        with jax.enable_x64(True):
            exact = soft_value_iteration(MDP(*(jnp.asarray(x) for x in mdp)), jnp.asarray(reward), TAU)
        np.testing.assert_allclose(table[0], exact, atol=5e-3)
        return
    share = expert[ended].sum() / (learner + expert)[ended].sum()
    after_end, q = (share / (1 - GAMMA) if treatment == "absorbing" else 0.0), np.zeros((STATES, ACTIONS))
    for _ in range(300):
        v = TAU * np.log(np.exp(q / TAU).sum(axis=1))
        q = reward + GAMMA * np.where(ended, after_end, v[mdp.transition.argmax(axis=-1)])
    np.testing.assert_allclose(table[0], q, atol=5e-3)
    assert treatment == "zero" or float(state.critic["absorbing"]) == pytest.approx(share, abs=1e-3)
