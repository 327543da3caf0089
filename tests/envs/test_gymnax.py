"""gymnax against gymnasium, on random states and actions."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.envs.registry import open_by_name

COUNT = 512


def gymnasium_steps(env_id: str, states: np.ndarray, actions: np.ndarray):
    """Observation, reward and termination of one gymnasium step from each state."""
    env = gymnasium.make(env_id, disable_env_checker=True).unwrapped
    env.reset(seed=0)
    rows = []
    for state, action in zip(states, actions, strict=True):
        env.state = state.copy()
        env.steps_beyond_terminated = None  # CartPole warns and pays nothing once it has fallen
        rows.append(env.step(int(action))[:3])
    return [np.array(column) for column in zip(*rows, strict=True)]


def device_steps(env_id: str, fields: tuple[str, ...], states: np.ndarray, actions: np.ndarray):
    env = open_by_name(env_id, "gymnax").device

    def one(state, action):
        inner, _ = env.reset(jax.random.key(0))
        inner = inner.replace(**dict(zip(fields, state, strict=True)))
        return env.step(inner, action, jax.random.key(1))

    out = jax.jit(jax.vmap(one))(jnp.asarray(states, jnp.float32), jnp.asarray(actions, jnp.int32))
    return [np.asarray(x) for x in (out.obs, out.reward, out.terminated)]


CASES = {
    "CartPole-v1": (("x", "x_dot", "theta", "theta_dot"), [2.4, 3.0, 0.2, 3.0]),
    "Acrobot-v1": (("joint_angle1", "joint_angle2", "velocity_1", "velocity_2"), [3.1, 3.1, 8.0, 20.0]),
}


@pytest.mark.parametrize("env_id", CASES)
def test_steps_equal_gymnasium(env_id):
    fields, scale = CASES[env_id]
    rng = np.random.default_rng(0)
    # float32 states, so that both sides start from the very same number.
    states = (rng.uniform(-1, 1, (COUNT, 4)) * scale).astype(np.float32).astype(np.float64)
    actions = rng.integers(open_by_name(env_id, "gymnax").device.spec.num_actions, size=COUNT)
    host = gymnasium_steps(env_id, states, actions)
    device = device_steps(env_id, fields, states, actions)
    assert np.array_equal(host[2], device[2])
    assert 10 < host[2].sum() < COUNT - 10
    np.testing.assert_allclose(device[1], host[1])
    np.testing.assert_allclose(device[0], host[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("env_id", "expected"), [("CartPole-v1", 1.0), ("Acrobot-v1", 0.0)])
def test_reward_of_the_last_step(env_id, expected):
    fields, _ = CASES[env_id]
    falling = (
        np.array([[2.39, 3.0, 0.0, 0.0]]) if env_id == "CartPole-v1" else np.array([[3.1, 0.0, 0.0, 0.0]])
    )
    _, reward, terminated = device_steps(env_id, fields, falling, np.array([1]))
    assert terminated[0]
    assert reward[0] == expected


@pytest.mark.parametrize("env_id", CASES)
def test_time_limits_and_spaces_equal_gymnasium(env_id):
    spec, host = open_by_name(env_id, "gymnax").device.spec, gymnasium.make(env_id)
    assert spec.max_episode_steps == host.spec.max_episode_steps
    assert spec.obs_shape == host.observation_space.shape
    assert spec.num_actions == host.action_space.n


@pytest.mark.parametrize("env_id", ["Breakout-MinAtar", "Seaquest-MinAtar"])
def test_minatar_images_are_the_games_channels(env_id):
    import gymnax

    game, params = gymnax.make(env_id)
    env = open_by_name(env_id, "gymnax").device
    raw, _ = game.reset_env(jax.random.key(3), params)
    _, obs = env.reset(jax.random.key(3))
    assert obs.dtype == np.uint8
    assert set(np.unique(obs)) == {0, 255}
    np.testing.assert_array_equal(np.asarray(obs) / 255.0, raw)
