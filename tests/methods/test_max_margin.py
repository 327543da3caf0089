"""The projection method against explicit lists of policies, and at known weights."""

import jax
import numpy as np
import pytest

from tests.methods import tabular_reference as reference
from tests.methods.tabular_setup import GAMMA, make, showing, train

FEATURES = {"state_action": lambda x: x, "state": lambda x: x.sum(axis=1, keepdims=True)}


def occupancy_of(method, hparams, state, transition, initial):
    """By brute force, of the policy that acts."""
    policy = np.asarray(state.mixture) / np.asarray(state.mixture).sum(axis=1, keepdims=True)
    return reference.visits(transition, initial, GAMMA, policy)


def expert_counts(policy, scale=5000):
    """Rows that show a policy's frequencies in every state; how often a state is shown tells nothing."""
    shown = np.random.default_rng(5).uniform(0.2, 1.0, (5, 1))
    return np.rint(scale * shown * policy).astype(int)


@pytest.mark.parametrize("reward_input", ["state_action", "state"])
def test_it_is_the_projection_of_abbeel_and_ng(reward_input):
    """The same distances, weights w and mixture as with a list of policies and their weights."""
    feature = FEATURES[reward_input]
    with jax.enable_x64(True):
        method, hparams, transition, initial = make("max_margin", reward_input=reward_input, tolerance=0.0)
        counts = expert_counts(np.random.default_rng(1).dirichlet(np.ones(3), 5))
        before = method.init(jax.random.key(0), hparams)
        state, metrics = train(method, hparams, showing(counts), np.zeros(8), before)
    first = np.asarray(before.mixture) / np.asarray(before.mixture).sum(axis=1, keepdims=True)
    expert = reference.visits(transition, initial, GAMMA, counts / counts.sum(axis=1, keepdims=True))
    distances, (policies, weights) = reference.project_by_lists(
        transition, initial, GAMMA, expert, first, 8, feature
    )
    np.testing.assert_allclose(metrics["max_margin/distance"], distances, rtol=1e-6, atol=1e-9)
    assert distances[0] > 3 * distances[-1] > 0
    mixture = sum(w * x for w, x in zip(weights, policies, strict=True))
    np.testing.assert_allclose(state.mixture, mixture, atol=1e-9)
    before_last = sum(w * x for w, x in zip(weights[:-1], policies[:-1], strict=True)) / (1 - weights[-1])
    wanted = feature(expert) - feature(before_last) + np.zeros((5, 3))
    np.testing.assert_allclose(state.weights, wanted, atol=1e-9)
    rows = showing(np.ones((5, 3), int)).expert
    np.testing.assert_allclose(method.reward(hparams, state, rows, None), wanted.ravel(), atol=1e-9)
    np.testing.assert_allclose(metrics["max_margin/residual"], 0, atol=1e-12)


@pytest.mark.parametrize("reward_input", ["state_action", "state"])
def test_the_distance_falls_to_the_tolerance_and_then_nothing_changes(reward_input):
    method, hparams, transition, initial = make("max_margin", reward_input=reward_input, tolerance=0.01)
    counts = expert_counts(np.random.default_rng(1).dirichlet(np.ones(3), 5))
    batch = showing(counts)
    state, metrics = train(method, hparams, batch, np.zeros(400, np.float32))
    distance = np.asarray(metrics["max_margin/distance"])
    assert (np.diff(distance) < 1e-6).all()
    assert distance[-1] <= 0.01 < distance[0] / 5
    assert metrics["max_margin/step"][0] > 0.05
    after, _ = train(method, hparams, batch, np.zeros(3, np.float32), state)
    np.testing.assert_array_equal(after.mixture, state.mixture)
    expert = reference.visits(transition, initial, GAMMA, counts / counts.sum(axis=1, keepdims=True))
    acting = occupancy_of(method, hparams, state, transition, initial)
    np.testing.assert_allclose(acting, state.mixture, atol=1e-6)
    gap = FEATURES[reward_input](acting - expert)
    np.testing.assert_allclose(np.sqrt((gap**2).sum()), distance[-1], atol=1e-6)


@pytest.mark.parametrize("reward_input", ["state_action", "state"])
def test_returns_equal_the_expert_s_under_its_own_weights(reward_input):
    """An expert that is optimal for known weights: |w*ᵀ(μ_E − μ̄)| ≤ ‖w*‖ε, and the mixture is near-greedy."""
    method, hparams, transition, initial = make("max_margin", reward_input=reward_input, tolerance=1e-3)
    true = np.random.default_rng(2).normal(size=(5, 1 if reward_input == "state" else 3))
    policy = reference.greedy_policy(transition, GAMMA, true + np.zeros((5, 3)))
    state, metrics = train(method, hparams, showing(expert_counts(policy)), np.zeros(300, np.float32))
    acting = occupancy_of(method, hparams, state, transition, initial)
    expert, uniform = (
        reference.visits(transition, initial, GAMMA, p) for p in (policy, np.full((5, 3), 1 / 3))
    )
    gain = lambda x: float((true * FEATURES[reward_input](x)).sum())  # noqa: E731
    assert gain(expert) - gain(uniform) > 0.2
    assert abs(gain(expert) - gain(acting)) <= np.linalg.norm(true) * (1e-3 + 1e-5)
    assert metrics["max_margin/distance"][-1] <= 1e-3


def test_actions_are_the_mixture_s_and_uniform_where_it_never_goes():
    method, hparams, *_ = make("max_margin")
    mixture = np.float32(
        [[0.1, 0.3, 0.0], [0.2, 0.1, 0.1], [0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 0.1]]
    )
    state = method.init(jax.random.key(0), hparams).replace(mixture=mixture)
    np.testing.assert_array_equal(
        method.act(hparams, state, np.int32([0, 1, 3, 4]), jax.random.key(0), True), [1, 0, 0, 2]
    )
    for obs, wanted in [(0, [0.25, 0.75, 0]), (2, [1 / 3] * 3), (4, [0, 0, 1])]:
        drawn = method.act(hparams, state, np.full(20_000, obs, np.int32), jax.random.key(1), False)
        np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 20_000, wanted, atol=0.02)


def test_the_expert_gathers_over_batches():
    """Two batches of equal size teach the same as both at once."""
    method, hparams, *_ = make("max_margin", tolerance=1e9)
    one, two = np.random.default_rng(3).multinomial(40, np.full(15, 1 / 15), 2).reshape(2, 5, 3)
    state = method.init(jax.random.key(0), hparams)
    for counts in (one, two):
        state, _ = method.update(hparams, state, showing(counts), jax.random.key(0))
    np.testing.assert_allclose(state.counts, (one + two) / 80, atol=1e-6)
