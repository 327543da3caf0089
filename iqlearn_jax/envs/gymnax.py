"""gymnax: classic control, MinAtar and bsuite on the device.

gymnax >= 1.0 reports termination apart from its time limit, so only the limit's value is taken from it.
CartPole-v1 and Acrobot-v1 are gymnasium's to float32 rounding (tests/envs/test_gymnax.py); MinAtar here has
neither sticky actions nor the difficulty ramp of the original.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax import errors
from iqlearn_jax.envs.api import Environment, Step
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec

MINATAR_MAX_STEPS = 2500  # gymnax cuts at 1000 (Freeway 2500); the original game has no cut


@functools.cache
def make_gymnax(env_id: str) -> Environment:
    """Makes the gymnax environment `env_id`, e.g. "CartPole-v1", "Acrobot-v1", "Breakout-MinAtar".

    Raises:
      InputError: gymnax is not installed or does not know `env_id`.
    """
    game, params = _load(env_id)

    def fresh(key: jax.Array) -> tuple[Any, jax.Array]:
        obs, state = game.reset_env(key, params)
        return state, obs

    # gymnax mixes Python numbers into its states: everything is cast to the dtypes of a reset, so that
    # the state is a stable scan carry.
    template = jax.eval_shape(fresh, jax.random.key(0))
    minatar = env_id.endswith("-MinAtar")
    picture = _as_image if minatar else lambda obs: obs
    spec = _spec(env_id, game.action_space(params), params, jax.eval_shape(picture, template[1]))

    def reset(key: jax.Array) -> tuple[Any, jax.Array]:
        state, obs = _cast(fresh(key), template)
        return state, picture(obs)

    def step(state: Any, action: jax.Array, key: jax.Array) -> Step:
        obs, state, reward, terminated, _ = game.step_env(key, state, action, params)
        state, obs = _cast((state, obs), template)
        reward = jnp.asarray(reward, jnp.float32).reshape(())
        return Step(state, picture(obs), reward, jnp.asarray(terminated, bool).reshape(()))

    return Environment(spec, reset, step)


def _load(env_id: str) -> tuple[Any, Any]:
    try:
        import gymnax
    except ImportError as error:
        raise InputError(
            f"environment '{env_id}' needs gymnax ({error}): pip install iqlearn_jax[gymnax]"
        ) from error
    if env_id not in gymnax.registered_envs:
        raise errors.unknown("gymnax environment", env_id, gymnax.registered_envs)
    return gymnax.make(env_id)


def _spec(env_id: str, space: Any, params: Any, obs: jax.ShapeDtypeStruct) -> EnvSpec:
    discrete = hasattr(space, "n")
    low, high = (None, None) if discrete else _bounds(space)
    limit = MINATAR_MAX_STEPS if env_id.endswith("-MinAtar") else int(params.max_steps_in_episode)
    return EnvSpec(
        id=env_id,
        obs_shape=obs.shape,
        obs_dtype=np.dtype(obs.dtype),
        num_actions=int(space.n) if discrete else None,
        action_low=low,
        action_high=high,
        max_episode_steps=limit,
    )


def _bounds(space: Any) -> tuple[np.ndarray, np.ndarray]:
    shape = tuple(space.shape) or (1,)
    low, high = (np.broadcast_to(np.asarray(bound, np.float32), shape) for bound in (space.low, space.high))
    return low, high


def _as_image(obs: jax.Array) -> jax.Array:
    """MinAtar's channels of zeros and ones as uint8 images: a quarter of the memory, the same to networks."""
    return jnp.round(255.0 * obs).astype(jnp.uint8)


def _cast(tree: Any, template: Any) -> Any:
    return jax.tree.map(lambda value, like: jnp.asarray(value, like.dtype), tree, template)
