"""GAIL: its discriminator against exact log-ratios, the rewards that reach PPO against NumPy."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.ops.baselines.adversarial import REWARD_SHAPES
from iqlearn_jax.types import Batch
from tests.common import random_rows
from tests.methods.densities import drawn_from, every_pair, two_occupancies
from tests.methods.on_policy_reference import GAMMA, STATES, in_time, setup, value_gradient
from tests.methods.soft_rl_reference import ACTIONS

CLOSED = {
    "log_odds": lambda d: np.log(d) - np.log(1 - d),
    "positive": lambda d: -np.log(1 - d),
    "negative": lambda d: np.log(d),
}


def shuffled(rows, size, seed):
    """`size` of the rows in a random order, and how often each (s, a) is among them, [S, A]."""
    chosen = np.random.default_rng(seed).permutation(rows.obs.shape[0])[:size]
    rows = jax.tree.map(lambda x: x[chosen], rows)
    counts = np.zeros((STATES, ACTIONS))
    np.add.at(counts, (np.asarray(rows.obs), np.asarray(rows.action)), 1)
    return rows, counts


def test_trained_log_odds_are_the_log_ratio_of_occupancies():
    """By whole updates, whose policy stands still; the reward is the logit."""
    occupancies = two_occupancies()
    (expert, p), (policy, q) = (
        shuffled(drawn_from(density, 1000, 0)[0], 960, seed) for seed, density in enumerate(occupancies)
    )
    np.testing.assert_allclose([p / 960, q / 960], occupancies, atol=0.01)
    _, made, hparams, state = setup("gail", hidden=(32,), minibatches=1)
    batch = Batch(policy=in_time(policy, 96), expert=expert)
    still = hparams | {"actor_lr": 0.0, "critic_lr": 0.0}

    @jax.jit
    def train(state):
        def step(state, rate):
            actual = made.update(still | {"discriminator_lr": rate}, state, batch, jax.random.key(0))
            return actual[0], None

        return jax.lax.scan(step, state, jnp.geomspace(0.02, 1e-4, 1000))[0]

    actual = made.reward(hparams, train(state), every_pair(), jax.random.key(0))
    wanted = np.log(p / q).ravel()
    np.testing.assert_allclose(actual, wanted, atol=0.03)
    assert np.abs(wanted).max() > 0.5


FAST = (("log_odds", "absorbing"), ("positive", "zero"))
REWARDS = [
    pytest.param(*case, marks=[] if case in FAST else pytest.mark.slow)
    for case in product(REWARD_SHAPES, ("zero", "absorbing"))
]


@pytest.mark.parametrize(("shape", "treatment"), REWARDS)
def test_ppo_learns_from_the_discriminators_reward(shape, treatment):
    """A linear discriminator that stands still: log-odds are a sum of known weights; λ = 0: V's target is
    r + γV(s'). Behind an end the absorbing state's reward comes for ever, discounted."""
    with jax.enable_x64(True):
        spec, made, hparams, state = setup(
            "gail", terminal=treatment, reward_shape=shape, hidden=(), discriminator_lr=0.0, gae_lambda=0.0
        )
        rows, expert = (jax.tree.map(jnp.asarray, random_rows(spec, 12, seed, 0.3)) for seed in (0, 1))
        after, _ = made.update(
            hparams, state, Batch(policy=in_time(rows, 6), expert=expert), jax.random.key(1)
        )
    assert 0 < rows.terminated.sum() < 12 and rows.truncated.any()
    dense = state.discriminator["params"]["Dense_0"]
    weights, bias = np.float64(dense["kernel"])[:, 0], float(dense["bias"][0])
    odds = lambda logit: CLOSED[shape](1 / (1 + np.exp(-logit)))  # noqa: E731
    reward = odds(weights[rows.obs] + weights[STATES + np.asarray(rows.action)] + bias)
    end = odds(weights[-1] + bias) if treatment == "absorbing" else 0.0
    tail = sum(GAMMA**k * end for k in range(1, 400))
    wanted, actual = value_gradient(state, after, rows, reward + rows.terminated * tail)
    np.testing.assert_allclose(actual, wanted, atol=1e-6)
    assert np.abs(wanted).max() > 0.1
