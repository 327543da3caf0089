"""The IQ-Learn objective on arrays  (eqs. 9, 10 and 12; estimators of §5.1).

One-sample losses are biased lower bounds. The exact objective holds φ(Q − γE_s'[V(s')]), a sample gives
φ(Q − γV(s')). By Jensen's inequality E φ(Q − γV(s')) ≤ φ(Q − γE V(s')), so with a curved φ and stochastic
dynamics the sampled J lies below the exact one (and the loss above its exact value) by about
½|φ''|γ²Var V(s'). There is no bias with deterministic dynamics, nor with a linear φ. The value terms are
linear in V and never biased.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def weighted_mean(x: jax.Array, weight: jax.Array) -> jax.Array:
    """Σ w x / Σ w over all axes; 0 where all weights are 0.

    Args:
      x: [...] finite values.
      weight: [...] weights ≥ 0 (a boolean mask will do), of x's shape.
    Returns:
      [] mean, in the units of x.
    """
    weight = jnp.asarray(weight, x.dtype)
    total = jnp.sum(weight)
    return jnp.sum(weight * x) / jnp.where(total > 0, total, 1.0)


def iq_loss(
    phi: Callable[[jax.Array], jax.Array], reward: jax.Array, value_term: jax.Array, expert: jax.Array
) -> jax.Array:
    """−J = value term − E_expert[φ(r)]  (IQ-Learn, eqs. 9 and 10); minimise it over Q.

    The value is that of −J, not only its gradient. With sampled successors it is biased for curved φ, see
    the module's head.

    Args:
      phi: concave function, elementwise; e.g. partial(guarded_phi, divergence, alpha=alpha).
      reward: [B] r = Q(s,a) − discount·V(s') of expert (and policy) samples.
      value_term: [] one of the value terms below.
      expert: [B] mask or weight of the expert's samples.
    Returns:
      [] loss, in reward units.
    """
    return value_term - weighted_mean(phi(reward), expert)


def initial_value_term(v0: jax.Array, gamma: jax.Array | float) -> jax.Array:
    """(1−γ) E_ρ0[V(s0)]  (IQ-Learn, eq. 9), from real start states.

    Args:
      v0: [B] soft values of start states.
      gamma: [] discount factor.
    Returns:
      [] value term, in reward units.
    """
    return (1 - gamma) * jnp.mean(v0)


def difference_value_term(
    v: jax.Array, next_v: jax.Array, discount: jax.Array | float, weight: jax.Array
) -> jax.Array:
    """E_w[V(s) − discount·V(s')]  (IQ-Learn, §5.1).

    It equals `initial_value_term` for the exact discounted occupancy of any policy, by telescoping; on
    uniformly drawn, truncated or subsampled data it does not. `weight` chooses the estimator: the expert
    mask gives the offline default, `half_and_half(expert)` the online one.

    Args:
      v: [B] soft values V(s).
      next_v: [B] soft values V(s').
      discount: [B] or [], γ(1 − terminated).
      weight: [B] weights of the samples.
    Returns:
      [] value term, in reward units.
    """
    return weighted_mean(v - discount * next_v, weight)


def saddle_value_term(
    q: jax.Array, next_v: jax.Array, discount: jax.Array | float, weight: jax.Array
) -> jax.Array:
    """E_w[Q(s,a) − discount·V(s')], the policy's own reward: the value term less the policy's τH(π).

    J(Q) is the minimum over π of E_ρE[φ(r)] − E_ρπ[r] − τH(π) with r = Q − γV(s'), so by the envelope
    theorem it has the gradient of E_w[V(s) − discount·V(s')] on samples of the current policy. On replayed
    samples with a target network they differ. The gradient of V(s) pushes down the actions that the policy
    would take now, where no sample of r holds them: rewards leave every bound. The gradient of Q(s,a) moves
    the samples' own rewards, as φ does; with `chi2_regularizer` they lie within ±4α at the optimum (LS-IQ,
    Al-Hafez et al. 2023).

    Args:
      q: [E, B] or [B] Q(s,a).
      next_v: [B] soft values V(s').
      discount: [B] or [], γ(1 − terminated).
      weight: [B] weights of the samples: the mask of the policy's.
    Returns:
      [] value term up to τH(π), a constant in Q; in reward units.
    """
    return weighted_mean(q - discount * next_v, jnp.broadcast_to(weight, q.shape))


def half_and_half(expert: jax.Array) -> jax.Array:
    """Weights under which expert and policy samples count one half each, whatever their numbers.

    Where one kind is missing the other takes all of the weight.

    Args:
      expert: [B] mask (or weight in [0, 1]) of the expert's samples.
    Returns:
      [B] float weights that sum to 1.
    """
    expert = jnp.asarray(expert, jnp.result_type(float) if expert.dtype == bool else expert.dtype)
    policy = 1 - expert
    halves = sum(part / jnp.maximum(jnp.sum(part), 1e-8) for part in (expert, policy))
    return halves / jnp.sum(halves)


def chi2_regularizer(reward: jax.Array, alpha: jax.Array | float, weight: jax.Array) -> jax.Array:
    """E_w[r²]/(4α): χ² over expert and policy samples alike (LS-IQ, Al-Hafez et al. 2023).

    Add it to `iq_loss` with φ = identity. With w the half-and-half mixture the optimum is
    r = 4α(ρ_E − ρ)/(ρ_E + ρ), so |r| ≤ 4α; with w the expert it is φ of χ² again.

    Args:
      reward: [B] rewards.
      alpha: [] weight of the divergence, > 0, in reward units.
      weight: [B] weights, usually `half_and_half(expert)`.
    Returns:
      [] penalty, in reward units.
    """
    return weighted_mean(reward**2, weight) / (4 * alpha)


def expected_q(q: jax.Array, log_policy: jax.Array) -> jax.Array:
    """E_{a~π}[Q(s,a)], which replaces the expert's Q(s,a) when only states are known  (IQ-Learn, §5.4).

    Args:
      q: [..., A] action values.
      log_policy: [..., A] log-probabilities of the current policy.
    Returns:
      [...] expected action values, in the units of q.
    """
    return jnp.sum(jnp.exp(log_policy) * q, axis=-1)
