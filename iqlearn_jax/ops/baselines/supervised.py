"""Losses of classifiers whose scores are action values."""

import jax
import jax.numpy as jnp


def large_margin(q: jax.Array, action: jax.Array, margin: jax.Array | float) -> jax.Array:
    """max_a [Q(s,a) + margin·1(a ≠ a_E)] − Q(s,a_E)  (Piot, Geist & Pietquin 2014, the margin loss).

    It is 0 exactly where Q(s,a_E) leads every other action by the margin, and never negative.

    Args:
      q: [B, A] action values.
      action: [B] int32 the expert's actions a_E.
      margin: [] wanted lead, in the units of q.
    Returns:
      [B] losses, in the units of q.
    """
    is_expert = jax.nn.one_hot(action, q.shape[-1], dtype=q.dtype)
    return jnp.max(q + margin * (1 - is_expert), axis=-1) - jnp.sum(is_expert * q, axis=-1)
