import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from iqlearn_jax.ops.iq import soft

VALUES = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=6)


@pytest.mark.parametrize("temperature", [1e-3, 0.1, 1.0, 30.0])
def test_soft_value_matches_scipy(temperature):
    q = np.random.default_rng(0).normal(scale=3, size=(4, 5, 3))
    expected = temperature * logsumexp(q / temperature, axis=-1)
    with jax.enable_x64(True):
        np.testing.assert_allclose(soft.soft_value(jnp.asarray(q), temperature), expected, rtol=1e-13)
    np.testing.assert_allclose(soft.soft_value(jnp.float32(q), temperature), expected, rtol=1e-6)


def test_small_temperature_keeps_float32_precision_of_large_values():
    q = np.float32([1000.0, 999.9995, 900.0])
    exact = 1e-3 * logsumexp(q.astype(np.float64) / 1e-3)
    assert abs(float(soft.soft_value(jnp.asarray(q), 1e-3)) - exact) < 1e-4  # one spacing of float32 at 1000
    logp = soft.log_policy(jnp.asarray(q), 1e-3)
    np.testing.assert_allclose(logp, q.astype(np.float64) / 1e-3 - exact / 1e-3, rtol=1e-5)
    assert np.isfinite(jax.grad(lambda x: soft.log_policy(x, 1e-3)[0])(jnp.asarray(q))).all()


@settings(max_examples=50, deadline=None)
@given(VALUES, st.floats(0.05, 10))
def test_soft_value_lies_between_max_and_max_plus_entropy(q, temperature):
    value, top = float(soft.soft_value(jnp.float32(q), temperature)), max(q)
    assert top - 1e-4 <= value <= top + temperature * np.log(len(q)) + 1e-4


def test_derivatives_are_policy_and_entropy():
    q, temperature = jnp.array([1.0, -0.5, 0.3]), 0.7
    by_q, by_temperature = jax.grad(soft.soft_value, (0, 1))(q, temperature)
    np.testing.assert_allclose(by_q, soft.soft_policy(q, temperature), rtol=1e-6)
    np.testing.assert_allclose(by_temperature, soft.entropy(soft.log_policy(q, temperature)), rtol=1e-5)


def test_unavailable_actions_have_no_probability():
    q = jnp.array([1.0, -jnp.inf, 0.0])
    assert soft.soft_policy(q, 0.5)[1] == 0
    np.testing.assert_allclose(soft.soft_value(q, 0.5), soft.soft_value(q[::2], 0.5), rtol=1e-6)


def test_entropy_by_hand_and_with_zero_probability():
    np.testing.assert_allclose(soft.entropy(jnp.log(jnp.full((2, 4), 0.25))), np.log(4), rtol=1e-6)
    certain = jnp.array([0.0, -jnp.inf])
    assert soft.entropy(certain) == 0
    assert np.isfinite(jax.grad(soft.entropy)(certain)).all()


def test_inverse_bellman_by_hand():
    reward = soft.inverse_bellman(jnp.array([2.0, 2.0]), jnp.array([3.0, 3.0]), jnp.array([0.5, 0.0]))
    np.testing.assert_array_equal(reward, [0.5, 2.0])
