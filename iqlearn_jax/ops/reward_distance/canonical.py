"""Rewards brought to a form in which shaping no longer shows: EPIC, DARD and STARC, exact on tables.

Shaping adds γΦ(s') − Φ(s). S'-redistribution moves reward between the successors of one (s, a) and keeps its
mean under the dynamics. Both leave the order of all policies as it is. EPIC and DARD remove shaping, STARC
both. `samples` has the same for continuous spaces.
"""

import jax
import jax.numpy as jnp

from iqlearn_jax.ops.linear import linear_solve


def epic_canonical(
    reward: jax.Array,
    gamma: jax.Array | float,
    states: jax.Array | None = None,
    actions: jax.Array | None = None,
) -> jax.Array:
    """Canonically shaped reward (Gleave et al. 2021, Definition 4.1), with S, S' ~ D_S and A ~ D_A.

    C(r)(s,a,s') = r(s,a,s') + E[γ r(s',A,S') − r(s,A,S') − γ r(S,A,S')]. Rewards that differ by shaping
    γΦ(s') − Φ(s) have the same form; those that differ by its expectation over s' alone do not.

    Args:
      reward: [S, A, S] rewards r(s, a, s').
      gamma: [] discount factor.
      states: [S] probabilities D_S; uniform by default.
      actions: [A] probabilities D_A; uniform by default.
    Returns:
      [S, A, S] canonical rewards, in the units of `reward`.
    """
    d_s = uniform(reward.shape[0]) if states is None else states
    d_a = uniform(reward.shape[1]) if actions is None else actions
    leaving = jnp.einsum("sat,a,t->s", reward, d_a, d_s)  # E r(s, A, S') [S]
    return reward + gamma * leaving[None, None, :] - leaving[:, None, None] - gamma * d_s @ leaving


def dard_canonical(
    reward: jax.Array,
    transition: jax.Array,
    gamma: jax.Array | float,
    actions: jax.Array | None = None,
) -> jax.Array:
    """Dynamics-aware transformed reward (Wulfe et al. 2022, eq. 3).

    C(r)(s,a,s') = r(s,a,s') + E[γ r(s',A,S'') − r(s,A,S') − γ r(S',A,S'')] with one A ~ D_A, S' ~ T(s,A) and
    S'' ~ T(s',A). Shaping cancels whatever the transition model T; unlike EPIC's, the transitions that it
    looks at are near those of the process.

    Args:
      reward: [S, A, S] rewards r(s, a, s').
      transition: [S, A, S] the model T(s'|s,a), not necessarily the true one.
      gamma: [] discount factor.
      actions: [A] probabilities D_A; uniform by default.
    Returns:
      [S, A, S] transformed rewards, in the units of `reward`.
    """
    d_a = uniform(reward.shape[1]) if actions is None else actions
    leaving = jnp.einsum("sat,sat,a->s", reward, transition, d_a)  # E r(s, A, S'), S' ~ T(s,A) [S]
    # r(S', A, S'') with S' from s and S'' from the other state u, by the same action
    between = jnp.einsum("xay,sax,uay,a->su", reward, transition, transition, d_a)
    shaped = gamma * (leaving[None, :] - between) - leaving[:, None]
    return reward + shaped[:, None, :]


def starc_canonical(
    reward: jax.Array,
    transition: jax.Array,
    gamma: jax.Array | float,
    policy: jax.Array | None = None,
) -> jax.Array:
    """Value-adjusted levelling (Skalse et al. 2024): E[r + γV^π(S') | s, a] − V^π(s).

    That is the advantage of π under r, in which neither shaping nor S'-redistribution shows, and nothing else
    is lost: Σ ρ_π'·C(r) = (1−γ)(J(π') − J(π)) for every policy π' (Kakade & Langford 2002).

    Args:
      reward: [S, A, S] rewards r(s, a, s'), or [S, A] their means over s'.
      transition: [S, A, S] probabilities P(s'|s,a).
      gamma: [] discount factor.
      policy: [S, A] any fixed policy π; uniform by default.
    Returns:
      [S, A] canonical rewards, in the units of `reward`.
    """
    mean = expected_reward(reward, transition)
    pi = jnp.full_like(mean, 1.0 / mean.shape[1]) if policy is None else policy
    chain = jnp.einsum("sa,sat->st", pi, transition)
    value = linear_solve(jnp.eye(len(chain)) - gamma * chain, jnp.sum(pi * mean, axis=1))
    return mean + gamma * transition @ value - value[:, None]


def minimal_canonical(
    reward: jax.Array,
    transition: jax.Array,
    gamma: jax.Array | float,
    weights: jax.Array | None = None,
) -> jax.Array:
    """The smallest reward of the class (Skalse et al. 2024): min_Φ ‖r + γE[Φ(S')] − Φ‖_w.

    Another canonical form of STARC, the one that `samples.least_squares_canonical` estimates.

    Args:
      reward, transition, gamma: as `starc_canonical`.
      weights: [S, A] > 0, of the squared norm; uniform by default.
    Returns:
      [S, A] canonical rewards, in the units of `reward`.
    """
    mean = expected_reward(reward, transition)
    scale = jnp.sqrt(jnp.ones_like(mean) if weights is None else weights).ravel()
    shaping = gamma * transition - jnp.eye(len(mean))[:, None, :]  # its effect per unit of Φ(t) [S, A, S]
    rows = shaping.reshape(-1, len(mean))
    potential = jnp.linalg.lstsq(rows * scale[:, None], -mean.ravel() * scale)[0]
    return mean + shaping @ potential


def expected_reward(reward: jax.Array, transition: jax.Array) -> jax.Array:
    """E[r(s, a, S')] under the dynamics. [S, A, S] or [S, A] -> [S, A]"""
    return reward if reward.ndim == 2 else jnp.einsum("sat,sat->sa", reward, transition)


def uniform(size: int) -> jax.Array:
    """[size] equal probabilities."""
    return jnp.full(size, 1.0 / size)
