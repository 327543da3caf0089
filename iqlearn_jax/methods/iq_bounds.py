"""Where IQ-Learn's rewards and values lie at the optimum; also for those who watch it (`sweep.symptoms`)."""

import jax.numpy as jnp

from iqlearn_jax.agents.common import entropy_floor
from iqlearn_jax.methods import terminal
from iqlearn_jax.ops.divergences import get_divergence


def reward_bounds(config, alpha):
    """Bounds (lower, upper) of the reward at the optimum, ±inf where there is none.

    With χ² over both kinds of samples ±4α (LS-IQ). Where that square stands beside another φ, the lower one
    holds, too: at ρ_E = 0 the optimum of −ρr − ½ρr²/4α is −4α, and ρ_E > 0 only lifts it.
    """
    both = config.regularize == "both"
    if config.divergence == "chi2" and both:
        return -4.0 * alpha, 4.0 * alpha
    lower, upper = get_divergence(config.divergence).domain(alpha)
    if config.divergence in ("chi2", "chi2_monotone"):
        upper = 2.0 * alpha
    return jnp.maximum(lower, -4.0 * alpha) if both else lower, upper


def value_bounds(config, agent, hparams, temperature):
    """Bounds of V that follow: r_min/(1−γ) and (r_max + τ·max entropy)/(1−γ). Of `agent` it reads
    `max_entropy`.
    """
    lower, upper = reward_bounds(config, hparams["alpha"])
    horizon = 1.0 / (1.0 - hparams["gamma"])
    excess = jnp.maximum(agent.max_entropy - entropy_floor(config, hparams), 0.0)
    return lower * horizon, (upper + temperature * excess) * horizon


def end_reward(config, agent, as_expert: bool, hparams, state):
    """(1−γ)V behind an end, [] in reward units: a bound, or θ + τH of the absorbing state."""
    if config.terminal == "bounded":
        return jnp.asarray(reward_bounds(config, hparams["alpha"])[as_expert])
    return state.critic["absorbing"] + terminal.absorbing_entropy(config, agent, hparams, state)
