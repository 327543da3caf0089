"""Soft Q-learning: V = τ logsumexp(Q/τ), its policy, ensembles and actions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from iqlearn_jax.agents.soft_q import make_agent
from tests.common import configure, deterministic_mdp, hyper, spec_of, table_spec

OBS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
ACTION = jnp.arange(6) % 4


def key():  # a fresh one each time: a key used twice is an error
    return jax.random.key(9)


def make(temperature=0.7, critics=2, **changes):
    config = configure(hidden=(8,), critics=critics, temperature=temperature, **changes)
    spec = spec_of(num_actions=4)
    agent, hparams = make_agent(config, spec), hyper(config, spec)
    state = agent.init(jax.random.key(1), hparams)
    tables = np.stack([agent.q(hparams, state.critic, OBS, jnp.full(6, a)) for a in range(4)], axis=-1)
    return agent, hparams, state, np.float64(tables)  # [E, B, A]


@pytest.mark.parametrize("temperature", [1e-3, 0.7, 50.0])
def test_value_is_the_soft_maximum_of_the_smallest_critic(temperature):
    agent, hparams, state, tables = make(temperature)
    exact = temperature * logsumexp(tables.min(axis=0) / temperature, axis=-1)
    value = agent.value(hparams, state, state.critic, OBS, key())
    np.testing.assert_allclose(value, exact, rtol=1e-5)
    assert (tables[0] != tables[1]).all()
    q, again = agent.values(hparams, state, state.critic, OBS, ACTION, key())
    np.testing.assert_array_equal(again, value)
    np.testing.assert_allclose(q, tables[:, np.arange(6), ACTION], rtol=1e-6)


def test_policy_value_and_entropy_belong_together():
    """E_π[Q] + τH(π) = V, with π from `log_prob` and Q the smallest critic's."""
    agent, hparams, state, tables = make()
    log_pi = np.stack(
        [agent.log_prob(hparams, state.critic, 0.7, OBS, jnp.full(6, a)) for a in range(4)], axis=-1
    )
    policy = np.exp(np.float64(log_pi))
    np.testing.assert_allclose(policy.sum(axis=1), 1, rtol=1e-5)
    total = (policy * tables.min(axis=0)).sum(axis=1) - 0.7 * (policy * log_pi).sum(axis=1)
    np.testing.assert_allclose(agent.value(hparams, state, state.critic, OBS, key()), total, rtol=1e-5)
    expected = agent.expected_q(hparams, state, state.critic, OBS, key())
    np.testing.assert_allclose(expected, (policy * tables).sum(axis=-1), rtol=1e-5)


def test_deterministic_action_is_the_best_and_ignores_the_key():
    agent, hparams, state, tables = make()
    actual = [agent.act(hparams, state, OBS, jax.random.key(k), True) for k in (0, 1)]
    np.testing.assert_array_equal(actual[0], actual[1])
    np.testing.assert_array_equal(actual[0], tables.min(axis=0).argmax(axis=1))
    assert actual[0].dtype == jnp.int32


def test_drawn_actions_have_the_policy_frequencies():
    agent, hparams, state, tables = make()
    obs = np.repeat(OBS[:1], 20_000, axis=0)
    drawn = agent.act(hparams, state, obs, key(), False)
    logits = tables.min(axis=0)[0] / 0.7
    exact = np.exp(logits - logsumexp(logits))
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20_000, exact, atol=4 * 0.5 / 141)


def test_observations_are_standardised_with_the_given_statistics():
    agent, hparams, state, _ = make()
    mean, std = jnp.asarray([1.0, -2.0, 0.5]), jnp.asarray([2.0, 0.1, 30.0])
    moved = hparams | {"obs_mean": mean, "obs_std": std}
    plain = agent.q(hparams, state.critic, OBS, ACTION)
    np.testing.assert_allclose(agent.q(moved, state.critic, OBS * std + mean, ACTION), plain, rtol=1e-4)
    np.testing.assert_allclose(agent.preprocess(moved, OBS * std + mean), OBS, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "top", "scaled"), [(np.uint8, 255, 1.0), (np.float32, 1.0, 1.0), (np.bool_, True, 1.0)]
)
def test_images_reach_the_network_in_0_1(dtype, top, scaled):
    config, spec = configure(), spec_of(obs_shape=(10, 10, 4), num_actions=3, obs_dtype=dtype)
    agent = make_agent(config, spec)
    seen = agent.preprocess(hyper(config, spec), jnp.full((2, 10, 10, 4), top, dtype))
    assert seen.dtype == jnp.float32
    np.testing.assert_array_equal(seen, scaled)


def test_tabular_states_index_a_table():
    config, spec = configure(temperature=1.0), table_spec(deterministic_mdp(5, 3, 0), 3)
    agent, hparams = make_agent(config, spec), hyper(config, spec)
    state = agent.init(key(), hparams)
    critic = jax.tree.map(lambda x: x + jnp.arange(15.0).reshape(1, 5, 3), state.critic["net"])
    actual = agent.q(hparams, {"net": critic}, jnp.asarray([4, 1]), jnp.asarray([2, 0]))
    np.testing.assert_array_equal(actual, [[14.0, 3.0]])


def test_entropy_bound_is_the_log_of_the_number_of_actions():
    assert make()[0].max_entropy == pytest.approx(np.log(4))
