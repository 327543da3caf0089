"""The recovered reward in an environment that writes into the action it gets."""

import gymnasium
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.rewards import RecoveredReward
from iqlearn_jax.rewards.gymnasium import GymnasiumRewardWrapper
from tests.common import spec_of


class Scaling(gymnasium.Env):
    """Scales its action in place, as some simulators do."""

    observation_space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        action *= 100
        self.took = action.copy()
        return np.zeros(1, np.float32), 0.0, False, False, {}


def test_the_reward_is_of_the_action_that_was_chosen():
    one = np.ones(2, np.float32)
    spec = spec_of(obs_shape=(1,), low=-one, high=one)
    rule = lambda hparams, state, rows, key: rows.action.sum(axis=1)  # noqa: E731
    hparams = {"gamma": jnp.float32(0.9)}
    env = GymnasiumRewardWrapper(
        Scaling(), RecoveredReward(spec, {}, rule, None, hparams, None, sampled=False)
    )
    env.reset(seed=0)
    action = np.float32([0.25, 0.5])
    _, reward, *_ = env.step(action)
    np.testing.assert_array_equal(env.unwrapped.took, [25, 50])
    np.testing.assert_array_equal(action, [0.25, 0.5])
    assert reward == 0.75
