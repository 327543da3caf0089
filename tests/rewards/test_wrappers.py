"""Recovered rewards in environments: the right transition, the true reward kept, ends and cuts apart."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.envs.base import Env, State
from brax.envs.wrappers.training import AutoResetWrapper, VmapWrapper
from brax.envs.wrappers.training import wrap as brax_wrap
from gymnasium.utils.env_checker import check_env

from iqlearn_jax.errors import InputError
from iqlearn_jax.rewards import RecoveredReward
from iqlearn_jax.rewards.brax import BraxRewardWrapper
from iqlearn_jax.rewards.gymnasium import GymnasiumRewardWrapper
from iqlearn_jax.training import problem as problem_lib
from iqlearn_jax.types import Batch, Transition
from tests.common import made_up_config, made_up_environments, spec_of

END, GAMMA = -0.5, 0.9
UNIT = spec_of(obs_shape=(1,), low=-np.ones(1, np.float32), high=np.ones(1, np.float32))
LINE = spec_of(obs_shape=(2,), num_actions=3)


def plain(spec, end=END):
    """r = 100 s + 10 s' + a (first entries), plus 1000 at an end; r_end = `end` in the absorbing state."""

    def rule(hparams, state, rows, key):
        action = rows.action if spec.discrete else rows.action[:, 0]
        return 100 * rows.obs[:, 0] + 10 * rows.next_obs[:, 0] + action + 1000 * rows.terminated

    hparams = {"gamma": jnp.float32(GAMMA)}
    end_reward = None if end is None else lambda hparams, state: jnp.float32(end)
    return RecoveredReward(spec, {}, rule, end_reward, hparams, None, sampled=False)


class Ramp(Env):
    """s' = s + a from s = 0; beyond 2 it ends; its own reward is −s'."""

    def reset(self, rng):
        zero = jnp.zeros(())
        return State(None, jnp.zeros(1), zero, zero, {"speed": zero}, {})

    def step(self, state, action):
        obs = state.obs + action
        state.metrics.update(speed=action[0])
        return state.replace(obs=obs, reward=-obs[0], done=(obs[0] > 2.0).astype(jnp.float32))

    observation_size, action_size, backend = 1, 1, "none"


def played(env, actions):
    """(rewards, true rewards, done) of one environment in brax's own training wrappers."""
    state = env.reset(jnp.zeros((1, 2), jnp.uint32))
    _, seen = jax.jit(lambda s, a: jax.lax.scan(lambda s, x: 2 * (env.step(s, x[None, None]),), s, a))(
        state, jnp.float32(actions)
    )
    return tuple(np.asarray(x)[:, 0] for x in (seen.reward, seen.metrics["true_reward"], seen.done))


@pytest.mark.parametrize("absorbing", [True, False])
def test_brax_shows_the_recovered_reward_of_each_step_and_of_the_end(absorbing):
    env = brax_wrap(BraxRewardWrapper(Ramp(), plain(UNIT), absorbing), episode_length=100)
    reward, true, done = played(env, [1.0, 0.5, 1.0, 1.0])
    after_end = END * GAMMA / (1 - GAMMA) if absorbing else 0.0
    # 0 → 1 → 1.5 → 2.5 (the end, whose successor is not the next start) → starts again
    np.testing.assert_allclose(reward, [11.0, 115.5, 176.0 + 1000 + after_end, 11.0], rtol=1e-6)
    np.testing.assert_allclose(true, [-1.0, -1.5, -2.5, -1.0])
    np.testing.assert_array_equal(done, [0, 0, 1, 0])


def test_brax_a_cut_by_time_is_no_end_whichever_wrapper_is_outside():
    inside = brax_wrap(BraxRewardWrapper(Ramp(), plain(UNIT)), episode_length=2)
    batched = BraxRewardWrapper(VmapWrapper(Ramp()), plain(UNIT))
    reward, _, done = played(inside, [0.5, 0.5, 0.5])
    np.testing.assert_allclose(reward, [5.5, 60.5, 5.5], rtol=1e-6)
    np.testing.assert_array_equal(done, [0, 1, 0])
    np.testing.assert_allclose(played(batched, [0.5, 0.5])[0], [5.5, 60.5], rtol=1e-6)
    from brax.envs.wrappers.training import EpisodeWrapper

    outside = BraxRewardWrapper(EpisodeWrapper(VmapWrapper(Ramp()), 2, 1), plain(UNIT))
    np.testing.assert_allclose(played(outside, [0.5, 0.5])[0], [5.5, 60.5], rtol=1e-6)


class Steady(Ramp):
    """Pays a Python number, as inverted_pendulum does."""

    def step(self, state, action):
        return super().step(state, action).replace(reward=1.0)


def test_brax_a_reward_that_is_no_array_is_kept_too():
    reward, true, _ = played(brax_wrap(BraxRewardWrapper(Steady(), plain(UNIT))), [0.5, 0.5])
    np.testing.assert_allclose(reward, [5.5, 60.5], rtol=1e-6)
    np.testing.assert_array_equal(true, [1.0, 1.0])


