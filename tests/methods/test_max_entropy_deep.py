"""Deep maximum entropy IRL: feature counts in NumPy, its closed forms, and the exact soft-optimal learner."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.ops.tabular.mdp import MDP, occupancy
from iqlearn_jax.types import Batch, Transition
from tests.common import random_rows, spec_of
from tests.methods import tabular_reference as reference
from tests.methods.soft_rl_reference import ACTIONS, GAMMA, STATES, TAU, check_update, setup, uneven_batch

PAIRS = np.stack(np.indices((STATES, ACTIONS))).reshape(2, -1)


def rows_at(counts, ends=None):
    """Each pair as often as `counts` [S, A] says; the first `ends` of the rows are terminal."""
    s, a = np.repeat(PAIRS, np.ravel(counts), axis=1).astype(np.int32)
    rows = Transition(
        obs=s, action=a, reward=np.zeros(len(s)), next_obs=s,
        terminated=np.arange(len(s)) < (ends or 0), truncated=np.zeros(len(s), bool),
    )  # fmt: skip
    return jax.tree.map(jnp.asarray, rows)


def slope_of(method, hparams, state, batch):
    """Gradient by a linear reward's weights (of states, actions, the absorbing state) and by its bias."""
    after, _ = method.update(hparams, state, batch, jax.random.key(0))
    dense = after.reward_opt.mu["params"]["Dense_0"]
    return np.asarray(dense["kernel"])[:, 0] / 0.1, float(dense["bias"][0]) / 0.1


def counts_by_hand(rows, absorbing):
    """Discounted, normalised feature counts [S + A + 1] row by row."""
    total, mass = np.zeros(STATES + ACTIONS + 1), 0.0
    for s, a, ended in zip(rows.obs, rows.action, rows.terminated, strict=True):
        total[int(s)] += 1
        total[STATES + int(a)] += 1
        loop = GAMMA / (1 - GAMMA) if ended and absorbing else 0.0
        total[-1] += loop
        mass += 1 + loop
    return total / mass


@pytest.mark.parametrize("treatment", [pytest.param("zero", marks=pytest.mark.slow), "absorbing"])
def test_the_slope_of_a_linear_reward_is_the_difference_of_feature_counts(treatment):
    """α = ∞, 5 rows of the learner and 7 of the expert; a constant reward has no slope at all."""
    with jax.enable_x64(True):
        spec, made, hparams, state, _ = setup("max_entropy_deep", terminal=treatment, hidden=(), alpha=1e30)
        batch = uneven_batch(spec)
        actual, bias = slope_of(made, hparams, state, batch)
        policy, expert = (counts_by_hand(x, treatment == "absorbing") for x in (batch.policy, batch.expert))
    np.testing.assert_allclose(actual, policy - expert, atol=1e-7)
    assert abs(bias) < 1e-7
    assert np.abs(policy - expert).max() > 0.05
    assert (abs(actual[-1]) > 0.01) == (treatment == "absorbing")


@pytest.mark.slow
def test_the_slope_vanishes_exactly_where_the_counts_match():
    """Other pairs with the same shares of states and of actions will do: a linear reward sees no more."""
    with jax.enable_x64(True):
        _, made, hparams, state, _ = setup("max_entropy_deep", hidden=(), alpha=1e30)
        paired, crossed, other = np.zeros((3, STATES, ACTIONS), int)
        paired[0, 0] = paired[1, 1] = crossed[0, 1] = crossed[1, 0] = other[0, 0] = other[1, 2] = 3
        slope = lambda a, b: slope_of(made, hparams, state, Batch(policy=rows_at(a), expert=rows_at(b)))[0]  # noqa: E731
        np.testing.assert_allclose(slope(crossed, paired), 0, atol=1e-12)
        assert np.abs(slope(other, paired)).max() == pytest.approx(0.5)


