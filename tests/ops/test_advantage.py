"""Advantages against the sums that define them, the surrogate against its table of cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.ops.baselines.advantage import clipped_surrogate, generalized_advantage

GAMMA, LAMBDA = 0.9, 0.7


def rollout(steps=12, envs=3):
    """Rewards, values, values of successors, two kinds of ends; each environment has some of both."""
    rng = np.random.default_rng(0)
    reward, value, following = rng.normal(size=(3, steps, envs))
    kind = rng.random((steps, envs))
    terminated, truncated = kind < 0.15, kind > 0.85
    assert terminated.any() and truncated.any()
    return reward, value, following, terminated, truncated


def by_definition(reward, value, following, terminated, truncated):
    """A_t = Σ_k (γλ)^k δ_{t+k} up to the episode's end, each from a sum of its own."""
    delta = reward + GAMMA * np.where(terminated, 0.0, following) - value
    actual = np.zeros_like(reward)
    for t, n in np.ndindex(reward.shape):
        ends = np.flatnonzero((terminated | truncated)[t:, n])
        stop = t + ends[0] + 1 if ends.size else len(reward)
        actual[t, n] = sum((GAMMA * LAMBDA) ** (k - t) * delta[k, n] for k in range(t, stop))
    return actual


def test_advantages_are_the_sums_that_define_them():
    reward, value, following, terminated, truncated = rollout()
    with jax.enable_x64(True):
        actual = generalized_advantage(
            *map(jnp.asarray, (reward, value, following)),
            GAMMA * (1.0 - terminated),
            jnp.asarray(terminated | truncated),
            LAMBDA,
        )
    wanted = by_definition(reward, value, following, terminated, truncated)
    np.testing.assert_allclose(actual, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("terminated", "after"), [(True, 0.0), (False, 5.0)], ids=["end", "cut"])
def test_only_a_cut_has_a_value_after_it(terminated, after):
    """λ = 1: the advantage is the discounted return, with V(s') after a cut, less V(s)."""
    reward, value = np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.0, 0.0])
    following = np.array([0.0, 5.0, 7.0])
    terminations = np.array([False, terminated, False])
    actual = generalized_advantage(
        *map(jnp.asarray, (reward, value, following)),
        GAMMA * (1.0 - terminations),
        jnp.array([False, True, False]),
        1.0,
    )
    assert float(actual[0]) == pytest.approx(1 + GAMMA * 2 + GAMMA**2 * after - 0.5, rel=1e-6)
    assert float(actual[2]) == pytest.approx(4 + GAMMA * 7, rel=1e-6)


def test_clipped_surrogate_case_by_case():
    """Inside: ρA. Outside, where A would push further out: constant, no gradient. Back in: ρA."""
    ratio = np.array([1.1, 1.5, 1.5, 0.5, 0.5])
    advantage = np.array([2.0, 2.0, -2.0, 2.0, -2.0])
    wanted = np.array([2.2, 1.2 * 2.0, -3.0, 1.0, 0.8 * -2.0])
    slope = np.array([2.2, 0.0, -3.0, 1.0, 0.0])  # dρ/d log ρ = ρ
    with jax.enable_x64(True):
        log_ratio = jnp.log(jnp.asarray(ratio))
        actual = clipped_surrogate(log_ratio, jnp.asarray(advantage), 0.2)
        gradient = jax.grad(lambda x: clipped_surrogate(x, jnp.asarray(advantage), 0.2).sum())(log_ratio)
    np.testing.assert_allclose(actual, wanted, rtol=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-12)
