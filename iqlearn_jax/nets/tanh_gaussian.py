"""The tanh-Gaussian distribution over a box of actions (Haarnoja et al. 2018, appendix C)."""

import jax
import jax.numpy as jnp

EDGE = 1e-3  # demonstrated actions are clipped to ±(1 − EDGE) of the box: the density is infinite at ±1


def sample(key, mean, log_std, low, high):
    """Reparametrised sample and its log-density.

    Args:
      mean, log_std: [..., A] of the Gaussian before tanh.
      low, high: [A] bounds of the box.
    Returns:
      action [..., A] in the box and log-density [...] in nats, with respect to the box's own units.
    """
    noise = jax.random.normal(key, mean.shape)
    raw = mean + jnp.exp(log_std) * noise
    return _squash(raw, low, high), _log_density(noise, raw, log_std, 0.5 * (high - low))


def mode(mean, low, high):
    """Image of the Gaussian's mean, the deterministic action. [..., A]"""
    return _squash(mean, low, high)


def log_prob(action, mean, log_std, low, high, edge=EDGE):
    """Log-density [...] of given actions, which are clipped to ±(1 − edge) of the box first."""
    half = 0.5 * (high - low)
    unit = jnp.clip((action - low) / half - 1.0, -1.0 + edge, 1.0 - edge)
    raw = jnp.arctanh(unit)
    noise = (raw - mean) * jnp.exp(-log_std)
    return _log_density(noise, raw, log_std, half)


def _squash(raw, low, high):
    # rounding may leave the box by one unit in the last place
    return jnp.clip(low + 0.5 * (high - low) * (jnp.tanh(raw) + 1.0), low, high)


def _log_density(noise, raw, log_std, half):
    gaussian = -0.5 * noise**2 - log_std - 0.5 * jnp.log(2.0 * jnp.pi)
    # log(1 − tanh²(u)) = 2(log 2 − u − softplus(−2u)), without cancellation at large |u|
    jacobian = 2.0 * (jnp.log(2.0) - raw - jax.nn.softplus(-2.0 * raw)) + jnp.log(half)
    return jnp.sum(gaussian - jacobian, axis=-1)