def test_brax_refuses_what_does_not_fit():
    with pytest.raises(InputError, match="AutoResetWrapper"):
        BraxRewardWrapper(AutoResetWrapper(VmapWrapper(Ramp())), plain(UNIT))
    with pytest.raises(InputError, match="obs_shape of environment 'Ramp'"):
        BraxRewardWrapper(Ramp(), plain(UNIT._replace(obs_shape=(2,))))
    with pytest.raises(InputError, match="num_actions of environment 'Ramp'"):
        BraxRewardWrapper(Ramp(), plain(spec_of(obs_shape=(1,), num_actions=2)))


class Line(gymnasium.Env):
    """s' = s + a − 1, written into one array that it hands out; beyond 1 it ends."""

    observation_space = gymnasium.spaces.Box(-9, 9, (2,), np.float64)
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._obs = np.zeros(2)
        return self._obs, {"fresh": True}

    def step(self, action):
        self._obs[0] += action - 1
        return self._obs, -7.0, bool(self._obs[0] > 1), False, {"own": 1}


@pytest.mark.parametrize("absorbing", [True, False])
def test_gymnasium_shows_the_recovered_reward_and_keeps_the_true_one(absorbing):
    env = GymnasiumRewardWrapper(gymnasium.wrappers.TimeLimit(Line(), 3), plain(LINE), absorbing)
    assert env.reset(seed=0)[1] == {"fresh": True}
    after_end = END * GAMMA / (1 - GAMMA) if absorbing else 0.0
    for action, expected, ended in ((2, 12.0, False), (2, 122.0 + 1000 + after_end, True)):
        _, reward, terminated, truncated, info = env.step(action)
        assert reward == pytest.approx(expected, rel=1e-6)
        assert (terminated, truncated) == (ended, False)
        assert info == {"own": 1, "true_reward": -7.0}
    env.reset(seed=0)
    seen = [env.step(1) for _ in range(3)]
    assert seen[-1][3] and not seen[-1][2]  # cut by time: no end
    assert seen[-1][1] == pytest.approx(1.0)


def test_gymnasiums_own_checker_passes_and_the_spec_makes_the_wrapped_environment(recwarn):
    reward = plain(spec_of(obs_shape=(4,), num_actions=2))
    env = GymnasiumRewardWrapper(gymnasium.make("CartPole-v1"), reward)
    said = []
    for checked in (env.unwrapped, env):
        check_env(checked, skip_render_check=True)
        said.append({str(warning.message) for warning in recwarn})
        recwarn.clear()
    [new] = said[1] - said[0]
    assert "different from the unwrapped version" in new  # as every wrapper is
    again = env.spec.make()
    for each in (env, again):
        each.reset(seed=3)
    assert env.step(1)[1] == again.step(1)[1] != 1.0  # CartPole's own pays 1


def test_gymnasium_refuses_what_does_not_fit():
    with pytest.raises(InputError, match="num_actions"):
        GymnasiumRewardWrapper(Line(), plain(spec_of(obs_shape=(2,), num_actions=4)))
    many = gymnasium.vector.SyncVectorEnv([Line, Line])
    with pytest.raises(InputError, match="wrap each"):
        GymnasiumRewardWrapper(many, plain(LINE))
    with pytest.raises(InputError, match="step before reset"):
        GymnasiumRewardWrapper(Line(), plain(LINE)).step(0)


@pytest.mark.slow
def test_our_own_rl_learns_from_the_recovered_reward(monkeypatch):
    """The update of `rl` must be the one that it makes of rows whose reward is the recovered one."""
    monkeypatch.setattr("iqlearn_jax.rewards.load_reward", lambda path: plain(LINE))
    config = made_up_config("rl", "replay", "walk")
    with made_up_environments():
        plain_rl = problem_lib.make_problem(config)
        config.reward_path = "reward.npz"
        other = problem_lib.make_problem(config)
        config.method = "bc"
        with pytest.raises(InputError, match=r"reward_path.*rl, ppo"):
            problem_lib.on_reward(config, plain_rl.spec, plain_rl.method)
    hparams = jax.tree.map(lambda x: x[0], plain_rl.hparams)
    state = jax.jit(plain_rl.method.init)(jax.random.key(0), hparams)
    obs = jnp.array([[0.1, 0.0], [0.2, 0.1]])
    rows = Transition(
        obs=obs, action=jnp.array([0, 2]), reward=jnp.array([3.0, 4.0]), next_obs=obs + 0.5,
        terminated=jnp.array([False, True]), truncated=jnp.array([False, False]),
    )  # fmt: skip
    learned = jax.jit(other.method.update)(hparams, state, Batch(policy=rows), jax.random.key(1))[0]
    paid = rows.replace(reward=jnp.array([16.0, 20 + 7 + 2 + 1000 + END * GAMMA / (1 - GAMMA)]))
    inner_key = jax.random.split(jax.random.key(1))[1]
    expected = jax.jit(plain_rl.method.update)(hparams, state, Batch(policy=paid), inner_key)[0]
    for a, b in zip(jax.tree.leaves(learned), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
