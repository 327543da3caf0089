"""Where IQ-Learn's rewards and values lie at the optimum; also for those who watch it (`doctor.rules`)."""

import math

import jax.numpy as jnp

from iqlearn_jax.agents.common import Learner, entropy_floor
from iqlearn_jax.methods import terminal
from iqlearn_jax.ops.iq.divergences import DIVERGENCES


def reward_bounds(config, alpha):
    """Bounds (lower, upper) of the reward at the optimum, ±inf where there is none.

    With χ² over both kinds of samples ±4α (LS-IQ). Where that square stands beside another φ, the lower one
    holds, too: at ρ_E = 0 the optimum of −ρr − ½ρr²/4α is −4α, and ρ_E > 0 only lifts it.
    """
    divergence, both = DIVERGENCES[config.divergence], config.regularize == "both"
    if both and divergence.squared:
        return -4.0 * alpha, 4.0 * alpha
    lower, upper = divergence.bounds(alpha)
    return jnp.maximum(lower, -4.0 * alpha) if both else lower, upper


def are_bounded(config) -> bool:
    """Whether rewards have a bound on both sides at the optimum."""
    return all(math.isfinite(bound) for bound in reward_bounds(config, 1.0))


def value_bounds(config, agent, hparams, temperature):
    """Bounds of V that follow: r_min/(1−γ) and (r_max + τ·max entropy)/(1−γ). Of `agent` it reads
    `max_entropy`.
    """
    lower, upper = reward_bounds(config, hparams["alpha"])
    horizon = 1.0 / (1.0 - hparams["gamma"])
    excess = jnp.maximum(agent.max_entropy - entropy_floor(config, hparams), 0.0)
    return lower * horizon, (upper + temperature * excess) * horizon


def value_origin(config, hparams):
    """What the critic's values are counted from, [] in reward units: with a split critic the least there is,
    r_min/(1−γ), so that nothing is worth less than an end, which is 0; else 0.

    A constant, by which no policy changes. But networks begin at 0, and counted from there an end is worth
    −200 at once, of which the rest learns by and by.
    """
    if not config.split_critic:
        return jnp.zeros(())
    lower, _ = reward_bounds(config, hparams["alpha"])
    return lower / (1.0 - hparams["gamma"])


def end_reward(learner: Learner, as_expert: bool):
    """(1−γ)V after an end, [] in reward units: a bound, or θ + τH of the absorbing state."""
    config, _, hparams, state = learner
    if config.terminal == "bounded":
        return jnp.asarray(reward_bounds(config, hparams["alpha"])[as_expert])
    return state.critic["absorbing"] + terminal.absorbing_entropy(learner)