@pytest.mark.slow
def test_rewards_of_states_do_not_see_the_action():
    with jax.enable_x64(True):
        spec, made, hparams, state, _ = setup("max_entropy_deep", hidden=(8,), reward_input="state")
        batch = uneven_batch(spec)
        state, _ = made.update(hparams, state, batch, jax.random.key(0))
        rows = rows_at(np.ones((STATES, ACTIONS), int))
        actual = np.asarray(made.reward(hparams, state, rows)).reshape(STATES, ACTIONS)
    assert np.ptp(actual, axis=1).max() == 0 < np.ptp(actual, axis=0).max()


def trained(alpha, batch, **changes):
    """(method, hparams, state) after the reward alone has converged on one batch."""
    _, made, hparams, state, _ = setup("max_entropy_deep", alpha=alpha, **changes)

    @jax.jit
    def train(state):
        def step(state, rate):
            rates = {"discriminator_lr": rate, "critic_lr": rate}
            return made.update(hparams | rates, state, batch, jax.random.key(0))[0], None

        return jax.lax.scan(step, state, jnp.geomspace(0.02, 1e-5, 2500))[0]

    return made, hparams, train(state)


def test_the_trained_reward_is_its_closed_form():
    """4α(ρ_E − ρ)/(ρ_E + ρ) for every pair and, by the ends' discounted shares, for the absorbing state."""
    counts, ends = np.random.default_rng(0).integers(1, 9, (2, STATES, ACTIONS)), (3, 11)
    expert, policy = (rows_at(n, e) for n, e in zip(counts, ends, strict=True))
    made, hparams, state = trained(
        0.3, Batch(policy=policy, expert=expert), terminal="absorbing", hidden=(64,)
    )
    loop = GAMMA / (1 - GAMMA)
    mass = [n.sum() + e * loop for n, e in zip(counts, ends, strict=True)]
    p, q = (n.ravel() / m for n, m in zip(counts, mass, strict=True))
    actual = made.reward(hparams, state, rows_at(np.ones((STATES, ACTIONS), int)))
    np.testing.assert_allclose(actual, 1.2 * (p - q) / (p + q), atol=0.02)
    p, q = (e * loop / m for e, m in zip(ends, mass, strict=True))
    assert float(made.end_reward(hparams, state)) == pytest.approx(1.2 * (p - q) / (p + q), abs=0.02)


def optimum(transition, initial, expert, alpha):
    """(r, Q, ρ) [S, A] where r = 4α(ρ_E − ρ)/(ρ_E + ρ) and ρ is the occupancy of r's soft-optimal policy.

    In NumPy: a third of the way at a time, with the learner solved anew.
    """
    reward, wanted = np.zeros((2, STATES, ACTIONS))
    for _ in range(100):
        reward = reward + (wanted - reward) / 3
        q = reference.soft_q(transition, GAMMA, reward, TAU, 80)
        learner = reference.visits(transition, initial, GAMMA, reference.softmax(q, TAU), 80)
        wanted = 4 * alpha * (expert - learner) / (expert + learner)
    np.testing.assert_allclose(reward, wanted, atol=1e-6)
    return reward, q, learner


def rows_like(mdp, visits, size=1500):
    """[size] transitions of a deterministic process, pairs in the shares `visits` [S, A]."""
    edges = jnp.cumsum(visits.ravel())
    pair = jnp.searchsorted(edges, (jnp.arange(size) + 0.5) / size * edges[-1]).astype(jnp.int32)
    s, a = jnp.divmod(pair, ACTIONS)
    following, none = jnp.argmax(mdp.transition[s, a], axis=-1).astype(jnp.int32), jnp.zeros(size, bool)
    return Transition(
        obs=s, action=a, reward=jnp.zeros(size), next_obs=following, terminated=none, truncated=none
    )


