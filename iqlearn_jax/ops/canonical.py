"""Rewards brought to a form in which shaping no longer shows (EPIC, Gleave et al. 2021)."""

import jax
import jax.numpy as jnp


def epic_canonical(reward: jax.Array, gamma: jax.Array | float) -> jax.Array:
    """Canonically shaped reward (Gleave et al. 2021, Definition 4.1), with uniform S, A and S'.

    C(r)(s,a,s') = r(s,a,s') + E[γ r(s',A,S') − r(s,A,S') − γ r(S,A,S')]. Rewards that differ by shaping
    γΦ(s') − Φ(s) have the same form; those that differ by its expectation over s' alone do not.

    Args:
      reward: [S, A, S] rewards r(s, a, s').
      gamma: [] discount factor.
    Returns:
      [S, A, S] canonical rewards, in the units of `reward`.
    """
    leaving = jnp.mean(reward, axis=(1, 2))  # E r(s, A, S') [S]
    return reward + gamma * leaving[None, None, :] - leaving[:, None, None] - gamma * jnp.mean(leaving)
