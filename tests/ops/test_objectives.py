from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.ops.iq import objectives
from iqlearn_jax.ops.iq.divergences import DIVERGENCES, guarded_phi
from iqlearn_jax.ops.iq.soft import inverse_bellman, soft_value
from iqlearn_jax.ops.tabular.mdp import MDP, objective, occupancy
from tests.ops.ops_oracles import random_mdps

TAU, ALPHA = 0.1, 2.0


@pytest.fixture(autouse=True, scope="module")
def _x64():
    with jax.enable_x64(True):
        yield


def stacked(count, states, actions, **options):
    raw = random_mdps(count, states, actions, **options)
    mdp = MDP(jnp.array(raw["P"]), jnp.array(raw["rho0"]), jnp.array(raw["gamma"]))
    return mdp, jax.vmap(occupancy)(mdp, jnp.array(raw["expert"]))


def samples(mdp, occupancies, values):
    """Every transition (s, a, s') of one process: its exact probability, V(s) and V(s'), flattened."""
    states, actions = occupancies.shape
    shape = (states, actions, states)
    weight = occupancies[:, :, None] * mdp.transition
    spread = [weight, jnp.broadcast_to(values[:, None, None], shape), jnp.broadcast_to(values, shape)]
    return [each.ravel() for each in spread]


def test_weighted_mean_is_numpys_average():
    x, weight = np.random.default_rng(0).uniform(size=(2, 3, 4))
    np.testing.assert_allclose(objectives.weighted_mean(x, weight), np.average(x, weights=weight), rtol=1e-14)
    assert objectives.weighted_mean(jnp.array([1.0, 5.0]), jnp.array([True, False])) == 1.0


def test_weighted_mean_without_weight_is_zero_with_finite_gradient():
    value, gradient = jax.value_and_grad(objectives.weighted_mean)(jnp.ones(3), jnp.zeros(3))
    assert value == 0
    assert (gradient == 0).all()


def test_iq_loss_and_gradient_by_hand():
    """χ², α = ½: J = mean over the expert of r − r²/2, less the value term."""
    expert, gamma, next_v = np.array([1, 1, 0, 0]), 0.9, np.array([0.3, -0.2, 0.1, 0.0])
    q, v = np.array([0.5, 0.1, 2.0, -1.0]), np.array([0.7, 0.2, 2.1, -0.5])

    def loss(q):
        reward = inverse_bellman(q, jnp.array(next_v), gamma)
        value = objectives.difference_value_term(jnp.array(v), jnp.array(next_v), gamma, expert)
        phi = partial(guarded_phi, DIVERGENCES["chi2"], alpha=0.5)
        return objectives.iq_loss(phi, reward, value, expert)

    actual, gradient = jax.value_and_grad(loss)(jnp.array(q))
    r = (q - gamma * next_v)[:2]
    expected = np.mean((v - gamma * next_v)[:2]) - np.mean(r - r**2 / 2)
    np.testing.assert_allclose(actual, expected, rtol=1e-13)
    np.testing.assert_allclose(gradient, [*(-(1 - r) / 2), 0, 0], rtol=1e-13)


def test_half_and_half_balances_unequal_halves():
    expert = jnp.array([True, False, False, False])
    np.testing.assert_allclose(objectives.half_and_half(expert), [1 / 2, 1 / 6, 1 / 6, 1 / 6])
    np.testing.assert_allclose(objectives.half_and_half(jnp.ones(4)), 0.25)
    np.testing.assert_allclose(objectives.half_and_half(jnp.zeros(4)), 0.25)


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_chi2_over_the_mixture_bounds_the_reward(alpha):
    rng = np.random.default_rng(1)
    expert, policy = jnp.array(rng.dirichlet(np.full(12, 0.3), 2))
    weight, mixture = jnp.concatenate([expert, policy]), (expert + policy) / 2

    def concave(r):
        both = jnp.concatenate([r, r])  # expert samples, then policy samples, of every state and action
        return expert @ r - policy @ r - objectives.chi2_regularizer(both, alpha, weight)

    best = jnp.where(mixture > 0, 4 * alpha * (expert - policy) / (2 * mixture), 0.0)
    assert np.abs(jax.grad(concave)(best)).max() < 1e-12
    assert np.abs(best).max() <= 4 * alpha
    assert np.abs(best).max() > 2 * alpha, "a bound that is never approached tests nothing"