def learned(pace, **changes):
    """(reward, Q [S, A] after 2,000 updates, transition, initial, ρ_E [S, A]).

    Each update sees rows in the exact shares of the present policy, softmax(Q/τ) of the method's own table.

    Args:
      pace: of the reward's rate, to the critic's.
    """
    spec, made, hparams, state, _ = setup("max_entropy_deep", **changes)
    mdp = MDP(*(jnp.asarray(x, jnp.float32) for x in spec.mdp))
    taught = np.random.default_rng(1).dirichlet(2 * np.ones(ACTIONS), STATES)
    expert = reference.visits(spec.mdp.transition, spec.mdp.initial, GAMMA, taught)
    demonstrations = rows_like(mdp, jnp.asarray(expert, jnp.float32))

    def table(state):
        return jax.tree.leaves(state.critic["net"])[0][0]

    @jax.jit
    def train(state):
        def step(state, rate):
            replay = rows_like(mdp, occupancy(mdp, jax.nn.softmax(table(state) / TAU)))
            given = hparams | {"discriminator_lr": pace * rate, "critic_lr": rate}
            batch = Batch(policy=replay, expert=demonstrations)
            return made.update(given, state, batch, jax.random.key(0))[0], None

        return jax.lax.scan(step, state, jnp.geomspace(0.05, 1e-4, 2000))[0]

    state = train(state)
    reward = made.reward(hparams, state, rows_at(np.ones((STATES, ACTIONS), int)))
    return reward.reshape(STATES, ACTIONS), np.float64(table(state)), *spec.mdp[:2], expert


@pytest.mark.parametrize("alpha", [pytest.param(0.05, marks=pytest.mark.slow), 0.2])
def test_updates_end_at_the_optimum_of_reward_and_learner(alpha):
    actual, table, transition, initial, expert = learned(0.2, alpha=alpha, hidden=(64,))
    reward, q, learner = optimum(transition, initial, expert, alpha)
    np.testing.assert_allclose(actual, reward, atol=0.01)
    np.testing.assert_allclose(table, q, atol=0.01)
    assert np.abs(reward).max() > 0.05 and np.abs(learner - expert).max() > 0.02


def test_updates_of_an_unbounded_linear_reward_end_where_the_counts_match():
    """α = ∞: the learner visits each state and takes each action as often as the expert."""
    _, table, transition, initial, expert = learned(0.1, alpha=1e30, hidden=())
    learner, blank = (
        reference.visits(transition, initial, GAMMA, reference.softmax(q, TAU)) for q in (table, 0 * table)
    )
    for axis in (0, 1):
        np.testing.assert_allclose(learner.sum(axis), expert.sum(axis), atol=0.01)
        assert np.abs(blank.sum(axis) - expert.sum(axis)).max() > 0.02


@pytest.mark.parametrize("treatment", ["zero", "absorbing"])
def test_the_critic_learns_from_the_learners_rows_and_the_new_reward(treatment):
    """A linear reward that stands still is a sum of three known weights."""
    with jax.enable_x64(True):
        spec, made, hparams, state, table = setup(
            "max_entropy_deep", terminal=treatment, hidden=(), discriminator_lr=0.0
        )
        batch = uneven_batch(spec)
        dense = state.reward["params"]["Dense_0"]
        weights, bias = np.float64(dense["kernel"])[:, 0], float(dense["bias"][0])
        rows = batch.policy
        rewards = {"policy": weights[rows.obs] + weights[STATES + np.asarray(rows.action)] + bias}
        end = {"policy": weights[-1] + bias}
        check_update(made, hparams, state, table, batch, rewards, end, treatment == "absorbing")


def test_the_true_reward_is_never_read():
    _, made, hparams, state, _ = setup("max_entropy_deep", terminal="absorbing", hidden=(8,))
    spec = spec_of(obs_shape=(), num_actions=ACTIONS, mdp=setup("sqil")[0].mdp, obs_dtype=np.int32)
    policy, expert = (jax.tree.map(jnp.asarray, random_rows(spec, 6, seed)) for seed in (0, 1))
    update = made.update
    actual = [
        update(hparams, state, Batch(policy=policy.replace(reward=r), expert=expert), jax.random.key(0))[0]
        for r in (policy.reward, policy.reward + 1)
    ]
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, actual), strict=True))
