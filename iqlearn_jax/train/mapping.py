"""Mapping over leading axes, such as runs and environments."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp


def vmap(function: Callable, in_axes: tuple[int | None, ...] | int = 0) -> Callable:
    """As `jax.vmap` over leading axes, but one entry alone goes through without an axis.

    XLA's plain products [m, k] x [k, n] are faster on the CPU than batches of one (docs/performance.md).

    Args:
      in_axes: 0 or None for each argument, or 0 for all.
    """

    def mapped(*args: Any) -> Any:
        axes = (in_axes,) * len(args) if isinstance(in_axes, int) else in_axes
        if _size(args, axes) > 1:
            return jax.vmap(function, axes)(*args)
        one = [arg if axis is None else _each(jnp.squeeze, arg) for arg, axis in zip(args, axes, strict=True)]
        return _each(jnp.expand_dims, function(*one))

    return mapped


def _size(args: tuple, axes: tuple) -> int:
    mapped = [arg for arg, axis in zip(args, axes, strict=True) if axis is not None]
    return jax.tree.leaves(mapped)[0].shape[0]


def _each(change: Callable, tree: Any) -> Any:
    return jax.tree.map(partial(change, axis=0), tree)
