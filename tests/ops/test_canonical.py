"""EPIC's canonical form: blind to shaping, and to nothing else."""

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.ops.reward_distance.canonical import epic_canonical


def test_shaping_leaves_the_canonical_form_and_other_changes_do_not():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        reward, potential = rng.normal(size=(6, 3, 6)), rng.normal(size=6)
        shaped = reward + 0.9 * potential[None, None, :] - potential[:, None, None]
        same, other = (
            epic_canonical(jnp.asarray(shaped), 0.9),
            epic_canonical(jnp.asarray(reward + rng.normal(size=(6, 3, 6))), 0.9),
        )
        plain = epic_canonical(jnp.asarray(reward), 0.9)
        np.testing.assert_allclose(same, plain, atol=1e-12)
        assert np.abs(np.asarray(other - plain)).max() > 0.1


def test_the_definition_term_by_term():
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        reward, gamma = rng.normal(size=(4, 2, 4)), 0.7
        actual = np.asarray(epic_canonical(jnp.asarray(reward), gamma))
        mean = {s: reward[s].mean() for s in range(4)}
        expected = reward[1, 0, 3] + gamma * mean[3] - mean[1] - gamma * np.mean(list(mean.values()))
        assert abs(actual[1, 0, 3] - expected) < 1e-12
