"""The tanh-Gaussian against a change of variables done by SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from iqlearn_jax.nets import tanh_gaussian

BOXES = [(-1.0, 1.0), (-2.0, 1.0), (0.5, 3.5), (-0.01, 0.02), (10.0, 1000.0)]


def reference(action, mean, log_std, low, high):
    """log N(arctanh u; mean, std) + log |du_raw/da|, in float64."""
    unit = 2 * (np.asarray(action, np.float64) - low) / (high - low) - 1
    raw = np.arctanh(unit)
    jacobian = 2 / (high - low) / (1 - unit**2)
    return stats.norm.logpdf(raw, mean, np.exp(log_std)) + np.log(jacobian)


@pytest.mark.parametrize(("low", "high"), BOXES)
@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (1.3, -1.0), (-0.7, 0.9)])
def test_density_is_that_of_the_change_of_variables(low, high, mean, log_std):
    action = low + (high - low) * np.linspace(0.01, 0.99, 41)
    with jax.enable_x64(True):
        actual = tanh_gaussian.log_prob(
            jnp.asarray(action)[:, None], jnp.full((41, 1), mean), jnp.full((41, 1), log_std), low, high
        )
    np.testing.assert_allclose(actual, reference(action, mean, log_std, low, high), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("low", "high"), BOXES)
def test_density_integrates_to_one(low, high):
    mean, log_std = 0.4, -0.6  # the strip next to the edges, where density is cut off, holds 1e-9 of it

    with jax.enable_x64(True):

        def density(action):
            return np.exp(tanh_gaussian.log_prob(jnp.asarray([action]), mean, log_std, low, high))

        grid = np.linspace(low, high, 20001)
        values = np.exp(
            tanh_gaussian.log_prob(jnp.asarray(grid)[:, None], jnp.full((20001, 1), mean), log_std, low, high)
        )
    assert density(0.5 * (low + high)) > 0
    assert integrate.simpson(values, x=grid) == pytest.approx(1.0, abs=1e-5)


def test_density_of_a_sample_is_the_density_of_that_action():
    low, high = np.float32([-2.0, 0.5]), np.float32([1.0, 3.5])
    mean = jax.random.normal(jax.random.key(0), (500, 2))
    log_std = jax.random.uniform(jax.random.key(1), (500, 2), minval=-2.0, maxval=0.0)
    action, log_pi = tanh_gaussian.sample(jax.random.key(2), mean, log_std, low, high)
    assert log_pi.shape == (500,)
    units = np.abs(2 * (np.asarray(action) - low) / (high - low) - 1)
    inside = (units < 0.99).all(axis=1)
    assert inside.sum() > 300
    again = tanh_gaussian.log_prob(action, mean, log_std, low, high)
    np.testing.assert_allclose(np.asarray(log_pi)[inside], np.asarray(again)[inside], atol=2e-3)
    separate = reference(action, mean, log_std, low, high).sum(axis=1)
    np.testing.assert_allclose(np.asarray(log_pi)[inside], separate[inside], atol=2e-3)


def test_samples_follow_the_density():
    mean, log_std, low, high = 0.3, -0.5, -2.0, 1.0
    action, _ = tanh_gaussian.sample(
        jax.random.key(0), jnp.full((4000, 1), mean), jnp.full((4000, 1), log_std), low, high
    )
    unit = 2 * (np.asarray(action[:, 0], np.float64) - low) / (high - low) - 1
    assert stats.kstest(np.arctanh(unit), stats.norm(mean, np.exp(log_std)).cdf).pvalue > 1e-3


def test_reparametrised_gradient_is_that_of_the_expectation():
    """d/dmean E[a] from samples against the derivative of the integral."""
    log_std, low, high = -0.5, -2.0, 1.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)

    def expectation(mean):
        unit = np.tanh(mean + np.exp(log_std) * nodes)
        return np.sum(weights * (low + 0.5 * (high - low) * (unit + 1))) / np.sum(weights)

    def by_samples(mean):
        shape = (100_000, 1)
        action, _ = tanh_gaussian.sample(jax.random.key(0), jnp.full(shape, mean), log_std, low, high)
        return jnp.mean(action)

    exact = (expectation(0.4 + 1e-5) - expectation(0.4 - 1e-5)) / 2e-5
    assert jax.grad(by_samples)(0.4) == pytest.approx(exact, rel=1e-2)


@pytest.mark.parametrize("raw", [20.0, 1e3, 1e6, -20.0, -1e3, -1e6])
def test_extreme_raw_values_stay_finite(raw):
    mean = jnp.full((1, 2), raw)

    def log_pi(mean, log_std):
        return tanh_gaussian.sample(jax.random.key(0), mean, log_std, -1.0, 1.0)[1].sum()

    value, grads = jax.value_and_grad(log_pi, argnums=(0, 1))(mean, jnp.zeros((1, 2)))
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in grads)
    # d log π/d mean at fixed noise: −d/du log(1 − tanh²u) → ±2
    np.testing.assert_allclose(grads[0], 2 * np.sign(raw), rtol=1e-5)


@pytest.mark.parametrize("offset", [0.0, 1e-7, 0.5, -0.5])
def test_actions_at_and_beyond_the_boundary_have_finite_density_and_gradient(offset):
    low, high = np.float32([-2.0, 0.5]), np.float32([1.0, 3.5])
    for edge in (low - offset, high + offset):
        for mean in (-3.0, 0.0, 3.0):
            value, grad = jax.value_and_grad(
                lambda m, edge=edge: tanh_gaussian.log_prob(edge[None], m, jnp.zeros((1, 2)), low, high).sum()
            )(jnp.full((1, 2), mean))
            assert np.isfinite(value)
            assert np.isfinite(grad).all()


def test_samples_and_modes_lie_in_the_box():
    rng = np.random.default_rng(0)
    low = rng.normal(size=64).astype(np.float32)
    high = (low + rng.uniform(0.001, 30.0, 64)).astype(np.float32)
    for mean in (0.0, 8.0, -8.0, 1e4, -1e4):
        means = jnp.full((50, 64), mean)
        drawn, _ = tanh_gaussian.sample(jax.random.key(1), means, jnp.full((50, 64), 2.0), low, high)
        for action in (drawn, tanh_gaussian.mode(means, low, high)):
            assert (action >= low).all()
            assert (action <= high).all()


def test_mode_is_the_image_of_the_mean():
    mode = tanh_gaussian.mode(jnp.asarray([0.5]), np.float32([-2.0]), np.float32([1.0]))
    np.testing.assert_allclose(mode, -2 + 1.5 * (np.tanh(0.5) + 1), rtol=1e-6)
