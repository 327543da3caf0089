"""brax: the pool of starts, whole episodes, termination."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.envs import api
from iqlearn_jax.envs.brax import POOL_SIZE
from iqlearn_jax.envs.registry import BRAX_BACKENDS, open_by_name


def run(env, policy, steps, seed=0):
    """Transitions of ONE environment with automatic new episodes, leaves [steps, ...]."""
    start_key, run_key = jax.random.split(jax.random.key(seed))

    def step(state, time):
        action = policy(state.obs)
        return api.advance_and_reset(env, state, action, jax.random.fold_in(run_key, time))

    return jax.jit(lambda: jax.lax.scan(step, api.start(env, start_key), jnp.arange(steps))[1])()


def balance(obs):
    """Keeps the inverted pendulum upright on spring."""
    return jnp.clip(jnp.array([2.7, 30.0, -0.9, -0.17]) @ obs, -1.0, 1.0)[None]


def fall(obs):
    return jnp.ones(1)


def starts(seen):
    ended = np.asarray(seen.terminated | seen.truncated)
    return np.asarray(seen.obs)[1:][ended[:-1]]


@pytest.fixture(scope="module")
def pendulum():
    return open_by_name("inverted_pendulum", "spring").device


@pytest.fixture(scope="module")
def fallen(pendulum):
    return run(pendulum, fall, 500)


def test_one_environment_starts_differently_each_time(fallen):
    first_obs = starts(fallen)
    assert len(first_obs) > 50
    # As many as that many draws from the pool are expected to show, within five standard deviations.
    expected = POOL_SIZE * (1 - (1 - 1 / POOL_SIZE) ** len(first_obs))
    assert abs(len(np.unique(first_obs, axis=0)) - expected) < 5 * np.sqrt(len(first_obs) - expected + 1)


def test_the_pool_holds_many_starts(pendulum):
    _, obs = jax.vmap(pendulum.reset)(jax.random.split(jax.random.key(0), 5000))
    assert len(np.unique(np.asarray(obs), axis=0)) == POOL_SIZE


@pytest.mark.slow
def test_a_whole_episode_is_cut_at_1000_steps(pendulum):
    seen = run(pendulum, balance, 2100)
    assert not seen.terminated.any()
    assert np.flatnonzero(seen.truncated).tolist() == [999, 1999]
    assert (seen.next_obs[999] != seen.obs[1000]).any()


def test_a_fallen_pole_terminates_and_shows_where_it_fell(fallen):
    seen = fallen
    angle = np.abs(np.asarray(seen.next_obs)[:, 1])
    assert np.array_equal(np.asarray(seen.terminated), angle > 0.2)
    assert seen.terminated.any()
    assert not seen.truncated.any()
    assert (np.asarray(seen.reward) == 1.0).all()


@pytest.mark.slow
@pytest.mark.parametrize("backend", BRAX_BACKENDS)
def test_double_pendulum_terminates_without_its_bonus(backend):
    seen = run(open_by_name("inverted_double_pendulum", backend).device, fall, 300)
    terminated, reward = np.asarray(seen.terminated), np.asarray(seen.reward)
    assert terminated.any()
    assert (reward[terminated] < 0).all()
    assert (reward[~terminated] > 5).all()
