"""Samples from a density that is known up to a constant, by following its slope with noise."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def langevin(
    slope: Callable[[jax.Array], jax.Array],
    x: jax.Array,
    key: jax.Array,
    step_size: jax.Array | float,
    noise: jax.Array | float,
    steps: int,
) -> jax.Array:
    """`steps` times x ← x − step_size·∇E(x) + noise·ξ, ξ ~ N(0, I)  (Welling & Teh 2011).

    With noise = √(2·step_size) and a small step its stationary density is exp(−E). Energy-based models are
    mostly trained with less noise, that is at a lower temperature, noise²/(2·step_size).

    Args:
      slope: ∇E of a batch of points, [B, ...] -> [B, ...].
      x: [B, ...] start points.
      key: random key.
      step_size, noise: [] both ≥ 0.
      steps: number of moves, static.
    Returns:
      [B, ...] end points.
    """

    def move(point: jax.Array, number: jax.Array) -> tuple[jax.Array, None]:
        draw = jax.random.normal(jax.random.fold_in(key, number), point.shape, point.dtype)
        return point - step_size * slope(point) + noise * draw, None

    return jax.lax.scan(move, x, jnp.arange(steps))[0]
