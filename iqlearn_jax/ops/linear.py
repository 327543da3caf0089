"""Linear systems inside programs that hold many runs."""

import jax
import jax.numpy as jnp


def linear_solve(matrix: jax.Array, rhs: jax.Array) -> jax.Array:
    """x of matrix · x = rhs by LU; under `vmap` one system after the other on a CPU, as one batch elsewhere.

    jaxlib 0.10 spreads a batch of LAPACK calls over the threads that wait for it: with as many batches at
    once as there are threads (a device for each core), all wait for ever. Derivatives of any order come from
    the product (implicit differentiation).

    Args:
      matrix: [n, n], regular; a singular one gives inf or NaN.
      rhs: [n] or [n, k].
    Returns:
      [n] or [n, k], as rhs.
    """
    fixed = jax.lax.stop_gradient(matrix)
    return jax.lax.custom_linear_solve(
        lambda x: matrix @ x, rhs, lambda _, b: _solve(fixed, b), lambda _, b: _solve(fixed.T, b)
    )


_one_by_one = jax.custom_batching.sequential_vmap(jnp.linalg.solve)


def _solve(matrix: jax.Array, rhs: jax.Array) -> jax.Array:
    return jax.lax.platform_dependent(matrix, rhs, cpu=_one_by_one, default=jnp.linalg.solve)
