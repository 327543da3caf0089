"""Rewards and dynamics together: their gradient by finite differences, known dynamics from rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.types import Batch
from tests.methods import tabular_reference as reference
from tests.methods.tabular_setup import GAMMA, TAU, drawn, first_gradient, make, rows_of, train

ROWS = np.array([(0, 0, 1), (0, 0, 2), (0, 1, 1), (1, 2, 3), (2, 1, 0), (2, 1, 4), (4, 1, 3)])


@pytest.mark.slow
@pytest.mark.parametrize("reward_input", ["state_action", "state"])
def test_gradient_is_the_slope_of_the_joint_likelihood(reward_input):
    """By reward and by dynamics, through the soft Bellman fixed point; started 0.1 beside it."""
    rng = np.random.default_rng(1)
    s, a, t = ROWS.T
    with jax.enable_x64(True):
        method, hparams, *_ = make("max_entropy_dynamics", reward_input=reward_input)
        reward = rng.normal(size=(5, 3 if reward_input == "state_action" else 1))
        eta = rng.normal(size=(5, 3, 5))
        q = reference.soft_q(reference.softmax(eta), GAMMA, reward + np.zeros((5, 3)), TAU)
        before = method.init(jax.random.key(0), hparams)
        params = {"reward": jnp.asarray(reward), "dynamics": jnp.asarray(eta)}
        before = before.replace(params=params, q=jnp.asarray(q + 0.1 * rng.normal(size=q.shape)))
        after, metrics = method.update(hparams, before, Batch(expert=rows_of(s, a, t)), jax.random.key(0))
        actual = first_gradient(before, after)

    def parts(reward, eta):
        transition = reference.softmax(eta)
        q = reference.soft_q(transition, GAMMA, reward + np.zeros((5, 3)), TAU)
        return np.log(reference.softmax(q, TAU))[s, a].mean(), np.log(transition)[s, a, t].mean()

    by_reward = reference.differences(lambda r: sum(parts(r, eta)), reward)
    by_dynamics = reference.differences(lambda e: sum(parts(reward, e)), eta)
    np.testing.assert_allclose(actual["reward"], by_reward, atol=1e-8)
    np.testing.assert_allclose(actual["dynamics"], by_dynamics, atol=1e-8)
    through_policy = reference.differences(lambda e: parts(reward, e)[0], eta)
    assert min(np.abs(actual["reward"]).max(), np.abs(through_policy).max()) > 0.01
    actions, successors = parts(reward, eta)
    np.testing.assert_allclose(metrics["max_entropy_dynamics/log_likelihood"], actions, atol=1e-8)
    np.testing.assert_allclose(metrics["max_entropy_dynamics/log_dynamics"], successors, atol=1e-8)
    new = {name: np.asarray(value) for name, value in after.params.items()}
    wanted = reference.soft_q(
        reference.softmax(new["dynamics"]), GAMMA, new["reward"] + np.zeros((5, 3)), TAU
    )
    np.testing.assert_allclose(after.q, wanted, atol=1e-9)  # of the present tables


@pytest.mark.slow
def test_policy_and_dynamics_come_back_from_transitions():
    """30,000 transitions of an expert that is soft-optimal for a reward of states."""
    method, hparams, transition, initial = make("max_entropy_dynamics", seed=2, reward_input="state")
    true = np.random.default_rng(4).normal(size=(5, 1))
    expert = reference.softmax(reference.soft_q(transition, GAMMA, true + np.zeros((5, 3)), TAU), TAU)
    batch = drawn(transition, reference.visits(transition, initial, GAMMA, expert), 30_000)
    state, metrics = train(method, hparams, batch, np.geomspace(0.1, 1e-3, 800, dtype=np.float32))
    np.testing.assert_allclose(reference.softmax(np.asarray(state.params["dynamics"])), transition, atol=0.08)
    np.testing.assert_allclose(reference.softmax(np.asarray(state.q), TAU), expert, atol=0.04)
    assert np.abs(expert - 1 / 3).max() > 0.2
    assert np.corrcoef(np.asarray(state.params["reward"])[:, 0], true[:, 0])[0, 1] > 0.97
    assert metrics["max_entropy_dynamics/residual"][-1] < 1e-4
