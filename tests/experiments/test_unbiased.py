"""`studies.unbiased`: one row in a batch has a known bias, IQ-Learn's form none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies import unbiased
from experiments.studies.processes import random_worlds
from iqlearn_jax.ops.iq.soft import soft_policy
from iqlearn_jax.ops.tabular.mdp import occupancy


@pytest.fixture
def world():
    with jax.enable_x64(True):
        yield jax.tree.map(lambda x: jnp.asarray(x[0], float), random_worlds(1, deterministic=True))


@pytest.mark.slow
def test_the_bias_of_one_row_is_jensens_gap(world, monkeypatch):
    monkeypatch.setattr(unbiased, "SIZES", (1, 64))
    nu = np.random.default_rng(3).standard_normal((unbiased.STATES, unbiased.ACTIONS))
    x = np.asarray(unbiased.log_ratio(world.true, soft_policy(jnp.asarray(nu), 1.0), jnp.asarray(nu)))
    density = np.asarray(occupancy(world.true, world.expert)).ravel()
    gap = density @ x - np.log(density @ np.exp(x))
    (one, error, *_), (many, *_) = unbiased.biases(unbiased.value_dice, world.true, world.expert, 3)
    assert one == pytest.approx(gap, abs=4 * error)
    assert one < 20 * many < 0


@pytest.mark.slow
def test_iq_learns_form_has_no_bias_and_the_same_exact_value(world, monkeypatch):
    monkeypatch.setattr(unbiased, "SIZES", (1, 16))
    for value, error, slope, noise in unbiased.biases(unbiased.iq, world.true, world.expert, 3):
        assert abs(value) < 4 * error
        assert slope < 3 * noise
    nu, weight = jnp.ones((unbiased.STATES, unbiased.ACTIONS)), jnp.ones(unbiased.STATES * unbiased.ACTIONS)
    policy = soft_policy(nu, 1.0)
    log, plain = (f(world.true, policy, nu, weight) for f in (unbiased.value_dice, unbiased.iq))
    assert plain == pytest.approx(np.exp(log) - 1)  # the same function of x where nothing is sampled
