"""Divergences between occupancies as saddle points in a function of state and action (the DICE family)."""

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp


def donsker_varadhan(log_ratio: jax.Array, weight: jax.Array, linear: jax.Array) -> jax.Array:
    """log E_E[e^x] − E_π[x], whose minimum over x is −KL(ρ_π‖ρ_E)  (Kostrikov et al. 2020, eqs. 8 and 12).

    At the minimum x = log ρ_π/ρ_E + c with any constant c.

    Args:
      log_ratio: [N] x = ν(s,a) − γE_π[ν(s',·)] on samples of ρ_E.
      weight: [N] weights ≥ 0 of the samples; they need not sum to 1.
      linear: [] E_π[x], usually telescoped to (1−γ)E_ρ0,π[ν].
    Returns:
      [] objective, in nats.
    """
    return logsumexp(log_ratio, b=weight) - jnp.log(jnp.sum(weight)) - linear
