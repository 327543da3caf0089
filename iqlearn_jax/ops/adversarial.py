"""Discriminators of expert and learner: their loss and the rewards made of their logit, D = σ(logit)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

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
