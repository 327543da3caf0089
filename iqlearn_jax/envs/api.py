"""What an on-device environment is, and the one auto-reset that training and evaluation use."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from iqlearn_jax.types import EnvSpec, Transition


class Step(NamedTuple):
    """Outcome of one environment step, before any reset."""

    state: Any  # environment's own state, a pytree
    obs: jax.Array  # true successor observation
    reward: jax.Array  # [] float32
    terminated: jax.Array  # [] bool: the task ended (never because of time)


class Environment(NamedTuple):
    """An environment as pure functions of ONE instance; vmap for many. Time limits are not its business.

    Attributes:
      spec: static facts.
      reset: (key) -> (state, obs), a fresh start at every call (or one drawn from a pool of >= 256).
      step: (state, action, key) -> Step, for an action within its bounds.
    """

    spec: EnvSpec
    reset: Callable[[jax.Array], tuple[Any, jax.Array]]
    step: Callable[[Any, jax.Array, jax.Array], Step]


def clip_action(spec: EnvSpec, action: jax.Array) -> jax.Array:
    """Continuous actions clipped to their bounds, [..., action_dim]; discrete ones as they are, [...]."""
    return action if spec.discrete else jnp.clip(action, spec.action_low, spec.action_high)


def random_action(spec: EnvSpec, key: jax.Array) -> jax.Array:
    """One uniformly random action: [] int32, or [action_dim] float32 within the bounds."""
    if spec.discrete:
        return jax.random.randint(key, (), 0, spec.num_actions)
    return jax.random.uniform(key, spec.action_low.shape, minval=spec.action_low, maxval=spec.action_high)


def random_actions(spec: EnvSpec, key: jax.Array, size: int) -> jax.Array:
    """`random_action`, `size` of them: [size] int32, or [size, action_dim] float32."""
    return jax.vmap(lambda k: random_action(spec, k))(jax.random.split(key, size))


class EnvState(struct.PyTreeNode):
    """One running environment: its own state, the current observation and the episode so far."""

    inner: Any
    obs: jax.Array
    steps: jax.Array  # [] int32 steps in this episode
    episode_return: jax.Array  # [] float32 sum of true rewards in this episode


def start(env: Environment, key: jax.Array) -> EnvState:
    """A new episode of one environment."""
    inner, obs = env.reset(key)
    return EnvState(inner, obs, jnp.int32(0), jnp.float32(0.0))


def advance(
    env: Environment, state: EnvState, action: jax.Array, key: jax.Array
) -> tuple[EnvState, Transition]:
    """Steps without reset; the time limit truncates, and never counts as termination.

    Args:
      action: one action in the environment's units; continuous ones are clipped to their bounds, here only.
    Returns:
      the next state (of the same episode) and the transition with its true next observation.
    """
    action = clip_action(env.spec, action)
    step = env.step(state.inner, action, key)
    steps = state.steps + 1
    truncated = (steps >= env.spec.max_episode_steps) & ~step.terminated
    transition = Transition(
        obs=state.obs,
        action=action,
        reward=step.reward.astype(jnp.float32),
        next_obs=step.obs,
        terminated=step.terminated,
        truncated=truncated,
    )
    return EnvState(step.state, step.obs, steps, state.episode_return + transition.reward), transition


def advance_and_reset(
    env: Environment, state: EnvState, action: jax.Array, key: jax.Array
) -> tuple[EnvState, Transition]:
    """As `advance`, then starts a new episode where this one ended; the transition keeps the true end."""
    step_key, reset_key = jax.random.split(key)
    following, transition = advance(env, state, action, step_key)
    fresh = start(env, reset_key)
    done = transition.terminated | transition.truncated
    return jax.tree.map(lambda new, old: jnp.where(done, new, old), fresh, following), transition
