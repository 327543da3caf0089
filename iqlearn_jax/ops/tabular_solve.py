"""The exact solution of IQ-Learn on a finite decision process, by Newton's method in reward space."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from iqlearn_jax.errors import InputError
from iqlearn_jax.ops.divergences import Divergence
from iqlearn_jax.ops.soft import soft_policy, soft_value
from iqlearn_jax.ops.tabular import MDP, Scalar, occupancy, soft_value_iteration

SUFFICIENT_INCREASE = 1e-4  # Armijo's constant
SHORTEST_STEP = 2.0**-40


class Solution(NamedTuple):
    """Maximiser of the dual F.

    Attributes:
      reward: [S, A] r*.
      q: [S, A] Q* = soft value iteration on r*.
      residual: [] largest |r − clip(r + ∇F)|; without a box that is the largest |φ'(r)ρ_E − ρ*|.
      steps: [] Newton steps taken.
    """

    reward: jax.Array
    q: jax.Array
    residual: jax.Array
    steps: jax.Array


class Point(NamedTuple):
    """The dual at one reward: x and gradient are [S·A], value and residual are []."""

    x: jax.Array
    value: jax.Array
    gradient: jax.Array
    residual: jax.Array


def solve(
    mdp: MDP,
    expert: jax.Array,
    divergence: Divergence,
    alpha: Scalar,
    temperature: Scalar,
    tolerance: float = 1e-11,
    max_steps: int = 200,
) -> Solution:
    """Maximise F(r) = E_ρE[φ(r)] − (1−γ)E_ρ0[V*_r], the concave dual of IQ-Learn's saddle point.

    Projected, damped Newton with exact Hessians; total variation adds the box |r| ≤ α, the other domains are
    open and kept by the line search. Run it in float64: in float32 the residual stays near 1e-6. It jits
    and vmaps over mdp, expert, alpha and temperature. For total variation r* is not unique (shaping inside
    the box), the policy is.

    Args:
      mdp: the process.
      expert: [S, A] the expert's occupancy, > 0 everywhere (a stochastic expert); otherwise no maximiser
        exists for most φ and `residual` stays large.
      divergence: record from DIVERGENCES other than Wasserstein-1.
      alpha: [] weight of the divergence.
      temperature: [] entropy weight τ > 0, in reward units per nat.
      tolerance: residual to stop at.
      max_steps: bound on Newton steps.
    Returns:
      Solution.
    Raises:
      InputError: for Wasserstein-1, whose constraint needs a metric on states and actions.
    """
    if divergence.name == "w1":
        raise InputError("tabular solve of 'w1' needs a metric; expected a Csiszár divergence such as 'chi2'")
    shape, dtype = expert.shape, expert.dtype
    boxed = divergence.upper < jnp.inf
    lower, upper = divergence.domain(alpha) if boxed else (-jnp.inf, jnp.inf)

    def evaluate(x: jax.Array) -> Point:
        value, gradient = dual_gradient(mdp, x.reshape(shape), expert, divergence, alpha, temperature)
        residual = jnp.max(jnp.abs(x - jnp.clip(x + gradient.ravel(), lower, upper)))
        return Point(x, value, gradient.ravel(), residual)

    def curvature(x: jax.Array) -> jax.Array:
        return -dual_hessian(mdp, x.reshape(shape), expert, divergence, alpha, temperature)

    # At w = 1 every optimal reward is inside its domain: 0 for most, α for forward KL.
    start = jnp.full(expert.size, divergence.optimal_reward(jnp.ones((), dtype), alpha), dtype)
    end, steps = _maximise(evaluate, curvature, start, (lower, upper), tolerance, max_steps)
    reward = end.x.reshape(shape)
    return Solution(reward, soft_value_iteration(mdp, reward, temperature), end.residual, steps)


def dual_gradient(
    mdp: MDP,
    reward: jax.Array,
    expert: jax.Array,
    divergence: Divergence,
    alpha: Scalar,
    temperature: Scalar,
) -> tuple[jax.Array, jax.Array]:
    """F(r) as `tabular.dual`, and its gradient φ'(r)ρ_E − ρ_π* in closed form. ([], [S, A])"""
    q = soft_value_iteration(mdp, reward, temperature)
    own = occupancy(mdp, soft_policy(q, temperature))
    value = mdp.initial @ soft_value(q, temperature)
    phi, slope = jax.value_and_grad(lambda r: jnp.sum(expert * divergence.phi(r, alpha)))(reward)
    return phi - (1 - mdp.gamma) * value, slope - own


