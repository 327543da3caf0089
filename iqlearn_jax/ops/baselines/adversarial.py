"""Judges of expert and learner: discriminators, the rewards made of their logit, and rewards themselves."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from iqlearn_jax.ops.iq.objectives import chi2_regularizer

REWARD_SHAPES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "log_odds": lambda logit: logit,
    "positive": jax.nn.softplus,
    "negative": jax.nn.log_sigmoid,
}


def shaped_reward(logit: jax.Array, shape: str) -> jax.Array:
    """Reward made of D = σ(logit), the probability that a sample is the expert's.

    log_odds: log D − log(1 − D), of both signs (AIRL, Fu et al. 2018, §A.1; DAC). At the optimum log(ρ_E/ρ).
    positive: −log(1 − D) > 0 (GAIL, Ho & Ermon 2016, Algorithm 1, whose D is 1 − D here): where episodes can
      end, it favours staying alive.
    negative: log D < 0 (other codes of GAIL): it favours ending soon.
    The bias is that of a terminal worth 0; a learned absorbing state takes it away (Kostrikov et al. 2019).
    log_odds = positive + negative.

    Args:
      logit: [...] the discriminator's logit.
      shape: a name in REWARD_SHAPES.
    Returns:
      [...] rewards, in nats.
    """
    return REWARD_SHAPES[shape](logit)


def logistic_loss(logit: jax.Array, expert: jax.Array | bool) -> jax.Array:
    """−log of the probability that the discriminator gives to the truth (Goodfellow et al. 2014, eq. 1).

    With expert and learner in equal shares, the logit that minimises its mean is log(ρ_E/ρ).

    Args:
      logit: [...] the discriminator's logit.
      expert: [...] or [] whether the sample is the expert's.
    Returns:
      [...] losses, in nats.
    """
    return jax.nn.softplus(jnp.where(expert, -logit, logit))


def feature_matching_loss(
    reward: jax.Array, expert: jax.Array, policy: jax.Array, alpha: jax.Array | float
) -> jax.Array:
    """E_policy[r] − E_expert[r] + E_mixture[r²]/(4α), the mixture half and half  (Ziebart et al. 2008, §3).

    Without the last term (α = ∞) its slope by the parameters of r is the difference of feature counts,
    E_policy[∇r] − E_expert[∇r], and it has no minimum: any reward that separates the two may grow without
    bound. With it the reward that minimises it is 4α(ρ_E − ρ)/(ρ_E + ρ), so |r| ≤ 4α.

    Args:
      reward: [N] rewards.
      expert, policy: [N] weights ≥ 0 of the points under each of the two; each sums to 1.
      alpha: [] weight of the regularisation's inverse, > 0, in reward units.
    Returns:
      [] loss, in reward units; minimise it over r.
    """
    gap = jnp.sum((policy - expert) * reward)
    return gap + chi2_regularizer(reward, alpha, 0.5 * (expert + policy))
