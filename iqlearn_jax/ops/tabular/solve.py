"""The exact solution of IQ-Learn on a finite decision process, by Newton's method in reward space."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from iqlearn_jax.errors import InputError
from iqlearn_jax.ops.iq.divergences import Divergence
from iqlearn_jax.ops.iq.soft import soft_policy, soft_value
from iqlearn_jax.ops.linear import linear_solve
from iqlearn_jax.ops.tabular.mdp import MDP, Scalar, occupancy, soft_value_iteration

SUFFICIENT_INCREASE = 1e-4  # Armijo's constant
SHORTEST_STEP = 2.0**-40


class Solution(NamedTuple):
    """Maximiser of the dual F.

    Attributes:
      reward: [S, A] r*.
      q: [S, A] Q* = soft value iteration on r*.
      residual: [] largest |r − clip(r + ∇F)|; without a box that is the largest |φ'(r)ρ_E − ρ*|.
      steps: [] evaluations of F.
    """

    reward: jax.Array
    q: jax.Array
    residual: jax.Array
    steps: jax.Array


class Point(NamedTuple):
    """The dual at one reward: x and gradient are [S·A], q is [S, A], value and residual are []."""

    x: jax.Array
    q: jax.Array
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
    max_steps: int = 300,
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
      divergence: one with an `optimal_reward`: any in DIVERGENCES but Wasserstein-1.
      alpha: [] weight of the divergence.
      temperature: [] entropy weight τ > 0, in reward units per nat.
      tolerance: residual to stop at.
      max_steps: bound on evaluations of F.
    Returns:
      Solution.
    Raises:
      InputError: for Wasserstein-1, whose constraint needs a metric on states and actions.
    """
    optimal = divergence.optimal_reward
    if optimal is None:
        name = divergence.name
        raise InputError(
            f"tabular solve of '{name}' needs a metric; expected a Csiszár divergence, e.g. 'chi2'"
        )
    shape, dtype = expert.shape, expert.dtype
    box = divergence.domain(alpha) if divergence.boxed else (-jnp.inf, jnp.inf)

    def evaluate(x: jax.Array) -> Point:
        reward = x.reshape(shape)
        q = soft_value_iteration(mdp, reward, temperature)
        value, gradient = dual_gradient(mdp, reward, q, expert, divergence, alpha, temperature)
        residual = jnp.max(jnp.abs(x - jnp.clip(x + gradient.ravel(), *box)))
        return Point(x, q, value, gradient.ravel(), residual)

    def curvature(point: Point) -> jax.Array:
        reward = point.x.reshape(shape)
        return -dual_hessian(mdp, reward, point.q, expert, divergence, alpha, temperature)

    # At w = 1 every optimal reward is inside its domain: 0 for most, α for forward KL.
    start = jnp.full(expert.size, optimal(jnp.ones((), dtype), alpha), dtype)
    end, steps = _maximise(evaluate, curvature, start, shape, box, tolerance, max_steps)
    return Solution(end.x.reshape(shape), end.q, end.residual, steps)


def dual_gradient(
    mdp: MDP,
    reward: jax.Array,
    q: jax.Array,
    expert: jax.Array,
    divergence: Divergence,
    alpha: Scalar,
    temperature: Scalar,
) -> tuple[jax.Array, jax.Array]:
    """F(r) as `mdp.dual`, and its gradient φ'(r)ρ_E − ρ_π* in closed form, where q = Q*_r is known.

    Arguments as `mdp.objective`, with reward [S, A]. Returns ([], [S, A]).
    """
    occupancies = occupancy(mdp, soft_policy(q, temperature))
    value = mdp.initial @ soft_value(q, temperature)
    phi, slope = jax.value_and_grad(lambda r: jnp.sum(expert * divergence.phi(r, alpha)))(reward)
    return phi - (1 - mdp.gamma) * value, slope - occupancies


def dual_hessian(
    mdp: MDP,
    reward: jax.Array,
    q: jax.Array,
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
    policy, eye = soft_policy(q, temperature), jnp.eye(states, dtype=reward.dtype)
    chain = jnp.einsum("sa,sat->st", policy, mdp.transition)
    spread = (eye[:, :, None] * policy).reshape(states, -1)  # row s holds π(·|s)
    value_slope = linear_solve(eye - mdp.gamma * chain, spread)
    q_slope = jnp.eye(reward.size, dtype=reward.dtype)
    q_slope += mdp.gamma * mdp.transition.reshape(-1, states) @ value_slope
    advantage = q_slope - jnp.repeat(value_slope, actions, axis=0)
    weight = occupancy(mdp, policy).ravel()
    bend = jax.vmap(jax.grad(jax.grad(lambda r: divergence.phi(r, alpha))))(reward.ravel())
    return jnp.diag(bend * expert.ravel()) - (advantage.T * weight) @ advantage / temperature


def _maximise(
    evaluate: Callable,
    curvature: Callable,
    start: jax.Array,
    shape: tuple[int, ...],
    box: tuple,
    tolerance: float,
    max_steps: int,
) -> tuple[Point, jax.Array]:
    """Projected Newton (Bertsekas 1982) for a concave function on a box. Returns (Point, evaluations).

    One loop serves Newton steps and step halving alike, so that under vmap no problem waits for another's
    line search. The first round only evaluates the start: its gradient is still 0 and its value −∞.
    """

    def unfinished(carry: tuple) -> jax.Array:
        point, size, step = carry
        return (point.residual > tolerance) & (step < max_steps) & (size > SHORTEST_STEP)

    def improve(carry: tuple) -> tuple:
        point, size, step = carry
        direction = _newton_direction(curvature(point), point, box)
        new = evaluate(jnp.clip(point.x + size * direction, *box))
        better = _improves(point, new)
        point = jax.tree.map(lambda old, fresh: jnp.where(better, fresh, old), point, new)
        return point, jnp.where(better, 1.0, size / 2), step + 1

    infinity, zeros = jnp.asarray(jnp.inf, start.dtype), jnp.zeros_like(start)
    first = Point(start, zeros.reshape(shape), -infinity, zeros, infinity)
    point, _, steps = jax.lax.while_loop(
        unfinished, improve, (first, jnp.ones_like(infinity), jnp.zeros((), int))
    )
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
    return linear_solve(matrix + shift * jnp.eye(x.size, dtype=x.dtype), gradient)


def _improves(point: Point, new: Point) -> jax.Array:
    """Armijo's condition; or, when F changes by no more than its rounding, a residual lower by a tenth."""
    gain = new.value - point.value
    rises = gain > jnp.maximum(SUFFICIENT_INCREASE * point.gradient @ (new.x - point.x), 0.0)
    noise = 64 * jnp.finfo(gain.dtype).eps * (1 + jnp.abs(point.value))
    return rises | ((new.residual < 0.9 * point.residual) & (gain > -noise))
