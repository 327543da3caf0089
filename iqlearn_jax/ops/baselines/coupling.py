"""A greedy coupling: a bound of Wasserstein-1 distances, known step by step (Dadashi et al. 2021)."""

import jax
import jax.numpy as jnp

LEAST = 0.999  # share of a step that must find a partner; float32 sums leave the rest


def transport(left: jax.Array, distance: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Moves one unit of weight to the nearest atoms that still take some (arXiv 2006.04678, Algorithm 1).

    Args:
      left: [N] weight that each atom can still take, >= 0.
      distance: [N] of the unit to each atom.
    Returns:
      left [N] afterwards, cost []: the mean distance over what was moved; infinite where the atoms could not
      take the whole unit.
    """
    order = jnp.argsort(distance)
    room = left[order]
    moved = jnp.clip(1.0 - (jnp.cumsum(room) - room), 0.0, room)
    cost = jnp.where(jnp.sum(moved) >= LEAST, jnp.sum(moved * distance[order]), jnp.inf)
    return left.at[order].add(-moved), cost
