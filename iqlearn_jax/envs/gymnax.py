"""gymnax on the device: its own environments (classic control, MinAtar, bsuite), and others in its style.

gymnax >= 1.0 reports termination apart from its time limit, so only the limit's value is taken from it.
CartPole-v1 and Acrobot-v1 are gymnasium's to float32 rounding (tests/envs/test_gymnax.py); MinAtar here has
neither sticky actions nor the difficulty ramp of the original.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax import errors
from iqlearn_jax.envs.api import Environment, Step
from iqlearn_jax.envs.failing import asked
from iqlearn_jax.envs.spaces import DEFAULT_MAX_STEPS
from iqlearn_jax.envs.traced import check_traced
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec

MINATAR_MAX_STEPS = 2500  # gymnax cuts at 1000 (Freeway 2500); the original game has no cut


def make_gymnax(env_id: str, **kwargs: Any) -> Environment:
    """Makes the gymnax environment `env_id`, e.g. "CartPole-v1", "Acrobot-v1", "Breakout-MinAtar".

    Args:
      kwargs: of `gymnax.make`.
    Raises:
      InputError: gymnax is not installed, does not know `env_id`, or does not take the arguments.
    """
    try:
        import gymnax
    except ImportError as error:
        raise InputError(
            f"environment '{env_id}' needs gymnax ({error}): pip install iqlearn_jax[gymnax]"
        ) from error
    if env_id not in gymnax.registered_envs:
        raise errors.unknown("gymnax environment", env_id, gymnax.registered_envs)
    try:
        env, params = gymnax.make(env_id, **kwargs)
    except TypeError as error:
        raise InputError(f"environment '{env_id}' with env.kwargs {kwargs}: {error}") from error
    return _converted(env, params, env_id)


def installed() -> list[str]:
    """Names that gymnax knows; none where it is not installed."""
    try:
        import gymnax
    except ImportError:
        return []
    return sorted(gymnax.registered_envs)


def is_gymnax(env: Any) -> bool:
    """Whether an object is written in gymnax's style."""
    return all(hasattr(env, name) for name in ("reset_env", "step_env", "action_space"))


def from_gymnax(env: Any, params: Any = None, name: str | None = None) -> Environment:
    """An environment object in gymnax's style as an `Environment`.

    Args:
      env: with `reset_env(key, params) -> (obs, state)`, `action_space(params)` (Discrete or a Box) and
        `step_env(key, state, action, params) -> (obs, state, reward, terminated, info)`, without auto-reset.
      params: what these functions take; None for `env.default_params`. `params.max_steps_in_episode` is the
        time limit, which `terminated` must not report.
      name: None for `env.name`.
    Raises:
      InputError: an object without these functions, or whose steps differ from its resets.
      SimulatorError: one of them raised.
    """
    if not is_gymnax(env):
        raise InputError(
            f"{type(env).__name__} is not in gymnax's style; expected reset_env, step_env, action_space"
        )
    with asked(name or type(env).__name__, "when its reset was traced"):
        made = _converted(env, params, name)
    check_traced(made)
    return made


def _converted(env: Any, params: Any, name: str | None) -> Environment:
    params = env.default_params if params is None else params
    minatar = str(getattr(env, "name", "")).endswith("-MinAtar")
    limit = MINATAR_MAX_STEPS if minatar else int(getattr(params, "max_steps_in_episode", DEFAULT_MAX_STEPS))
    name = name or str(getattr(env, "name", type(env).__name__))
    return _convert(env, params, name, limit, _as_image if minatar else lambda obs: obs)


def _convert(env: Any, params: Any, name: str, limit: int, picture: Callable) -> Environment:
    def fresh(key: jax.Array) -> tuple[Any, jax.Array]:
        obs, state = env.reset_env(key, params)
        return state, obs

    # gymnax mixes Python numbers into its states: everything is cast to the dtypes of a reset, so that
    # the state is a stable scan carry.
    template = jax.eval_shape(fresh, jax.random.key(0))
    spec = _spec(name, env.action_space(params), jax.eval_shape(picture, template[1]), limit)

    def reset(key: jax.Array) -> tuple[Any, jax.Array]:
        state, obs = _cast(fresh(key), template)
        return state, picture(obs)

    def step(state: Any, action: jax.Array, key: jax.Array) -> Step:
        obs, state, reward, terminated, _ = env.step_env(key, state, action, params)
        state, obs = _cast((state, obs), template)
        return Step(state, picture(obs), _number(reward, jnp.float32), _number(terminated, bool))

    return Environment(spec, reset, step)


def _spec(name: str, space: Any, obs: jax.ShapeDtypeStruct, limit: int) -> EnvSpec:
    discrete = hasattr(space, "n")
    low, high = (None, None) if discrete else _bounds(space)
    return EnvSpec(
        id=name,
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


def _number(value: Any, dtype: Any) -> jax.Array:
    """[], also of an array of one number; others stay as they are, to be refused."""
    array = jnp.asarray(value, dtype)
    return array.reshape(()) if array.size == 1 else array


def _cast(tree: Any, template: Any) -> Any:
    found: Any = jax.tree.structure(tree)
    if found != jax.tree.structure(template):
        return tree  # to be refused
    return jax.tree.map(lambda value, like: jnp.asarray(value, like.dtype), tree, template)
