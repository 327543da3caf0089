"""One entry alone goes through without its axis, with keys and trees, and gives what a batch would."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.devices.placement import vmap


def scaled_noise(tree, key, scale):
    used, kept = jax.random.split(key)
    return {"x": scale * tree["x"] + jax.random.normal(used, tree["x"].shape), "key": kept}


@pytest.mark.parametrize("size", [1, 3])
def test_maps_as_jax_does(size):
    def keys():
        return jax.random.split(jax.random.key(0), size)

    tree = {"x": jnp.arange(4.0 * size).reshape(size, 4)}
    actual = jax.jit(vmap(scaled_noise, in_axes=(0, 0, None)))(tree, keys(), 2.0)
    expected = jax.vmap(scaled_noise, in_axes=(0, 0, None))(tree, keys(), 2.0)
    np.testing.assert_allclose(actual["x"], expected["x"], rtol=1e-6)
    assert (actual["key"] == expected["key"]).all()


def test_one_entry_is_no_batch():
    def product(x, y):
        assert x.ndim == y.ndim == 2
        return x @ y

    text = str(jax.make_jaxpr(vmap(product))(jnp.ones((1, 3, 4)), jnp.ones((1, 4, 5))))
    assert "dimension_numbers=(([1], [0]), ([], []))" in text
