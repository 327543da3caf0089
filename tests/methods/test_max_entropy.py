"""Maximum causal entropy IRL against feature counts and likelihoods in NumPy, and at a known optimum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.methods import tabular_reference as reference
from tests.methods.tabular_setup import GAMMA, TAU, first_gradient, make, showing, train

COUNTS = np.random.default_rng(0).integers(1, 9, (5, 3))  # no policy's occupancy
VISITS = COUNTS / COUNTS.sum()


def started_at(method, hparams, reward, q):
    state = method.init(jax.random.key(0), hparams)
    return state.replace(params={"reward": jnp.asarray(reward)}, q=jnp.asarray(q))


def implied_start(transition, visits):
    start = np.zeros(len(visits))
    for s in range(len(visits)):
        arriving = sum(visits[u, a] * transition[u, a, s] for u in range(5) for a in range(3))
        start[s] = (visits[s].sum() - GAMMA * arriving) / (1 - GAMMA)
    return start


@pytest.mark.parametrize("value_term", ["expert", "v0"])
@pytest.mark.parametrize("reward_input", ["state_action", "state"])
def test_gradient_is_the_difference_of_feature_counts_and_the_slope_of_the_likelihood(
    value_term, reward_input
):
    """The objective: τ times the mean log-likelihood ("expert"), E_d[r] − (1−γ)E_ρ0[V] ("v0")."""
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        method, hparams, transition, initial = make(
            "max_entropy", value_term=value_term, reward_input=reward_input
        )
        reward = rng.normal(size=(5, 3 if reward_input == "state_action" else 1))
        q = reference.soft_q(transition, GAMMA, reward + np.zeros((5, 3)), TAU)
        before = started_at(method, hparams, reward, q)
        after, metrics = method.update(hparams, before, showing(COUNTS), jax.random.key(0))
        actual = first_gradient(before, after)["reward"]
    start = initial if value_term == "v0" else implied_start(transition, VISITS)
    counts = VISITS - reference.visits(transition, start, GAMMA, reference.softmax(q, TAU))
    counts = counts if reward_input == "state_action" else counts.sum(axis=1, keepdims=True)

    def objective(table):
        r = table + np.zeros((5, 3))
        logp = np.log(reference.softmax(q := reference.soft_q(transition, GAMMA, r, TAU), TAU))
        value = (q - TAU * logp)[:, 0]
        likelihood = TAU * (VISITS * logp).sum()
        return likelihood if value_term == "expert" else (VISITS * r).sum() - (1 - GAMMA) * initial @ value

    np.testing.assert_allclose(actual, counts, atol=1e-10)
    np.testing.assert_allclose(actual, reference.differences(objective, reward), atol=1e-8)
    assert np.abs(actual).max() > 0.01
    logp = np.log(reference.softmax(q, TAU))
    np.testing.assert_allclose(metrics["max_entropy/log_likelihood"], (VISITS * logp).sum(), atol=1e-10)


@pytest.mark.parametrize("value_term", ["expert", "v0"])
@pytest.mark.parametrize("reward_input", ["state_action", pytest.param("state", marks=pytest.mark.slow)])
def test_on_exact_occupancies_the_policy_is_the_expert_s(value_term, reward_input):
    """Soft-optimal for a known reward; occupancies are rounded to one in 20,000 rows."""
    changes = {"value_term": value_term, "reward_input": reward_input}
    method, hparams, transition, initial = make("max_entropy", **changes)
    true = np.random.default_rng(2).normal(size=(5, 1 if reward_input == "state" else 3)) + np.zeros((5, 3))
    expert = reference.softmax(reference.soft_q(transition, GAMMA, true, TAU), TAU)
    counts = np.rint(20_000 * reference.visits(transition, initial, GAMMA, expert)).astype(int)
    state, metrics = train(method, hparams, showing(counts), np.geomspace(0.05, 1e-4, 1500, dtype=np.float32))
    policy = reference.softmax(np.asarray(state.q), TAU)
    np.testing.assert_allclose(policy, expert, atol=0.01)
    assert np.abs(expert - 1 / 3).max() > 0.2
    assert metrics["max_entropy/count_distance"][-1] < 2e-3 < metrics["max_entropy/count_distance"][0] / 10
    if reward_input == "state":  # few parameters: the reward itself comes back, up to a constant
        actual = np.asarray(state.params["reward"])[:, 0]
        np.testing.assert_allclose(actual - actual.mean(), true[:, 0] - true[:, 0].mean(), atol=0.1)


def test_q_is_the_present_reward_s_and_the_residual_tells_when_it_is_not():
    counts = showing(COUNTS)
    left = {}
    for steps in (1, 8):
        method, hparams, transition, _ = make("max_entropy", inner_steps=steps)
        state, metrics = train(method, hparams, counts, np.full(5, 0.5, np.float32))
        reward = np.asarray(state.params["reward"], np.float64)
        v = np.log(np.exp(np.asarray(state.q, np.float64) / TAU).sum(axis=1)) * TAU
        wanted = np.abs(state.q - reward - GAMMA * transition @ v).max()
        np.testing.assert_allclose(metrics["max_entropy/residual"][-1], wanted, rtol=1e-2, atol=1e-5)
        left[steps] = wanted
    assert left[8] < 1e-5 < 1e-3 < left[1]


def test_reward_and_actions_are_those_of_the_tables():
    method, hparams, *_ = make("max_entropy")
    reward, q = np.random.default_rng(3).normal(size=(2, 5, 3)).astype(np.float32)
    state = started_at(method, hparams, reward, q)
    rows = showing(np.ones((5, 3), int)).expert
    np.testing.assert_array_equal(method.reward(hparams, state, rows, jax.random.key(0)), reward.ravel())
    obs = jnp.full(20_000, 2, jnp.int32)
    np.testing.assert_array_equal(method.act(hparams, state, obs[:9], jax.random.key(0), True), q[2].argmax())
    share = np.bincount(method.act(hparams, state, obs, jax.random.key(0), False), minlength=3) / obs.size
    np.testing.assert_allclose(share, reference.softmax(q[2], TAU), atol=0.02)
