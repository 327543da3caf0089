"""A recovered reward in a brax environment, for brax's agents and whoever else trains on brax."""

from iqlearn_jax.envs import quiet_brax  # noqa: F401

# isort: split
import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import Env, State, Wrapper
from brax.envs.wrappers.training import AutoResetWrapper

from iqlearn_jax.errors import InputError
from iqlearn_jax.rewards.recovered import RecoveredReward
from iqlearn_jax.types import EnvSpec

TRUE_REWARD = "true_reward"


class BraxRewardWrapper(Wrapper):
    """The environment with `state.reward` replaced; its own reward is `state.metrics["true_reward"]`.

    What brax's agents optimise at ends: they bootstrap from 0 after `done` (and from V after a truncation),
    so the return of an episode is that of the rewards it shows. Under terminal="zero" the recovered reward
    was defined with V = 0 after ends, so they solve the problem that it was recovered from. Under "absorbing"
    and "bounded" the reward of the last step is Q − γV_end with V_end = r_end/(1−γ); alone it would reward an
    end by −γV_end, a bias towards it (V_end < 0) or away from it. `absorbing` adds γ/(1−γ)·r_end there, all
    that follows an end as seen from the step before it, which restores the method's problem: of IQ-Learn's
    reward Q is left.
    """

    def __init__(self, env: Env, reward: RecoveredReward, absorbing: bool = True):
        """Wraps a raw environment; brax's training wrappers (which `ppo.train` adds itself) go around it.

        Args:
          absorbing: adds what follows an end; False leaves the reward as the method defines it.
        Raises:
          InputError: other observations or actions than the reward's, or an environment that resets itself,
            whose observation after an end is the next episode's.
        """
        super().__init__(env)
        layer = env
        while isinstance(layer, Wrapper):
            if isinstance(layer, AutoResetWrapper):
                raise InputError(
                    f"environment '{name_of(env)}' is wrapped in AutoResetWrapper, which hides where "
                    "episodes end; wrap the raw environment, and put AutoResetWrapper around that"
                )
            layer = layer.env
        reward.require_fit(spec_of(env))
        self._reward = reward.with_ends if absorbing else reward

    def reset(self, rng: jax.Array) -> State:
        """As the environment's; the reward of a start is 0."""
        state = self.env.reset(rng)
        metrics = state.metrics | {TRUE_REWARD: state.reward}
        return state.replace(metrics=metrics, reward=jnp.zeros_like(state.reward))

    def step(self, state: State, action: jax.Array) -> State:
        """As the environment's, with the recovered reward of the step."""
        before = {name: value for name, value in state.metrics.items() if name != TRUE_REWARD}
        after = self.env.step(state.replace(metrics=before), action)
        terminated = after.done * (1.0 - after.info.get("truncation", 0.0))
        reward = self._reward(state.obs, action, after.obs, terminated)
        true = jnp.asarray(after.reward, reward.dtype)  # some environments give a Python number
        return after.replace(metrics=after.metrics | {TRUE_REWARD: true}, reward=reward)


def name_of(env: Env) -> str:
    """The class of the raw environment."""
    return type(env.unwrapped).__name__


def spec_of(env: Env) -> EnvSpec:
    """Sizes of a brax environment, whose actions lie in [-1, 1].

    Raises:
      InputError: observations that are no vector.
    """
    size = env.observation_size
    if not isinstance(size, int):
        raise InputError(f"observations of '{name_of(env)}' are {size}; expected one vector: pick an entry")
    bound = np.ones(env.action_size, np.float32)
    return EnvSpec(name_of(env), (size,), np.dtype(np.float32), None, -bound, bound, 0)
