"""The soft Bellman regression on a table, row by row in NumPy: what sqil, adril and dac do to a critic."""

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.types import Batch
from tests.common import compiled, configure, deterministic_mdp, hyper, random_rows, table_spec

STATES, ACTIONS, GAMMA, TAU = 4, 3, 0.8, 0.4


def setup(method, **changes):
    """(method, hparams, state with a random table and θ = 0.3) in float64, if that is on."""
    config = configure(method=method, feed="replay", temperature=TAU, gamma=GAMMA, **changes)
    spec = table_spec(deterministic_mdp(STATES, ACTIONS, 3, GAMMA), ACTIONS)
    made, hparams = compiled(config, spec), hyper(config, spec, jnp.result_type(float))
    state = made.init(jax.random.key(0), hparams)
    table = np.random.default_rng(0).normal(size=(STATES, ACTIONS))
    critic = {"net": jax.tree.map(lambda _: jnp.asarray(table)[None], state.critic["net"])}
    critic |= {"absorbing": jnp.asarray(0.3)}
    log_temperature = jnp.log(jnp.asarray(TAU))
    state = state.replace(critic=critic, target_critic=critic, log_temperature=log_temperature)
    return spec, made, hparams, state, table


def uneven_batch(spec, ends=0.4):
    """5 rows of the learner, 7 of the expert; the true rewards in them are noise."""
    policy, expert = random_rows(spec, 5, 0, ends), random_rows(spec, 7, 1, ends)
    assert 0 < policy.terminated.sum() < 5 and 0 < expert.terminated.sum() < 7
    return jax.tree.map(jnp.asarray, Batch(policy=policy, expert=expert, initial=expert.obs))


def gradients(state):
    """(by the table, by θ): Adam's first moments after one update are a tenth of them."""
    moments = state.critic_opt.mu
    (table,) = jax.tree.leaves(moments["net"])
    return np.asarray(table[0]) / 0.1, float(moments["absorbing"]) / 0.1


def row_by_row(table, rows, rewards, ends, absorbing):
    """(loss, gradient by the table, by θ) of the mean of (Q − r − γV')² (+ (θ − end)² at terminals).

    Args:
      rewards: [N] of rows; ends: [N] after them, of which θ is learned, or [] where it is known: all values
        are less by end/(1−γ) then.
      absorbing: whether θ/(1−γ) follows a terminal.
    """
    known, count = np.ndim(ends) == 0, len(rewards)
    theta, shift = (float(ends), ends / (1 - GAMMA)) if known and absorbing else (0.3, 0.0)
    loss, by_table, by_theta = 0.0, np.zeros_like(table), 0.0
    for s, a, after, ended, r, end in zip(
        rows.obs, rows.action, rows.next_obs, rows.terminated, rewards, np.resize(ends, count), strict=True
    ):
        following = TAU * np.log(np.exp(table[after] / TAU).sum())
        if ended:
            following = theta / (1 - GAMMA) if absorbing else 0.0
            following -= shift
        gap = table[s, a] + shift - r - GAMMA * (following + shift)
        loss += gap**2 / count
        by_table[s, a] += 2 * gap / count
        if ended and absorbing and not known:
            by_theta += 2 * (theta - end) / count
    return loss, by_table, by_theta


def check_update(made, hparams, state, table, batch, rewards, ends, absorbing):
    """One update's loss and gradients are the sums over both kinds of rows of `row_by_row`.

    Args:
      rewards, ends: {"policy" or "expert": [N]} of the rows that the critic learns from, as `row_by_row`.
    """
    after, metrics = made.update(hparams, state, batch, jax.random.key(1))
    parts = [
        row_by_row(table, getattr(batch, kind), rewards[kind], ends[kind], absorbing) for kind in rewards
    ]
    loss, by_table, by_theta = (sum(part[i] for part in parts) for i in range(3))
    table_gradient, theta_gradient = gradients(after)
    np.testing.assert_allclose(table_gradient, by_table, atol=1e-6)
    np.testing.assert_allclose(theta_gradient, by_theta, atol=1e-6)
    np.testing.assert_allclose(metrics["rl/loss"], loss, rtol=1e-6)
    assert np.abs(by_table).max() > 0.1
    return after
