"""Rows written into a large array in place, also where there is only one of them."""

import jax
import jax.numpy as jnp


def write(kept: jax.Array, index: tuple[jax.Array, ...], new: jax.Array) -> jax.Array:
    """kept.at[index].set(new), which XLA never copies `kept` for.

    One row alone XLA writes by a dynamic-update-slice, and where the same program then gathers from the array
    (a sample of the replay) it copies the whole array first, at each update. A scatter of two rows is done in
    place, so a second one goes with it, outside the array, where it is dropped.

    Args:
      kept: [S, ...].
      index: arrays [n] for the first axes of `kept`.
      new: [n, ...] rows.
    """
    first, *rest = index
    padded = (jnp.append(first, kept.shape[0]), *(jnp.append(other, 0) for other in rest))
    return kept.at[padded].set(jnp.concatenate([new, new[:1]]), mode="drop")
