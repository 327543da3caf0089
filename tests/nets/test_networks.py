"""Shapes, independence and scaling of the networks."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.nets import Actor, Critic, Ensemble, QNetwork, Split
from iqlearn_jax.nets.networks import LOG_STD_MAX, LOG_STD_MIN, Conv, orthogonal


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((4,), {}),
        ((4,), {"layer_norm": True}),
        ((10, 10, 4), {"image": True}),
        ((84, 84, 4), {"image": True}),
        ((), {"num_states": 7}),
    ],
)
def test_q_network_shapes(shape, options):
    network = Ensemble(QNetwork(num_actions=3, hidden=(8,), **options), 2)
    obs = jnp.zeros((5, *shape), jnp.int32 if shape == () else jnp.float32)
    params = jax.eval_shape(network.init, jax.random.key(0), obs)
    q = jax.eval_shape(network.apply, params, obs)
    assert q.shape == (2, 5, 3)
    assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(params))


@pytest.mark.slow
def test_members_of_an_ensemble_differ_and_do_not_share_gradients():
    network = Ensemble(Critic(hidden=(8,)), 2)
    obs, action = jnp.ones((5, 4)), jnp.ones((5, 1))
    params = network.init(jax.random.key(0), obs, action)
    first, second = network.apply(params, obs, action)
    assert (first != second).all()
    grads = jax.grad(lambda p: network.apply(p, obs, action)[0].sum())(params)
    assert all((leaf[1] == 0).all() for leaf in jax.tree.leaves(grads))
    assert any((leaf[0] != 0).any() for leaf in jax.tree.leaves(grads))


def test_a_table_starts_at_zero_and_is_only_a_table():
    network = QNetwork(num_actions=3, hidden=(8,), num_states=7)
    params = network.init(jax.random.key(0), jnp.zeros(1, jnp.int32))
    assert [leaf.shape for leaf in jax.tree.leaves(params)] == [(7, 3)]
    assert (network.apply(params, jnp.arange(7)) == 0).all()


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_log_standard_deviation_stays_in_its_range_with_a_gradient(scale):
    network = Actor(action_dim=2, hidden=(8,))
    obs = jax.random.normal(jax.random.key(0), (20, 3))
    params = jax.tree.map(lambda p: p * scale, network.init(jax.random.key(1), obs))
    mean, log_std = network.apply(params, obs)
    assert mean.shape == log_std.shape == (20, 2)
    assert (log_std >= LOG_STD_MIN).all()
    assert (log_std <= LOG_STD_MAX).all()
    assert np.isfinite(mean).all()


def test_orthogonal_weights_are_flaxs_however_many_are_mapped_over():
    keys = jax.random.split(jax.random.key(0), 4)
    draw = jax.jit(jax.vmap(lambda key: orthogonal(1.5)(key, (7, 5))))
    for weights, key in zip(draw(keys), keys, strict=True):
        np.testing.assert_array_equal(weights, nn.initializers.orthogonal(1.5)(key, (7, 5)))
        np.testing.assert_allclose(weights.T @ weights, 1.5**2 * np.eye(5), atol=1e-5)


def test_no_decomposition_is_batched():
    """Batched ones can wait for each other for ever on a machine of few cores; see `orthogonal`."""
    network = Ensemble(Critic(hidden=(8, 8)), 2)
    init = jax.vmap(lambda key: network.init(key, jnp.ones((1, 4)), jnp.ones((1, 1))))
    text = str(jax.make_jaxpr(init)(jax.random.split(jax.random.key(0), 3)))
    shapes = re.findall(r"f32\[([0-9,]+)\] = qr\[", text)
    assert shapes
    assert all(shape.count(",") == 1 for shape in shapes)


@pytest.mark.parametrize(
    ("image", "features", "size", "stride"),
    [((10, 10, 4), 16, 3, 1), pytest.param((21, 19, 3), 5, 8, 4, marks=pytest.mark.slow)],
)
def test_convolutions_are_flaxs(image, features, size, stride):
    """The same parameters, numbers and gradients, also where the last pixels do not fill a patch."""
    ours, flaxs = (
        Conv(features, size, stride),
        nn.Conv(features, (size, size), (stride, stride), padding="VALID"),
    )
    x = jax.random.normal(jax.random.key(0), (2, *image))
    params = flaxs.init(jax.random.key(1), x)
    jax.tree.map(np.testing.assert_array_equal, ours.init(jax.random.key(1), x), params)
    np.testing.assert_allclose(ours.apply(params, x), flaxs.apply(params, x), rtol=1e-4, atol=1e-5)

    def slope(net):
        return jax.grad(lambda p: jnp.sum(jnp.sin(net.apply(p, x))))(params)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), slope(ours), slope(flaxs)
    )


def test_nothing_is_a_convolution():
    """XLA's are slow inside a scan on the CPU, and wherever kernels are mapped over."""
    network = Ensemble(QNetwork(num_actions=3, hidden=(8,), image=True), 2)
    x = jnp.zeros((2, 84, 84, 4))
    jaxpr = jax.make_jaxpr(lambda key: network.apply(network.init(key, x), x))(jax.random.key(0))
    assert "conv_general_dilated" not in str(jaxpr)


def test_the_parts_of_a_split_critic_begin_with_weights_of_their_own():
    """A reward that began as a copy of one of its futures would be half of that critic's Q."""
    critic = Split(Critic(hidden=(4,)), Ensemble(Critic(hidden=(4,)), 3))
    params = critic.init(jax.random.key(0), jnp.zeros((1, 3)), jnp.zeros((1, 2)))
    of = lambda part: np.asarray(part["params"]["MLP_0"]["Dense_0"]["kernel"])  # noqa: E731
    kernels = [of(params["reward"]), *of(params["future"])]
    for i, one in enumerate(kernels):
        assert not any(np.allclose(one, other) for other in kernels[:i])
