"""Least-squares temporal differences for vectors of rewards (LSTD-μ), policy iteration with them (LSPI), and
features in which values are linear.

Features of pairs are those of the observation [F] in the block of the action: ψ(s,a) = one-hot(a) ⊗ f(s), so
p = A·F, and Q(s,a) = ψ(s,a)ᵀω = f(s)ᵀω_a. An action that was never seen has the value 0 everywhere.
"""

import jax
import jax.numpy as jnp

from iqlearn_jax.ops.linear import linear_solve


def fourier_features(x: jax.Array, frequencies: jax.Array, phases: jax.Array) -> jax.Array:
    """√(2/F) cos(xΩ + b), whose products are a Gaussian kernel in the mean  (Rahimi & Recht 2007).

    Args:
      x: [B, D]; frequencies: [D, F] ~ N(0, 1/bandwidth²); phases: [F] ~ U[0, 2π].
    Returns:
      [B, F].
    """
    return jnp.sqrt(2.0 / phases.size) * jnp.cos(x @ frequencies + phases)


def pair_features(features: jax.Array, action: jax.Array, num_actions: int) -> jax.Array:
    """one-hot(a) ⊗ f(s): features [B, F], action [B] int -> [B, A·F]."""
    blocks = jax.nn.one_hot(action, num_actions, dtype=features.dtype)[..., None] * features[..., None, :]
    return blocks.reshape(*features.shape[:-1], -1)


def best_action(features: jax.Array, omega: jax.Array) -> jax.Array:
    """argmax_a f(s)ᵀω_a: features [B, F], omega [A·F] -> [B] int32; the first of equal ones."""
    table = features @ omega.reshape(-1, features.shape[-1]).T
    return jnp.argmax(table, axis=-1).astype(jnp.int32)


def lstd(
    psi: jax.Array, reward: jax.Array, next_psi: jax.Array, discount: jax.Array, weight: jax.Array, ridge
) -> jax.Array:
    """ξ with ψ(s,a)ᵀξ ≈ r + γψ(s',a')ᵀξ: (E_w[ψ(ψ − γψ')ᵀ] + ridge·I)⁻¹ E_w[ψrᵀ].

    LSTD-Q (Lagoudakis & Parr 2003, §6), for vectors of rewards whose values are feature expectations (LSTD-μ,
    Klein et al. 2011).

    With one-hot features, every pair seen and no ridge it is exact in the observed frequencies.

    Args:
      psi: [B, p] features of (s,a); next_psi: [B, p] of (s',a'), a' as the policy chooses.
      reward: [B] or [B, q] rewards, or features whose discounted sums are wanted.
      discount: [B] γ(1 − terminated); weight: [B] ≥ 0 of the rows, such as a mask.
      ridge: [] ≥ 0, in squared units of ψ.
    Returns:
      [p] or [p, q].
    """
    weighted = psi * (weight / jnp.maximum(jnp.sum(weight), 1.0))[:, None]
    system = weighted.T @ (psi - discount[:, None] * next_psi)
    return linear_solve(system + ridge * jnp.eye(psi.shape[-1], dtype=psi.dtype), weighted.T @ reward)


def lspi(
    psi: jax.Array,
    reward: jax.Array,
    next_features: jax.Array,
    discount: jax.Array,
    weight: jax.Array,
    ridge,
    omega: jax.Array,
    steps: int,
) -> jax.Array:
    """ω after `steps` rounds of: a' = argmax_a f(s')ᵀω_a, ω ← lstd  (Lagoudakis & Parr 2003, figure 8).

    Args:
      next_features: [B, F] of s'; omega: [p] where to start; steps: static number. Others as `lstd`.
    Returns:
      [p]; greedy in it is the policy.
    """
    num_actions = omega.size // next_features.shape[-1]

    def improve(_: int, omega: jax.Array) -> jax.Array:
        next_psi = pair_features(next_features, best_action(next_features, omega), num_actions)
        return lstd(psi, reward, next_psi, discount, weight, ridge)

    return jax.lax.fori_loop(0, steps, improve, omega)