def test_chi2_over_the_expert_is_phi_of_chi2():
    r, expert, value = jnp.array([0.3, -1.0, 4.0]), jnp.array([0.2, 0.5, 0.3]), jnp.array(0.7)
    printed = objectives.iq_loss(lambda r: DIVERGENCES["chi2"].phi(r, 1.5), r, value, expert)
    split = objectives.iq_loss(lambda r: r, r, value, expert) + objectives.chi2_regularizer(r, 1.5, expert)
    np.testing.assert_allclose(split, printed, rtol=1e-14)


def test_expected_q():
    q = jnp.array([[1.0, 4.0], [2.0, 6.0]])
    logp = jnp.log(jnp.array([[0.25, 0.75], [1.0, 0.0]]))
    np.testing.assert_allclose(objectives.expected_q(q, logp), [3.25, 2.0])


def test_three_value_terms_agree_on_exact_occupancies():
    """By telescoping, for any V whatever, so V is random here."""
    mdp, expert = stacked(100, 5, 3, seed=3)
    rng = np.random.default_rng(4)
    values = jnp.array(rng.normal(scale=5, size=(100, 5)))
    policy = jax.vmap(occupancy)(mdp, jnp.array(rng.dirichlet(np.ones(3), (100, 5))))

    def terms(mdp, expert, policy, v):
        ours, theirs = samples(mdp, expert, v), samples(mdp, policy, v)
        weight, now, after = (jnp.concatenate(pair) for pair in zip(ours, theirs, strict=True))
        mask = jnp.arange(weight.size) < weight.size // 2
        # A mean over S starts with V weighted by S ρ0 is the exact expectation over start states.
        first = objectives.initial_value_term(v.size * mdp.initial * v, mdp.gamma)
        second = objectives.difference_value_term(now, after, mdp.gamma, weight * mask)
        third = objectives.difference_value_term(
            now, after, mdp.gamma, weight * objectives.half_and_half(mask)
        )
        return jnp.array([first, second, third])

    first, second, third = np.asarray(jax.jit(jax.vmap(terms))(mdp, expert, policy, values)).T
    assert np.abs(first).max() > 0.1
    np.testing.assert_allclose(second, first, atol=1e-10)
    np.testing.assert_allclose(third, first, atol=1e-10)


def test_initial_value_term_is_scaled_by_one_minus_gamma():
    np.testing.assert_allclose(objectives.initial_value_term(jnp.array([1.0, 3.0]), 0.9), 0.2, rtol=1e-12)


def one_sample_bias(name, deterministic):
    """Sampled J less exact J on 100 processes. Q is chosen so that 0 < r < 2α wherever a step may lead."""
    mdp, expert = stacked(100, 4, 2, seed=5, deterministic=deterministic)
    mdp = mdp._replace(gamma=jnp.full(100, 0.8))
    q = jnp.array(np.random.default_rng(6).uniform(5.0, 5.5, size=(100, 4, 2)))
    shift, variance = bias_of(name)(mdp, expert, q)
    return np.asarray(shift), np.asarray(variance), 0.8**2 / (4 * ALPHA)


@cache
def bias_of(name):
    """(mdp, expert, q), batched -> (sampled J less exact J, E[Var V(s')])."""
    record = DIVERGENCES[name]

    def bias(mdp, expert, q):
        v = soft_value(q, TAU)
        weight, _, next_v = samples(mdp, expert, v)
        reward = inverse_bellman(jnp.repeat(q.ravel(), q.shape[0]), next_v, mdp.gamma)
        value = (1 - mdp.gamma) * mdp.initial @ v
        sampled = -objectives.iq_loss(lambda r: record.phi(r, ALPHA), reward, value, weight)
        variance = mdp.transition @ v**2 - (mdp.transition @ v) ** 2
        return sampled - objective(mdp, q, expert, record, ALPHA, TAU), jnp.sum(expert * variance)

    return jax.jit(jax.vmap(bias))


@pytest.mark.parametrize("name", sorted(DIVERGENCES))
def test_one_sample_losses_are_lower_bounds_under_stochastic_dynamics(name):
    shift, variance, curvature = one_sample_bias(name, deterministic=False)
    if name in ("w1", "tv"):  # linear where these rewards lie
        assert np.abs(shift).max() < 1e-12
        return
    assert shift.max() < -1e-6
    if name.startswith("chi2"):  # a parabola's Jensen gap is exactly γ² E[Var V(s')]/4α
        np.testing.assert_allclose(shift, -curvature * variance, rtol=1e-9)


@pytest.mark.parametrize("name", sorted(DIVERGENCES))
def test_one_sample_losses_are_exact_under_deterministic_dynamics(name):
    assert np.abs(one_sample_bias(name, deterministic=True)[0]).max() < 1e-12
