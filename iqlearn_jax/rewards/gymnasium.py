"""A recovered reward in a gymnasium environment, for any RL library that trains on those."""

import copy
from typing import Any

import gymnasium
import jax
import numpy as np

from iqlearn_jax.envs.spaces import spec_from_spaces
from iqlearn_jax.errors import InputError
from iqlearn_jax.rewards.recovered import RecoveredReward

TRUE_REWARD = "true_reward"


class GymnasiumRewardWrapper(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """The environment with its reward replaced; its own is `info["true_reward"]` of each step.

    What a library optimises at ends: it bootstraps from 0 after `terminated` (and from V after `truncated`),
    so as in `rewards.brax.BraxRewardWrapper`: under terminal="zero" that is the problem that the reward was
    recovered from; under "absorbing" and "bounded" it is so only with what follows an end, γ/(1−γ)·r_end,
    which `absorbing` adds. Libraries that store `terminated | truncated` as one flag mix the two up; that
    bias is theirs.
    """

    def __init__(self, env: gymnasium.Env, reward: RecoveredReward, absorbing: bool = True):
        """Wraps one environment; vector environments are made of wrapped ones.

        Args:
          absorbing: adds what follows an end; False leaves the reward as the method defines it.
        Raises:
          InputError: other observations or actions than the reward's, or no single environment.
        """
        if not isinstance(env, gymnasium.Env):
            raise InputError(
                f"environment is a {type(env).__name__}; expected one gymnasium.Env: wrap each, then "
                "gymnasium.vector.SyncVectorEnv([lambda: GymnasiumRewardWrapper(...), ...])"
            )
        gymnasium.utils.RecordConstructorArgs.__init__(  # `spec.make()` wraps again
            self, _disable_deepcopy=True, reward=reward, absorbing=absorbing
        )
        gymnasium.Wrapper.__init__(self, env)
        name = "environment" if env.spec is None else env.spec.id
        reward.require_fit(spec_from_spaces(env.observation_space, env.action_space, name))
        self._spec, relative = reward.spec, reward.of_relative()
        self._reward = jax.jit(relative.with_ends if absorbing else relative)
        self._obs: np.ndarray | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """As the environment's."""
        obs, info = self.env.reset(seed=seed, options=options)
        self._obs = self._flat(obs)
        return obs, info

    def step(self, action):
        """As the environment's, with the recovered reward of the step.

        Raises:
          InputError: before the first reset.
        """
        if self._obs is None:
            raise InputError("step before reset: call reset() first")
        given = copy.copy(action)  # some environments write into what they get
        obs, true, terminated, truncated, info = self.env.step(given)
        following = self._flat(obs)
        chosen = action if self._spec.spaces is None else self._spec.spaces.flat_actions(action)
        reward = float(self._reward(self._obs, chosen, following, terminated))
        self._obs = following
        return obs, reward, terminated, truncated, info | {TRUE_REWARD: float(true)}

    def _flat(self, obs) -> np.ndarray:
        """As the reward reads it; copied, since some environments write into what they handed out."""
        obs = obs if self._spec.spaces is None else self._spec.spaces.flat_obs(obs)
        return self._spec.relative(np.array(obs))
