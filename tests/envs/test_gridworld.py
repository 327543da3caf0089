"""Gridworlds: the model, the simulation of it, the expert."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.envs.gridworld import ACTIONS, GAMMA, SLIP, gridworld_reward, soft_optimal_demos, to_grid
from iqlearn_jax.envs.registry import open_by_name
from iqlearn_jax.errors import InputError

IDS = ("Gridworld-3x4", "Gridworld-8x8", "FourRooms")


@pytest.mark.parametrize("env_id", IDS)
def test_model_is_a_distribution(env_id):
    mdp = open_by_name(env_id, "gridworld").device.spec.mdp
    assert mdp.gamma == GAMMA
    np.testing.assert_allclose(mdp.transition.sum(-1), 1.0, atol=1e-12)
    np.testing.assert_allclose(mdp.initial.sum(), 1.0, atol=1e-12)
    assert (mdp.transition >= 0).all()
    # Every cell can be reached, the goal included: no room is sealed.
    reach = np.linalg.matrix_power((mdp.transition.sum(1) > 0).astype(float), 64) > 0
    assert reach.all()


def test_moves_go_where_they_say():
    mdp = open_by_name("Gridworld-3x4", "gridworld").device.spec.mdp
    middle, targets = 5, {"stay": 5, "up": 1, "down": 9, "left": 4, "right": 6}
    for number, name in enumerate(ACTIONS):
        expected = 1 - SLIP + SLIP / len(ACTIONS)
        assert mdp.transition[middle, number, targets[name]] == pytest.approx(expected)
    corner = 0
    assert mdp.transition[corner, ACTIONS.index("up"), corner] == pytest.approx(1 - SLIP + 3 * SLIP / 5)


@pytest.mark.slow
def test_simulation_follows_the_model():
    env_id = "FourRooms"
    env = open_by_name(env_id, "gridworld").device
    states, actions = env.spec.mdp.transition.shape[:2]
    samples = 400
    keys = jax.random.split(jax.random.key(0), (states, actions, samples))
    step = jax.vmap(env.step, (None, None, 0))
    every = jax.vmap(jax.vmap(step, (None, 0, 0)), (0, None, 0))
    out = jax.jit(every)(jnp.arange(states), jnp.arange(actions), keys)
    counts = np.asarray(jax.nn.one_hot(out.obs, states).sum(2))
    assert (counts[env.spec.mdp.transition == 0] == 0).all()
    np.testing.assert_allclose(counts / samples, env.spec.mdp.transition, atol=0.12)
    assert np.array_equal(out.reward[..., 0], gridworld_reward(env_id))
    assert not out.terminated.any()


def test_maps_show_the_goal_and_the_walls():
    grid = to_grid("FourRooms", gridworld_reward("FourRooms")[:, 0])
    assert grid.shape == (11, 11)
    assert np.isnan(grid).sum() == 17
    assert grid[0, -1] == 1.0
    assert np.nansum(grid) == 1.0
    with pytest.raises(InputError, match="values"):
        to_grid("FourRooms", np.zeros(121))


@pytest.mark.slow
def test_expert_episodes():
    env = open_by_name("Gridworld-5x5", "gridworld").device
    demos = soft_optimal_demos(env, temperature=0.01, num_demos=8, seed=0)
    steps = env.spec.max_episode_steps
    assert {name: (array.shape, array.dtype.name) for name, array in demos.items()} == {
        "observations": ((8 * steps,), "int32"),
        "actions": ((8 * steps,), "int32"),
        "rewards": ((8 * steps,), "float32"),
        "next_observations": ((8 * steps,), "int32"),
        "terminals": ((8 * steps,), "bool"),
        "truncations": ((8 * steps,), "bool"),
    }
    assert np.flatnonzero(demos["truncations"]).tolist() == list(range(steps - 1, 8 * steps, steps))
    assert not demos["terminals"].any()
    assert demos["rewards"].sum() / 8 > 35  # of 50 steps, at most 8 on the way, slips now and then
    again = soft_optimal_demos(env, temperature=0.01, num_demos=8, seed=0)
    other = soft_optimal_demos(env, temperature=0.01, num_demos=8, seed=1)
    assert all(np.array_equal(demos[name], again[name]) for name in demos)
    assert (demos["observations"] != other["observations"]).any()
