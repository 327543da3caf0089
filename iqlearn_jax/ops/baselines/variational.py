"""Gaussian terms of variational bounds."""

import jax
import jax.numpy as jnp


def normal_log_density(x: jax.Array, mean: jax.Array, log_std: jax.Array) -> jax.Array:
    """log N(x; mean, exp(log_std)²), elementwise.

    Args:
      x, mean, log_std: [...] of one shape.
    Returns:
      [...] log-densities, in nats.
    """
    noise = (x - mean) * jnp.exp(-log_std)
    return -0.5 * jnp.square(noise) - log_std - 0.5 * jnp.log(2.0 * jnp.pi)


def kl_to_standard_normal(mean: jax.Array, log_std: jax.Array) -> jax.Array:
    """KL(N(mean, exp(log_std)²) ‖ N(0, 1)), elementwise.

    Args:
      mean, log_std: [...] of one shape.
    Returns:
      [...] divergences ≥ 0, in nats.
    """
    return 0.5 * (jnp.exp(2.0 * log_std) + jnp.square(mean) - 1.0) - log_std
