"""Canonical rewards estimated on given transitions, for continuous spaces. Compare them by
`distances.pearson_distance` (EPIC, DARD) or `direction_distance` (least squares), with the SAME
transitions, base samples, model and features for both rewards.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from iqlearn_jax.ops.linear import linear_solve
from iqlearn_jax.ops.reward_distance.canonical import uniform

Reward = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]  # obs, action, next_obs [M, ...] -> [M]
Model = Callable[[jax.Array, jax.Array], jax.Array]  # obs, action [M, ...] -> next_obs [M, ...]


def epic_from_samples(
    reward: Reward,
    obs: jax.Array,
    action: jax.Array,
    next_obs: jax.Array,
    base_action: jax.Array,
    base_obs: jax.Array,
    gamma: jax.Array | float,
) -> jax.Array:
    """EPIC's canonical reward up to a constant (Gleave et al. 2021, §5). [N]

    r(s,a,s') + γL(s') − L(s), with L(s) the mean of r(s, u, x) over M base pairs (u, x), which stand for
    independent A and S'. Shaping cancels exactly for every M (base pairs are shared, and a constant plays no
    part in Pearson's ρ). Otherwise L has an error of 1/√M in each row: consistent, and for finite M it moves
    the distance of two rewards by O(1/M). The base pairs are transitions that never happen: what a learned
    reward says there is extrapolation. None of them is an end.

    Args:
      reward: the reward as a function; 2NM + N calls, M at a time.
      obs, action, next_obs: [N, ...] the transitions of the coverage distribution.
      base_action: [M, ...] samples of D_A; base_obs: [M, ...] of D_S, drawn independently.
      gamma: [] discount factor.
    """
    size = base_obs.shape[0]

    def leaving(s: jax.Array) -> jax.Array:
        return jnp.mean(reward(repeat(s, size), base_action, base_obs))

    return reward(obs, action, next_obs) + gamma * jax.lax.map(leaving, next_obs) - jax.lax.map(leaving, obs)


def dard_from_samples(
    reward: Reward,
    model: Model,
    obs: jax.Array,
    action: jax.Array,
    next_obs: jax.Array,
    base_action: jax.Array,
    gamma: jax.Array | float,
) -> jax.Array:
    """DARD's transformed reward (Wulfe et al. 2022, eq. 3), over M actions and one successor each. [N]

    Exact for finite action sets that are given whole with a deterministic model. A model's error changes
    which transitions are looked at, not the invariance to shaping. In a stochastic process `model` must draw,
    always the same successor for the same (s, a): the error of 1/√M then does not cancel.

    Args:
      reward: the reward as a function; 3NM + N calls, M at a time.
      model: successors.
      obs, action, next_obs: [N, ...] the transitions of the coverage distribution.
      base_action: [M, ...] samples of D_A.
      gamma: [] discount factor.
    """
    size = base_action.shape[0]

    def terms(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        s, t = (repeat(x, size) for x in pair)
        from_s, from_t = model(s, base_action), model(t, base_action)
        later, now = reward(t, base_action, from_t), reward(s, base_action, from_s)
        return jnp.mean(gamma * (later - reward(from_s, base_action, from_t)) - now)

    return reward(obs, action, next_obs) + jax.lax.map(terms, (obs, next_obs))


def least_squares_canonical(
    reward: jax.Array,
    features: jax.Array,
    next_features: jax.Array,
    gamma: jax.Array | float,
    weights: jax.Array | None = None,
    ridge: float = 1e-8,
) -> jax.Array:
    """The smallest reward that shaping reaches from this one on given rows: STARC's minimal form. [N]

    min_w Σ_i (r_i + γ w·φ(s'_i) − w·φ(s_i))², Φ = w·φ; only values of rewards are needed. Its biases: where
    φ cannot express a potential, shaping is left over (distances too large); with N not far above K noise is
    fitted (too small); with stochastic dynamics r is not averaged over s', so S'-redistribution stays in the
    residual and Φ is fitted to single successors. Deterministic dynamics and one-hot φ on all pairs give
    `canonical.minimal_canonical` exactly.

    Args:
      reward: [N] on the rows.
      features: [N, K] φ(s); next_features: [N, K] φ(s'), all 0 where the row ends an episode.
      gamma: [] discount factor.
      weights: [N] of the rows; equal by default.
      ridge: added to the normal equations, relative to their mean diagonal.
    """
    w = uniform(len(reward)) if weights is None else weights / jnp.sum(weights)
    rows = gamma * next_features - features
    gram = (rows * w[:, None]).T @ rows
    damped = gram + ridge * jnp.trace(gram) / len(gram) * jnp.eye(len(gram))
    return reward - rows @ linear_solve(damped, rows.T @ (w * reward))


def repeat(x: jax.Array, size: int) -> jax.Array:
    """[...] -> [size, ...]"""
    return jnp.broadcast_to(x, (size, *x.shape))
