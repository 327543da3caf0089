"""Optimiser, target and temperature steps, for both agents."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from iqlearn_jax.agents.common import bootstrap_critic, critic_step, descend
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.errors import InputError
from tests.common import configure, hyper, spec_of

SPECS = {"discrete": spec_of(obs_shape=(2,), num_actions=3), "continuous": spec_of(obs_shape=(2,))}
OBS = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)


def make(kind, **changes):
    config = configure(hidden=(8,), **changes)
    agent, hparams = make_agent(config, SPECS[kind]), hyper(config, SPECS[kind])
    return config, agent, hparams, agent.init(jax.random.key(0), hparams)


def squares(critic):
    """A loss whose gradient is the parameter itself."""
    return sum(0.5 * jnp.sum(jnp.square(x)) for x in jax.tree.leaves(critic)), {}


def shifted(state):
    return state.replace(target_critic=jax.tree.map(lambda x: x + 1.0, state.target_critic))


def leaves(tree):
    return [np.asarray(x) for x in jax.tree.leaves(tree)]


@pytest.mark.parametrize(
    ("decay", "reference"), [(0.0, optax.adam(0.01)), (0.3, optax.adamw(0.01, weight_decay=0.3))]
)
def test_a_step_is_that_of_optax(decay, reference):
    params = {"a": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(0.5)}
    ours, theirs = params, params
    state, other = optax.scale_by_adam().init(params), reference.init(params)
    for number in range(5):
        grads = jax.tree.map(lambda x: jnp.cos(x + number), ours)  # noqa: B023
        ours, state = descend(ours, state, grads, 0.01, decay)
        updates, other = reference.update(grads, other, theirs)
        theirs = optax.apply_updates(theirs, updates)
    for a, b in zip(leaves(ours), leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_polyak_target_moves_by_the_rate():
    config, _, hparams, state = make("discrete", target_network=True, target_rate=0.25)
    before = shifted(state)
    after, _ = critic_step(config, hparams, before, squares)
    old, new = leaves(before.target_critic), leaves(after.critic)
    for target, a, b in zip(leaves(after.target_critic), old, new, strict=True):
        np.testing.assert_allclose(target, 0.75 * a + 0.25 * b, rtol=1e-6)


def test_periodic_target_is_copied_when_due_and_only_then():
    config, _, hparams, state = make("discrete", target_network=True, target_period=3)
    state = shifted(state)
    for number in range(1, 7):
        before = state
        state, _ = critic_step(config, hparams, state, squares)
        wanted = state.critic if number % 3 == 0 else before.target_critic
        for a, b in zip(leaves(state.target_critic), leaves(wanted), strict=True):
            np.testing.assert_array_equal(a, b)
    assert int(state.step) == 6


def test_without_a_target_network_the_target_is_the_critic():
    config, _, hparams, state = make("discrete")
    after, _ = critic_step(config, hparams, shifted(state), squares)
    for a, b in zip(leaves(after.target_critic), leaves(after.critic), strict=True):
        np.testing.assert_array_equal(a, b)
    marker = {"net": "the one being trained"}
    assert bootstrap_critic(config, state, marker) is marker
    with_target, _, _, other = make("discrete", target_network=True)
    assert bootstrap_critic(with_target, other, marker) is other.target_critic


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize(("target", "sign"), [(-50.0, -1), (50.0, 1)])
def test_temperature_moves_towards_the_target_entropy(kind, target, sign):
    """Too much entropy lowers τ, too little raises it."""
    _, agent, hparams, state = make(kind, learn_temperature=True, target_entropy=target, temperature=0.3)
    after, metrics = jax.jit(agent.improve)(hparams, state, OBS, jax.random.key(1))
    assert np.sign(float(after.log_temperature - state.log_temperature)) == sign
    assert float(metrics["policy/temperature"]) == pytest.approx(0.3)


@pytest.mark.parametrize("kind", SPECS)
def test_a_fixed_temperature_stays(kind):
    _, agent, hparams, state = make(kind, temperature=0.3)
    after, _ = jax.jit(agent.improve)(hparams, state, OBS, jax.random.key(1))
    assert float(after.temperature) == float(state.temperature) == pytest.approx(0.3)


@pytest.mark.parametrize("kind", SPECS)
def test_excess_entropy_shifts_values_by_the_target_and_nothing_else(kind):
    """V = E[Q] + τ(H − target): the plain one less τ·target; the policy's gradient does not see it."""
    settings = {"learn_temperature": True, "target_entropy": -2.0, "temperature": 0.3}
    _, plain, hparams, state = make(kind, **settings)
    _, excess, _, _ = make(kind, excess_entropy=True, **settings)
    actual, wanted = (
        jax.jit(agent.value)(hparams, state, state.critic, OBS, jax.random.key(1))
        for agent in (excess, plain)
    )
    np.testing.assert_allclose(actual, wanted + 0.3 * 2.0, rtol=1e-5)
    after, alike = (
        jax.jit(agent.improve)(hparams, state, OBS, jax.random.key(2))[0] for agent in (excess, plain)
    )
    for a, b in zip(leaves(after), leaves(alike), strict=True):
        np.testing.assert_array_equal(a, b)


def test_excess_entropy_needs_a_learned_temperature():
    with pytest.raises(InputError, match=r"excess_entropy .*config\.learn_temperature is False; set it"):
        make("discrete", excess_entropy=True)


def test_entropy_metric_is_the_policy_entropy():
    _, agent, hparams, state = make("discrete", temperature=0.3)
    _, metrics = agent.improve(hparams, state, OBS, jax.random.key(1))
    log_pi = np.stack([agent.log_prob(hparams, state.critic, 0.3, OBS, jnp.full(16, a)) for a in range(3)])
    assert float(metrics["policy/entropy"]) == pytest.approx(
        -(np.exp(log_pi) * log_pi).sum(0).mean(), rel=1e-5
    )


@pytest.mark.parametrize("kind", SPECS)
def test_state_holds_arrays_only_and_no_buffer_twice(kind):
    """No keys, functions or optimisers; donated states may not alias."""
    _, _, _, state = make(kind)
    actual = jax.tree.leaves(state)
    assert all(isinstance(leaf, jax.Array) for leaf in actual)
    assert not any(jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in actual)
    pointers = [leaf.unsafe_buffer_pointer() for leaf in actual if leaf.size]
    assert len(set(pointers)) == len(pointers)