def dual_hessian(
    mdp: MDP,
    reward: jax.Array,
    expert: jax.Array,
    divergence: Divergence,
    alpha: Scalar,
    temperature: Scalar,
) -> jax.Array:
    """Hessian of F: diag(φ''ρ_E) − (1/τ) Σ_sa ρ*(s,a) A_sa A_saᵀ with A_sa = ∇Q*(s,a) − ∇V*(s).

    It follows from ∇²V(s) = E_π[∇²Q] + Cov_π(∇Q)/τ, unrolled along the process; hence F is concave.
    Arguments as `dual_gradient`. Returns [S·A, S·A].
    """
    states, actions = reward.shape
    policy = soft_policy(soft_value_iteration(mdp, reward, temperature), temperature)
    chain = jnp.einsum("sa,sat->st", policy, mdp.transition)
    spread = (jnp.eye(states, dtype=policy.dtype)[:, :, None] * policy).reshape(states, -1)  # rows π(·|s)
    value_slope = jnp.linalg.solve(jnp.eye(states, dtype=policy.dtype) - mdp.gamma * chain, spread)
    q_slope = jnp.eye(reward.size, dtype=policy.dtype)
    q_slope += mdp.gamma * mdp.transition.reshape(-1, states) @ value_slope
    advantage = q_slope - jnp.repeat(value_slope, actions, axis=0)
    own = occupancy(mdp, policy).ravel()
    bend = jax.vmap(jax.grad(jax.grad(lambda r: divergence.phi(r, alpha))))(reward.ravel())
    return jnp.diag(bend * expert.ravel()) - (advantage.T * own) @ advantage / temperature


def _maximise(
    evaluate: Callable, curvature: Callable, start: jax.Array, box: tuple, tolerance: float, max_steps: int
) -> tuple[Point, jax.Array]:
    """Projected Newton (Bertsekas 1982) for a concave function on a box. Returns (Point, steps)."""

    def unfinished(carry: tuple) -> jax.Array:
        point, step, moved = carry
        return (point.residual > tolerance) & (step < max_steps) & moved

    def improve(carry: tuple) -> tuple:
        point, step, _ = carry
        direction = _newton_direction(curvature(point.x), point, box)
        new, moved = _line_search(evaluate, point, direction, box)
        return new, step + 1, moved

    point, steps, _ = jax.lax.while_loop(unfinished, improve, (evaluate(start), 0, jnp.asarray(True)))
    return point, steps


def _newton_direction(curvature: jax.Array, point: Point, box: tuple) -> jax.Array:
    """Newton's ascent direction on the coordinates that no bound holds; the held ones move by gradient."""
    (lower, upper), x, gradient = box, point.x, point.gradient
    near = jnp.minimum(point.residual, 1e-3)  # shrinks with the residual; keeps the method from zigzagging
    held = ((x >= upper - near) & (gradient > 0)) | ((x <= lower + near) & (gradient < 0))
    free = ~held
    scale = jnp.max(jnp.abs(jnp.diagonal(curvature)))
    matrix = jnp.where(free[:, None] & free[None, :], curvature, 0.0) + jnp.diag(jnp.where(held, scale, 0.0))
    # Shaping leaves total variation's F constant, so its Hessian is singular; the shift makes it regular.
    shift = (jnp.minimum(point.residual, 1.0) * 1e-3 + 8 * jnp.finfo(x.dtype).eps) * scale
    return jnp.linalg.solve(matrix + shift * jnp.eye(x.size, dtype=x.dtype), gradient)


def _line_search(
    evaluate: Callable, point: Point, direction: jax.Array, box: tuple
) -> tuple[Point, jax.Array]:
    """Halve the step until F rises enough, or (at F's rounding noise) the residual falls by a tenth."""

    def at(size: jax.Array) -> Point:
        return evaluate(jnp.clip(point.x + size * direction, *box))

    def enough(new: Point) -> jax.Array:
        rises = new.value > point.value + SUFFICIENT_INCREASE * point.gradient @ (new.x - point.x)
        # Outside an open domain F is −∞ and its gradient says nothing, hence the second condition.
        flattens = (new.residual < 0.9 * point.residual) & jnp.isfinite(new.value)
        return rises | flattens

    def too_long(carry: tuple) -> jax.Array:
        size, new = carry
        return ~enough(new) & (size > SHORTEST_STEP)

    def halve(carry: tuple) -> tuple:
        size = carry[0] / 2
        return size, at(size)

    one = jnp.ones((), point.x.dtype)
    _, new = jax.lax.while_loop(too_long, halve, (one, at(one)))
    return new, enough(new)
