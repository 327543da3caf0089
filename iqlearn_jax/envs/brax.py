"""brax: continuous control on the device, on brax's own pipelines or MuJoCo's (mjx).

The raw environments are used, without brax's EpisodeWrapper and AutoResetWrapper, which restart every
episode from the same state and overwrite its final observation.
"""

from typing import Any

from iqlearn_jax.envs import quiet_brax  # noqa: F401

# isort: split
import brax.envs
import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax import errors
from iqlearn_jax.envs.api import Environment, Step
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec

MAX_EPISODE_STEPS = 1000
POOL_SIZE = 256
_POOL_SEED = 0


def find_brax(env_id: str) -> Any:
    """What brax has registered under a name.

    Raises:
      InputError: nothing.
    """
    if env_id not in brax.envs._envs:
        raise errors.unknown("brax environment", env_id, installed())
    return brax.envs._envs[env_id]


def installed() -> list[str]:
    """Names that brax knows; it offers no public list. Not every pipeline has all of them."""
    return sorted(brax.envs._envs)


def make_brax(env_id: str, backend: str, **kwargs: Any) -> Environment:
    """Makes the brax environment `env_id`, e.g. "hopper", on `backend`; actions lie in [-1, 1].

    Starts are drawn from a pool of `POOL_SIZE` (256), made once from a fixed seed: a reset costs as much as
    a step, and under vmap the auto-reset would pay it at every step.

    Args:
      kwargs: of `brax.envs.get_environment`.
    Raises:
      InputError: brax has no environment `env_id`, not on this backend, or it does not take the arguments.
    """
    find_brax(env_id)
    try:
        sim = brax.envs.get_environment(env_id, backend=backend, **kwargs)
    except (ValueError, TypeError) as error:  # e.g. swimmer on spring
        given = f" with env.kwargs {kwargs}" if kwargs else ""
        raise InputError(f"brax environment '{env_id}' on backend '{backend}'{given}: {error}") from error
    pool, metrics = _start_pool(sim)
    template = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), pool)
    spec = _spec(env_id, sim.action_size, template["obs"])

    def reset(key: jax.Array) -> tuple[Any, jax.Array]:
        index = jax.random.randint(key, (), 0, POOL_SIZE)
        state = jax.tree.map(lambda starts: jnp.asarray(starts)[index], pool)
        return state, state["obs"]

    def step(state: Any, action: jax.Array, key: jax.Array) -> Step:
        del key  # brax steps are deterministic
        before = brax.envs.State(reward=jnp.float32(0), done=jnp.float32(0), metrics=dict(metrics), **state)
        after = sim.step(before, action)
        state = jax.tree.map(lambda value, like: jnp.asarray(value, like.dtype), _carry(after), template)
        return Step(state, state["obs"], jnp.float32(after.reward), jnp.asarray(after.done, bool))

    return Environment(spec, reset, step)


def _carry(state: brax.envs.State) -> dict[str, Any]:
    # Metrics are only written by brax and would be one more thing to carry.
    return {"pipeline_state": state.pipeline_state, "obs": state.obs, "info": state.info}


def _start_pool(sim: brax.envs.Env) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Start states, leaves [POOL_SIZE, ...], and one start's metrics.

    NumPy arrays: constants of the compiled program on whatever devices it runs.
    """
    keys = jax.random.split(jax.random.key(_POOL_SEED), POOL_SIZE)
    # brax does not take typed keys.
    starts = jax.device_get(jax.jit(jax.vmap(sim.reset))(jax.random.key_data(keys)))
    return _carry(starts), jax.tree.map(lambda x: x[0], starts.metrics)


def _spec(env_id: str, action_size: int, obs: jax.ShapeDtypeStruct) -> EnvSpec:
    return EnvSpec(
        id=env_id,
        obs_shape=obs.shape,
        obs_dtype=np.dtype(obs.dtype),
        num_actions=None,
        action_low=-np.ones(action_size, np.float32),
        action_high=np.ones(action_size, np.float32),
        max_episode_steps=MAX_EPISODE_STEPS,
    )
