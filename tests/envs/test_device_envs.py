"""What holds of every on-device environment: stable carries, dtypes, true ends, fresh starts, keys."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.envs import api
from iqlearn_jax.envs.registry import BRAX_BACKENDS, open_by_name

STEPS = 300
NUM_ENVS = 3

FAST = [
    ("CartPole-v1", "gymnax"),
    ("MountainCarContinuous-v0", "gymnax"),
    ("Breakout-MinAtar", "gymnax"),
    ("Gridworld-5x5", "gridworld"),
]
SLOW = [
    ("inverted_pendulum", "spring"),
    *((name, "gymnax") for name in ("Acrobot-v1", "MountainCar-v0", "Pendulum-v1")),
    *((f"{name}-MinAtar", "gymnax") for name in ("Asterix", "Freeway", "Seaquest", "SpaceInvaders")),
    *(("inverted_pendulum", backend) for backend in BRAX_BACKENDS[1:]),
    *(("inverted_double_pendulum", backend) for backend in BRAX_BACKENDS),
    *((name, "spring") for name in ("hopper", "halfcheetah", "ant", "walker2d", "reacher")),
]
ENVS = FAST + [pytest.param(names, marks=pytest.mark.slow) for names in SLOW]


def play(env: api.Environment, key: jax.Array, steps: int = STEPS):
    """Final state and transitions of random play in one environment, leaves [steps, ...]."""
    start_key, run_key = jax.random.split(key)

    def step(state, time):
        act_key, step_key = jax.random.split(jax.random.fold_in(run_key, time))
        return api.advance_and_reset(env, state, api.random_action(env.spec, act_key), step_key)

    return jax.lax.scan(step, api.start(env, start_key), jnp.arange(steps))


@pytest.fixture(scope="module", params=ENVS, ids=lambda param: "-".join(param))
def played(request):
    """An environment and what NUM_ENVS random players saw in it (compiled once for all tests below)."""
    env = open_by_name(*request.param).device
    run = jax.jit(jax.vmap(partial(play, env)))
    keys = lambda seed: jax.random.split(jax.random.key(seed), NUM_ENVS)  # noqa: E731
    return env, run, keys, run(keys(0))[1], jax.jit(partial(api.advance, env))


def test_arrays_are_as_the_spec_says(played):
    env, _, _, seen, _ = played
    spec = env.spec
    for obs in (seen.obs, seen.next_obs):
        assert obs.shape == (NUM_ENVS, STEPS, *spec.obs_shape)
        assert obs.dtype == spec.obs_dtype
    assert seen.reward.dtype == np.float32
    assert seen.terminated.dtype == seen.truncated.dtype == np.bool_
    assert seen.action.dtype == (np.int32 if spec.discrete else np.float32)
    assert not seen.obs.weak_type


def test_nothing_is_nan(played):
    _, _, _, seen, _ = played
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(seen))


def test_random_keys_decide_everything(played):
    _, run, keys, seen, _ = played
    again, other = run(keys(0))[1], run(keys(1))[1]
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(seen), jax.tree.leaves(again), strict=True))
    assert (other.action != seen.action).any()
    assert (other.obs != seen.obs).any()


def test_next_observation_is_true_and_starts_are_fresh(played):
    env, _, _, seen, _ = played
    ended = np.asarray(seen.terminated | seen.truncated)
    within = ~ended[:, :-1]
    following, after = np.asarray(seen.next_obs)[:, :-1], np.asarray(seen.obs)[:, 1:]
    # XLA computes the two copies in different fusions, so they may differ in the last bit.
    np.testing.assert_allclose(following[within], after[within], rtol=1e-5, atol=1e-5)
    assert not (seen.terminated & seen.truncated).any()
    if len(env.spec.obs_shape) == 1:  # grids start in few states
        assert all((a != b).any() for a, b in zip(following[~within], after[~within], strict=True))


def test_time_truncates_and_never_terminates(played):
    env, _, _, _, advance = played
    for before_limit, expected in ((2, False), (1, True)):
        state = api.start(env, jax.random.key(0))
        state = state.replace(steps=jnp.int32(env.spec.max_episode_steps - before_limit))
        _, seen = advance(state, api.random_action(env.spec, jax.random.key(1)), jax.random.key(2))
        assert bool(seen.truncated) == expected
        assert not seen.terminated


def test_continuous_actions_are_clipped(played):
    env, _, _, _, advance = played
    if env.spec.discrete:
        pytest.skip("discrete actions")
    wild = jnp.full(env.spec.action_low.shape, 1e3)
    state = api.start(env, jax.random.key(0))
    moved, seen = advance(state, wild, jax.random.key(1))
    edge, _ = advance(state, env.spec.action_high, jax.random.key(1))
    assert np.array_equal(seen.action, env.spec.action_high)
    assert np.array_equal(moved.obs, edge.obs)


def test_an_episode_starts_anew_where_one_ended():
    env = open_by_name("CartPole-v1", "gymnax").device
    state = api.start(env, jax.random.key(0)).replace(steps=jnp.int32(499), episode_return=jnp.float32(499))
    after, seen = api.advance_and_reset(env, state, jnp.int32(0), jax.random.key(1))
    assert seen.truncated
    assert after.steps == 0
    assert after.episode_return == 0
