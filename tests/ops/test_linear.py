"""`ops.linear`: solutions and derivatives against NumPy, and no batch of LAPACK calls on the CPU."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.ops.linear import linear_solve


@pytest.fixture(autouse=True, scope="module")
def _x64():
    with jax.enable_x64(True):
        yield


def systems(*shape):
    rng = np.random.default_rng(0)
    return rng.normal(size=(*shape, 5, 5)) + 4 * np.eye(5), rng.normal(size=(*shape, 5))


def test_it_solves_also_where_it_is_mapped_over():
    matrix, rhs = systems(3, 2)
    actual = jax.jit(jax.vmap(jax.vmap(linear_solve)))(matrix, rhs)
    np.testing.assert_allclose(actual, np.linalg.solve(matrix, rhs[..., None])[..., 0], rtol=1e-12)
    several = linear_solve(jnp.asarray(matrix[0, 0]), jnp.asarray(rhs[0].T))
    np.testing.assert_allclose(several, np.linalg.solve(matrix[0, 0], rhs[0].T), rtol=1e-12)


def test_derivatives_are_those_of_the_inverse():
    matrix, rhs = systems()
    weight = np.arange(5.0)
    by_matrix, by_rhs = jax.grad(lambda a, b: weight @ linear_solve(a, b), (0, 1))(matrix, rhs)
    back = np.linalg.solve(matrix.T, weight)  # d(wᵀA⁻¹b) = wᵀA⁻¹(db − dA A⁻¹b)
    np.testing.assert_allclose(by_rhs, back, rtol=1e-12)
    np.testing.assert_allclose(by_matrix, -np.outer(back, np.linalg.solve(matrix, rhs)), rtol=1e-12)
    second = jax.hessian(lambda s: weight @ linear_solve(matrix + s * np.eye(5), rhs))(0.0)
    inverse = np.linalg.inv(matrix)
    np.testing.assert_allclose(second, 2 * weight @ inverse @ inverse @ inverse @ rhs, rtol=1e-10)


def test_the_cpu_gets_one_system_at_a_time():
    """Batches of LU can wait for each other for ever; see `linear_solve`."""
    matrix, rhs = systems(3)
    text = jax.jit(jax.vmap(linear_solve)).lower(matrix, rhs).as_text()
    calls = re.findall(r"@lapack_dgetrf_ffi\(.*", text)
    assert len(calls) == 1 and "tensor<5x5xf64>" in calls[0] and "tensor<3x5x5xf64>" not in calls[0]
