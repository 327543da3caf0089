"""The unit and the origin of observations are free: networks see the same, whatever they are."""

import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.agents.common import standardised
from iqlearn_jax.data.demos import load
from iqlearn_jax.data.sampling import measure_normalization

COLUMNS = np.array([1e-6, 1e3, 0.02, 1e7])


def inputs(obs, whiten=False):
    """What a network sees of observations [n, D] that were standardised by themselves."""
    obs = np.asarray(obs, np.float32)
    own = {name: jnp.asarray(x[0]) for name, x in measure_normalization([[obs]], whiten).items()}
    return np.asarray(standardised(own, obs))


@pytest.fixture(scope="module")
def cartpole():
    return load("bundled:CartPole-v1").observations


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("scale", [1e-3, 1e3, 1e-10, COLUMNS], ids=["1e-3", "1e3", "1e-10", "columns"])
def test_observations_in_another_unit_are_the_same_to_a_network(cartpole, scale, whiten):
    """Up to float32's rounding, of the order of 1e-7 of a standard deviation of each entry."""
    np.testing.assert_allclose(inputs(cartpole * scale, whiten), inputs(cartpole, whiten), atol=2e-5)


def test_what_only_rounding_makes_vary_is_left_alone():
    """Constants, large ones whose sums in float32 are off, and what is left of 0 = sin(pi)."""
    rng = np.random.default_rng(0)
    constant = np.tile(np.float32([0.0, 1.0, 123456.789, -1.7e9]), (5000, 1))
    flicker = np.float32(1.7e9) + np.float32(128) * rng.integers(0, 2, (5000, 1))
    left = 1.2e-16 * rng.normal(size=(5000, 1))
    seen = inputs(np.concatenate([constant, flicker, left], axis=1))
    assert np.isfinite(seen).all()
    np.testing.assert_array_equal(seen[:, :3], 0.0)
    assert np.abs(seen).max() < 0.1


def test_an_entry_of_small_unit_far_from_its_floor_is_standardised():
    x = np.random.default_rng(0).normal(5e-5, 1e-6, (1000, 1))
    np.testing.assert_allclose(inputs(x).std(), 1.0, rtol=1e-3)
