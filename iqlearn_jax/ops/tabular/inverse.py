"""Inner problems of inverse RL on finite decision processes, with a static number of iterations.

They jit and vmap without a loop whose length depends on the data; what is left to converge is measured by
`bellman_residual`. Shapes and units as in `ops.tabular.mdp`.
"""

import jax
import jax.numpy as jnp

from iqlearn_jax.ops.iq.soft import log_policy, soft_policy, soft_value
from iqlearn_jax.ops.tabular.mdp import MDP, Scalar, soft_policy_evaluation


def frequencies(obs: jax.Array, action: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Share of each pair among the rows. obs, action: [B] int32. Returns [S, A], summing to 1."""
    return jnp.zeros(shape).at[obs, action].add(1.0 / obs.shape[0])


def implied_start(mdp: MDP, visits: jax.Array) -> jax.Array:
    """The start measure that makes `visits` d a discounted occupancy: (d(s) − γ Σ d(s',a')P(s|s',a'))/(1−γ).

    Of a policy's own occupancy it is ρ0. Of other visits (undiscounted, cut, thinned out) it is what those
    visits start from if γ is believed; it sums to 1, but entries may be negative.

    Args:
      mdp: the process; its `initial` is not read.
      visits: [S, A], summing to 1.
    Returns:
      [S].
    """
    arriving = jnp.einsum("sa,sat->t", visits, mdp.transition)
    return (jnp.sum(visits, axis=-1) - mdp.gamma * arriving) / (1 - mdp.gamma)


def soft_policy_iteration(
    mdp: MDP, reward: jax.Array, temperature: Scalar, q: jax.Array, steps: int
) -> jax.Array:
    """Q of the soft-optimal policy after `steps` ≥ 1 soft policy iterations (Newton's steps) from q.

    The first derivative is the fixed point's, by implicit differentiation: all but the last step are cut from
    the gradient, and at the fixed point Newton's map does not depend on where it starts. It is as exact as
    the fixed point is reached.

    Args:
      mdp: the process.
      reward: [S, A] rewards.
      temperature: [] entropy weight τ > 0, in reward units per nat.
      q: [S, A] where to start, such as the Q of a reward nearby.
      steps: static number of iterations.
    Returns:
      [S, A] action values.
    """

    def newton(process: MDP, rewards: jax.Array, tau: Scalar, values: jax.Array) -> jax.Array:
        return soft_policy_evaluation(process, rewards, log_policy(values, tau), tau)

    frozen, q = jax.lax.stop_gradient(((mdp, reward, temperature), q))
    q = jax.lax.fori_loop(0, steps - 1, lambda _, values: newton(*frozen, values), q)
    return newton(mdp, reward, temperature, q)


def policy_iteration(mdp: MDP, reward: jax.Array, q: jax.Array, steps: int) -> jax.Array:
    """Q of the greedy policy after `steps` policy iterations from q (Howard 1960), without entropy.

    Exact as soon as the policy repeats, which takes few steps; each improves unless it is optimal.
    Arguments as `soft_policy_iteration`. Returns [S, A].
    """

    def improve(_: int, values: jax.Array) -> jax.Array:
        greedy = jax.nn.one_hot(jnp.argmax(values, axis=-1), reward.shape[-1], dtype=reward.dtype)
        return soft_policy_evaluation(mdp, reward, jnp.log(greedy), 0.0)

    return jax.lax.fori_loop(0, steps, improve, q)


def bellman_residual(mdp: MDP, reward: jax.Array, q: jax.Array, temperature: Scalar | None) -> jax.Array:
    """Largest |Q − r − γPV| with V = τ log Σ exp(Q/τ), or max_a Q where temperature is None. []"""
    value = jnp.max(q, axis=-1) if temperature is None else soft_value(q, temperature)
    return jnp.max(jnp.abs(q - reward - mdp.gamma * mdp.transition @ value))


def occupancy_policy(occupancies: jax.Array) -> jax.Array:
    """The stationary policy ρ(s,a)/Σ_a ρ(s,a) that has this occupancy; uniform where no state is visited.

    Occupancies and stationary policies correspond one to one (Puterman 1994, section 6.9), so a mixture of
    policies, one of which is drawn at the start, has a stationary twin with the same occupancy.

    Args:
      occupancies: [S, A] ≥ 0.
    Returns:
      [S, A] probabilities.
    """
    total = jnp.sum(occupancies, axis=-1, keepdims=True)
    visited = total > 0
    share = occupancies / jnp.where(visited, total, 1.0)
    return jnp.where(visited, share, 1.0 / occupancies.shape[-1])


def averaged_q(
    reward: jax.Array, successors: jax.Array, gamma: Scalar, temperature: Scalar, steps: int
) -> jax.Array:
    """Q-averaging (Jain et al. 2019): `steps` times Q ← r + γ Σ_s' P̂(s'|s,a) Σ_a' π(a'|s')Q(s',a'), from r.

    π = softmax(Q/τ): the mean over its actions stands where Q-learning has the maximum, so that Q can be
    differentiated. A gradient goes through all backups.

    Args:
      reward: [S, A] rewards.
      successors: [S, A, S] frequencies P̂; sums below 1 where a task ended, 0 where nothing was seen (Q = r).
      gamma, temperature: [] discount factor, and τ in reward units per nat.
      steps: static number of backups.
    Returns:
      [S, A] action values.
    """

    def backup(q: jax.Array, _: None) -> tuple[jax.Array, None]:
        value = jnp.sum(soft_policy(q, temperature) * q, axis=-1)
        return reward + gamma * successors @ value, None

    return jax.lax.scan(backup, reward, length=steps)[0]
