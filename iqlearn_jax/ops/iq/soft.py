"""Soft (entropy-regularised) values and policies over discrete actions."""

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp


def soft_value(q: jax.Array, temperature: jax.Array | float) -> jax.Array:
    """Soft state value V(s) = τ log Σ_a exp(Q(s,a)/τ)  (Haarnoja et al. 2017, eq. 3; IQ-Learn §3).

    The maximum is taken out before dividing by τ, so that small temperatures lose no precision.

    Args:
      q: [..., A] action values, in reward units; -inf marks an action that is not available.
      temperature: [] entropy weight τ > 0, in reward units per nat.
    Returns:
      [...] soft values, in reward units.
    """
    top = jax.lax.stop_gradient(jnp.max(q, axis=-1, keepdims=True))
    return top[..., 0] + temperature * logsumexp((q - top) / temperature, axis=-1)


def log_policy(q: jax.Array, temperature: jax.Array | float) -> jax.Array:
    """Log-probabilities of the soft-optimal policy, (Q(s,a) − V(s))/τ  (Haarnoja et al. 2017, eq. 4).

    Args:
      q: [..., A] action values, in reward units.
      temperature: [] entropy weight τ > 0, in reward units per nat.
    Returns:
      [..., A] log-probabilities, in nats.
    """
    top = jax.lax.stop_gradient(jnp.max(q, axis=-1, keepdims=True))
    return jax.nn.log_softmax((q - top) / temperature, axis=-1)


def soft_policy(q: jax.Array, temperature: jax.Array | float) -> jax.Array:
    """Probabilities of the soft-optimal policy, softmax(Q/τ).  Arguments as `log_policy`. [..., A]"""
    return jnp.exp(log_policy(q, temperature))


def entropy(logp: jax.Array) -> jax.Array:
    """Entropy −Σ_a p log p of categorical distributions.

    Args:
      logp: [..., A] normalised log-probabilities; -inf counts as probability 0.
    Returns:
      [...] entropies, in nats.
    """
    # Both wheres are needed: the inner one keeps 0·(−inf) out of the gradient as well.
    finite = jnp.where(jnp.isneginf(logp), 0.0, logp)
    return -jnp.sum(jnp.where(jnp.isneginf(logp), 0.0, jnp.exp(finite) * finite), axis=-1)


def inverse_bellman(q: jax.Array, next_v: jax.Array, discount: jax.Array | float) -> jax.Array:
    """Inverse soft Bellman operator, r = Q(s,a) − discount·V(s')  (IQ-Learn, eq. 11).

    Args:
      q: [B] value of the taken action.
      next_v: [B] soft value of the successor.
      discount: [B] or [], γ(1 − terminated).
    Returns:
      [B] rewards, in the units of q.
    """
    return q - discount * next_v
