"""Exact quantities of finite Markov decision processes, with a soft (entropy-regularised) policy.

Everything works in the dtype of its inputs; for certificates use float64 (`jax.enable_x64(True)`). All
functions jit, vmap and differentiate. Rewards and Q are [S, A], occupancies sum to 1 (the factor 1−γ).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from iqlearn_jax.ops.iq.divergences import Divergence
from iqlearn_jax.ops.iq.soft import entropy, inverse_bellman, log_policy, soft_value
from iqlearn_jax.ops.linear import linear_solve

Array = Any  # jax.Array, or numpy.ndarray for models in float64 outside of x64 mode
Scalar = jax.Array | float


class MDP(NamedTuple):
    """A finite decision process without reward. Terminal states are self-loops.

    Attributes:
      transition: [S, A, S] probabilities P(s'|s,a).
      initial: [S] probabilities ρ0.
      gamma: [] discount factor in [0, 1).
    """

    transition: Array
    initial: Array
    gamma: jax.Array | float


def soft_policy_evaluation(mdp: MDP, reward: jax.Array, logp: jax.Array, temperature: Scalar) -> jax.Array:
    """Q of a policy: the fixed point of Q = r + γP V^π, V^π = Σ_a π(Q − τ log π), by a linear solve.

    Args:
      mdp: the process.
      reward: [S, A] rewards.
      logp: [S, A] log-probabilities of the policy.
      temperature: [] entropy weight τ, in reward units per nat.
    Returns:
      [S, A] action values.
    """
    policy = jnp.exp(logp)
    system = jnp.eye(policy.shape[0], dtype=policy.dtype) - mdp.gamma * _state_chain(mdp, policy)
    value = linear_solve(system, jnp.sum(policy * reward, axis=-1) + temperature * entropy(logp))
    return reward + mdp.gamma * mdp.transition @ value


def soft_value_iteration(mdp: MDP, reward: jax.Array, temperature: Scalar, max_steps: int = 100) -> jax.Array:
    """Q of the soft-optimal policy: the fixed point of Q = r + γP V, V = τ log Σ exp(Q/τ).

    Solved by soft policy iteration, which is Newton's method on this fixed point: quadratic and monotone. It
    stops at a change of 64 machine epsilons, relative to max |Q| (1.4e-14 in float64), or after `max_steps`.
    Two more Newton steps carry the derivatives: the loop is cut from the gradient, one step restores first
    derivatives exactly (at the fixed point Newton's map does not depend on where it starts), and the second
    restores the second ones, so `jax.grad` and `jax.hessian` by reward, transition, gamma and temperature
    are those of the fixed point (implicit differentiation).

    Args:
      mdp: the process.
      reward: [S, A] rewards.
      temperature: [] entropy weight τ > 0, in reward units per nat.
      max_steps: bound on Newton steps.
    Returns:
      [S, A] action values.
    """

    def newton(process: MDP, rewards: jax.Array, tau: Scalar, q: jax.Array) -> jax.Array:
        return soft_policy_evaluation(process, rewards, log_policy(q, tau), tau)

    frozen = jax.lax.stop_gradient((mdp, reward, temperature))
    tolerance = 64 * jnp.finfo(reward.dtype).eps

    def unfinished(carry: tuple) -> jax.Array:
        q, change, step = carry
        return (change > tolerance * (1 + jnp.max(jnp.abs(q)))) & (step < max_steps)

    def improve(carry: tuple) -> tuple:
        q, _, step = carry
        new = newton(*frozen, q)
        return new, jnp.max(jnp.abs(new - q)), step + 1

    start = (frozen[1], jnp.asarray(jnp.inf, reward.dtype), 0)
    q = jax.lax.while_loop(unfinished, improve, start)[0]
    for _ in range(2):
        q = newton(mdp, reward, temperature, q)
    return q


def q_from_reward(
    mdp: MDP, reward: jax.Array, temperature: Scalar, logp: jax.Array | None = None
) -> jax.Array:
    """(T^π)^−1: the Q of a reward, under π = exp(logp) or, without it, the soft-optimal policy (Lemma 3.1).

    Args and returns as `soft_policy_evaluation`. [S, A]
    """
    if logp is None:
        return soft_value_iteration(mdp, reward, temperature)
    return soft_policy_evaluation(mdp, reward, logp, temperature)


def reward_from_q(mdp: MDP, q: jax.Array, temperature: Scalar, logp: jax.Array | None = None) -> jax.Array:
    """Inverse soft Bellman operator T^π: r = Q − γ E_s'[V^π(s')]  (IQ-Learn, §3 and Lemmas 3.1, 3.2).

    Args:
      mdp: the process.
      q: [S, A] action values.
      temperature: [] entropy weight τ, in reward units per nat.
      logp: [S, A] log-probabilities of π; None takes the soft-optimal policy of q.
    Returns:
      [S, A] rewards.
    """
    return inverse_bellman(q, mdp.transition @ policy_value(q, temperature, logp), mdp.gamma)


def policy_value(q: jax.Array, temperature: Scalar, logp: jax.Array | None = None) -> jax.Array:
    """V^π(s) = Σ_a π(Q − τ log π), or τ log Σ exp(Q/τ) when logp is None. [S, A] -> [S]"""
    if logp is None:
        return soft_value(q, temperature)
    return jnp.sum(jnp.exp(logp) * q, axis=-1) + temperature * entropy(logp)


def occupancy(mdp: MDP, policy: jax.Array) -> jax.Array:
    """Discounted occupancy ρ(s,a) = (1−γ) Σ_t γ^t P(s_t=s, a_t=a), by a linear solve.

    Args:
      mdp: the process.
      policy: [S, A] probabilities.
    Returns:
      [S, A] occupancy; sums to 1.
    """
    system = jnp.eye(policy.shape[0], dtype=policy.dtype) - mdp.gamma * _state_chain(mdp, policy).T
    return linear_solve(system, (1 - mdp.gamma) * mdp.initial)[:, None] * policy


def causal_entropy(occupancies: jax.Array, logp: jax.Array) -> jax.Array:
    """Discounted causal entropy H̄(π) = −Σ ρ log π.

    Args:
      occupancies: [S, A] occupancy of the policy, summing to 1.
      logp: [S, A] its log-probabilities, finite.
    Returns:
      [] entropy, in nats per step.
    """
    return -jnp.sum(occupancies * logp)


def divergence_value(
    divergence: Divergence, occupancies: jax.Array, expert: jax.Array, alpha: Scalar
) -> jax.Array:
    """d_φ(ρ, ρ_E) = Σ ρ_E f_α(ρ/ρ_E), for ρ_E > 0 everywhere (not for Wasserstein-1).

    Args:
      divergence: record from DIVERGENCES.
      occupancies: [S, A] occupancy ρ.
      expert: [S, A] occupancy ρ_E > 0.
      alpha: [] weight of the divergence.
    Returns:
      [] divergence, in reward units.
    """
    return jnp.sum(expert * divergence.generator(occupancies / expert, alpha))


def objective(
    mdp: MDP,
    q: jax.Array,
    expert: jax.Array,
    divergence: Divergence,
    alpha: Scalar,
    temperature: Scalar,
    logp: jax.Array | None = None,
) -> jax.Array:
    """J(π,Q) = E_ρE[φ(Q − γE_s'V^π(s'))] − (1−γ)E_ρ0[V^π(s0)]  (IQ-Learn, eq. 9).

    Args:
      mdp: the process.
      q: [S, A] action values.
      expert: [S, A] the expert's occupancy.
      divergence: record from DIVERGENCES; its exact φ is used (−∞ outside the domain).
      alpha: [] weight of the divergence.
      temperature: [] entropy weight τ, in reward units per nat.
      logp: [S, A] log-probabilities of π; None takes the soft-optimal policy, giving J*(Q) (eq. 10).
    Returns:
      [] objective, in reward units.
    """
    reward = reward_from_q(mdp, q, temperature, logp)
    value = mdp.initial @ policy_value(q, temperature, logp)
    return jnp.sum(expert * divergence.phi(reward, alpha)) - (1 - mdp.gamma) * value


def dual(
    mdp: MDP,
    reward: jax.Array,
    expert: jax.Array,
    divergence: Divergence,
    alpha: Scalar,
    temperature: Scalar,
) -> jax.Array:
    """F(r) = E_ρE[φ(r)] − (1−γ)E_ρ0[V*_r(s0)]: concave in r for every φ; its gradient is φ'(r)ρ_E − ρ_π*.

    It equals J*(Q) at Q = `soft_value_iteration(mdp, reward)`, without that function's curvature in Q.
    Arguments as `objective`, with reward [S, A] in place of q.
    """
    q = soft_value_iteration(mdp, reward, temperature)
    value = mdp.initial @ soft_value(q, temperature)
    return jnp.sum(expert * divergence.phi(reward, alpha)) - (1 - mdp.gamma) * value


def _state_chain(mdp: MDP, policy: jax.Array) -> jax.Array:
    """[S, S] transition probabilities between states under a policy [S, A]."""
    return jnp.einsum("sa,sat->st", policy, mdp.transition)
