"""Distances of rewards that do not see shaping or positive scale: 0 the same direction, 1 the opposite one.

Each is the angle between two canonical forms (`canonical` on tables, `samples` on given
transitions). They say whether two rewards order policies alike, not how well a learner will do on them.
"""

import jax
import jax.numpy as jnp

from iqlearn_jax.ops.reward_distance.canonical import dard_canonical, epic_canonical, starc_canonical


def pearson_distance(x: jax.Array, y: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """√((1 − ρ)/2), with ρ Pearson's correlation (Gleave et al. 2021, §4), in [0, 1]. []

    Args:
      x, y: [...] values of the same rows.
      weights: [...] of the rows, >= 0; equal by default.
    """
    w = jnp.ones_like(x) if weights is None else weights
    w = w / jnp.sum(w)
    x, y = (clean(z - jnp.sum(w * z), z) for z in (x, y))
    return direction_distance(x, y, w)


def direction_distance(x: jax.Array, y: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """½‖x/‖x‖ − y/‖y‖‖ with the weighted 2-norm, in [0, 1] (STARC: Skalse et al. 2024). []

    A vector of zeros has no direction: it is at ½ from every other and at 0 from another such. Their metric
    is twice this one.

    Args:
      x, y: [...] vectors.
      weights: [...] >= 0 of the squared norm; equal by default.
    """
    w = jnp.ones_like(x) if weights is None else weights
    gap = _unit(x, w) - _unit(y, w)
    return 0.5 * jnp.sqrt(jnp.sum(w * gap**2))


def epic_distance(
    a: jax.Array, b: jax.Array, gamma: jax.Array | float, coverage: jax.Array | None = None
) -> jax.Array:
    """EPIC (Gleave et al. 2021, §4): Pearson distance of canonical rewards over `coverage`. []

    Invariant to shaping and positive scale, whatever the dynamics, which it does not know; not to
    S'-redistribution, nor to shaping in expectation.

    Args:
      a, b: [S, A, S] rewards.
      gamma: [] discount factor.
      coverage: [S, A, S] probabilities of transitions; uniform by default, as are S, A and S' inside.
    """
    a, b = (clean(epic_canonical(r, gamma), r) for r in (a, b))
    return pearson_distance(a, b, coverage)


def dard_distance(
    a: jax.Array,
    b: jax.Array,
    transition: jax.Array,
    gamma: jax.Array | float,
    coverage: jax.Array | None = None,
) -> jax.Array:
    """DARD (Wulfe et al. 2022, §4): Pearson distance of transformed rewards over `coverage`. []

    Args:
      a, b: [S, A, S] rewards.
      transition: [S, A, S] model of the dynamics.
      gamma: [] discount factor.
      coverage: [S, A, S] probabilities of transitions; by default those of uniform (s, a) under the model.
    """
    w = transition if coverage is None else coverage
    a, b = (clean(dard_canonical(r, transition, gamma), r) for r in (a, b))
    return pearson_distance(a, b, w)


def starc_distance(
    a: jax.Array,
    b: jax.Array,
    transition: jax.Array,
    gamma: jax.Array | float,
    weights: jax.Array | None = None,
) -> jax.Array:
    """STARC by value-adjusted levelling (Skalse et al. 2024). []

    0 exactly for rewards that order all policies alike. If J_b(π') >= J_b(π), then (with uniform weights)
    (1−γ)(J_a(π) − J_a(π')) <= 2·d·‖C(a)‖·‖ρ_π − ρ_π'‖: a policy that is good for b loses little by a.

    Args:
      a, b: [S, A, S] rewards, or [S, A].
      transition: [S, A, S] probabilities P(s'|s,a).
      gamma: [] discount factor.
      weights: [S, A] > 0 of the squared norm; uniform by default.
    """
    a, b = (clean(starc_canonical(r, transition, gamma), r) for r in (a, b))
    return direction_distance(a, b, weights)


def clean(form: jax.Array, reward: jax.Array) -> jax.Array:
    """The form itself, or zeros where it is but rounding beside the reward it was made of (1000 epsilons)."""
    rounding = 1000 * jnp.finfo(form.dtype).eps * jnp.max(jnp.abs(reward))
    return jnp.where(jnp.max(jnp.abs(form)) > rounding, form, 0.0)


def _unit(x: jax.Array, weights: jax.Array) -> jax.Array:
    """x/‖x‖, or zeros."""
    norm = jnp.sqrt(jnp.sum(weights * x**2))
    return x / jnp.where(norm > 0, norm, 1.0)
