"""Advantages of rollouts, and the surrogate objective that PPO makes of them."""

import jax
import jax.numpy as jnp


def generalized_advantage(
    reward: jax.Array,
    value: jax.Array,
    next_value: jax.Array,
    discount: jax.Array,
    ended: jax.Array,
    gae_lambda: jax.Array | float,
) -> jax.Array:
    """A_t = δ_t + γλA_{t+1}, δ_t = r_t + γV(s'_t) − V(s_t)  (Schulman et al. 2016, eq. 16).

    The sum stops at every end of an episode; after a cut, V(s'_t) of the true successor stands for what
    would have followed, after a true end nothing does. It also stops with the rollout, as at a cut.

    Args:
      reward: [T, ...] rewards, in order of time.
      value: [T, ...] V(s_t).
      next_value: [T, ...] V(s'_t) of the true successors, not of the observation after a reset.
      discount: [T, ...] γ(1 − terminated).
      ended: [T, ...] bool, terminated or truncated: the next row belongs to another episode.
      gae_lambda: [] λ in [0, 1].
    Returns:
      [T, ...] advantages, in reward units; plus `value` they are the targets of V.
    """
    delta = reward + discount * next_value - value
    carried = gae_lambda * discount * (1.0 - ended.astype(delta.dtype))

    def backwards(following, row):
        now = row[0] + row[1] * following
        return now, now

    return jax.lax.scan(backwards, jnp.zeros_like(delta[0]), (delta, carried), reverse=True)[1]


def clipped_surrogate(log_ratio: jax.Array, advantage: jax.Array, clip_range: jax.Array | float) -> jax.Array:
    """min(ρA, clip(ρ, 1−ε, 1+ε)A), ρ = π_new/π_old  (Schulman et al. 2017, eq. 7), to be maximised.

    Args:
      log_ratio: [...] log π_new(a|s) − log π_old(a|s).
      advantage: [...].
      clip_range: [] ε > 0.
    Returns:
      [...] in units of the advantage.
    """
    ratio = jnp.exp(log_ratio)
    return jnp.minimum(ratio * advantage, jnp.clip(ratio, 1.0 - clip_range, 1.0 + clip_range) * advantage)
