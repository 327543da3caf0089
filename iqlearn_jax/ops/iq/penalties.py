"""Penalties on the gradient of a function with respect to its input, and on weights."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp

PyTree = Any


def gradient_penalty(
    fn: Callable[[PyTree], jax.Array],
    expert_x: PyTree,
    policy_x: PyTree,
    key: jax.Array,
    target: jax.Array | float = 1.0,
    one_sided: bool = False,
) -> jax.Array:
    """E[(‖∇fn(x̃)‖ − target)²] at x̃ = ε·expert + (1−ε)·policy, one ε ~ U[0,1] for each sample.

    (Gulrajani et al. 2017, eq. 3; IQ-Learn, §5.3 for Wasserstein-1.) The norm is Euclidean over all floating
    leaves together. Integer leaves (discrete actions) cannot be interpolated: they take the nearer end's
    value and are not differentiated. Cast pixels to float first.

    What `fn` is decides what is Lipschitz. The theory bounds the reward r; IQ-Learn's default here penalises
    Q instead, which needs no successor: over (obs, action) for continuous actions, and over obs at the
    taken action for discrete ones (fn = lambda x: q(x[0])[x[1]]). Pass r = Q − γV as fn to bound r itself.

    Args:
      fn: maps ONE input (no batch axis) to a scalar.
      expert_x: pytree of [B, ...] arrays: obs alone, or (obs, action).
      policy_x: pytree of the same structure and shapes.
      key: random key for ε.
      target: [] wanted norm, in units of fn per unit of input (the Lipschitz constant).
      one_sided: penalise only norms above target.
    Returns:
      [] penalty, in squared units of target.
    Raises:
      AssertionError: when the two pytrees differ in structure or shape.
      TypeError: when no leaf is floating.
    """
    chex.assert_trees_all_equal_shapes_and_dtypes(expert_x, policy_x)
    x = interpolate(expert_x, policy_x, key)
    leaves, treedef = jax.tree.flatten(x)
    moving = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    if not moving:
        raise TypeError("gradient_penalty needs at least one floating leaf to differentiate by")

    def at(moved: list, fixed: list) -> jax.Array:
        rebuilt = list(fixed)
        for i, leaf in zip(moving, moved, strict=True):
            rebuilt[i] = leaf
        return fn(jax.tree.unflatten(treedef, rebuilt))

    gradients = jax.vmap(jax.grad(at))([leaves[i] for i in moving], leaves)
    gap = _norm(gradients) - target
    return jnp.mean(jnp.square(jnp.maximum(gap, 0.0) if one_sided else gap))


def orthogonality(kernels: list[jax.Array]) -> jax.Array:
    """Σ over kernels of ‖WᵀW − diag(WᵀW)‖²_F: columns may have any length, but no angle (Brock et al. 2019,
    eq. 3).

    Args:
      kernels: weights [..., out]; leading axes count as inputs.
    Returns:
      [] penalty.
    """
    total = jnp.zeros(())
    for kernel in kernels:
        flat = kernel.reshape(-1, kernel.shape[-1])
        products = flat.T @ flat
        total += jnp.sum(jnp.square(products * (1.0 - jnp.eye(flat.shape[-1]))))
    return total


def interpolate(expert_x: PyTree, policy_x: PyTree, key: jax.Array) -> PyTree:
    """Points ε·expert + (1−ε)·policy with one ε ~ U[0,1] for each sample, shared by all leaves.

    Args:
      expert_x, policy_x: pytrees of [B, ...] arrays of the same structure and shapes.
      key: random key.
    Returns:
      pytree of [B, ...]; integer leaves take the value of the nearer end.
    """
    batch = jax.tree.leaves(expert_x)[0].shape[0]
    epsilon = jax.random.uniform(key, (batch,))

    def mix(expert: jax.Array, policy: jax.Array) -> jax.Array:
        share = epsilon.reshape((batch,) + (1,) * (expert.ndim - 1))
        if not jnp.issubdtype(expert.dtype, jnp.floating):
            return jnp.where(share > 0.5, expert, policy)
        return share.astype(expert.dtype) * expert + (1 - share).astype(expert.dtype) * policy

    return jax.tree.map(mix, expert_x, policy_x)


def _norm(gradients: list) -> jax.Array:
    """[B] Euclidean norms over all leaves; the gradient at 0 is 0 rather than NaN."""
    squares = sum(jnp.sum(g.reshape(g.shape[0], -1) ** 2, axis=-1) for g in gradients)
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)
