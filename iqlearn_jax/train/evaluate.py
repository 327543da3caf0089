"""Episodes on the device: evaluation of policies, and recorded rollouts."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.envs.api import Environment, advance, advance_and_reset, random_actions, start
from iqlearn_jax.types import Transition

Act = Callable[[jax.Array, jax.Array], jax.Array]  # (obs [n, ...], key) -> actions [n, ...]


def episode_returns(env: Environment, act: Act, key: jax.Array, episodes: int) -> jax.Array:
    """True returns [episodes] of a policy, from fresh starts to each episode's end.

    Stops when the last episode has ended. The key decides starts and, if the policy draws, its actions.
    """
    start_key, run_key = jax.random.split(key)
    states = jax.vmap(partial(start, env))(jax.random.split(start_key, episodes))

    def running(carry):
        _, alive, step = carry
        return jnp.any(alive) & (step < env.spec.max_episode_steps)

    def body(carry):
        states, alive, step = carry
        act_key, step_key = jax.random.split(jax.random.fold_in(run_key, step))
        keys = jax.random.split(step_key, episodes)
        following, transition = jax.vmap(partial(advance, env))(states, act(states.obs, act_key), keys)
        returns = jnp.where(alive, following.episode_return, states.episode_return)
        alive = alive & ~(transition.terminated | transition.truncated)
        return following.replace(episode_return=returns), alive, step + 1

    states, _, _ = jax.lax.while_loop(running, body, (states, jnp.ones(episodes, bool), jnp.int32(0)))
    return states.episode_return


def record_episodes(
    env: Environment, act: Act, key: jax.Array, episodes: int
) -> tuple[Transition, jax.Array]:
    """Transitions [episodes, T] of a policy and the mask [episodes, T] of the steps that were alive."""
    start_key, run_key = jax.random.split(key)
    states = jax.vmap(partial(start, env))(jax.random.split(start_key, episodes))

    def body(carry, step):
        states, alive = carry
        act_key, step_key = jax.random.split(jax.random.fold_in(run_key, step))
        keys = jax.random.split(step_key, episodes)
        states, transition = jax.vmap(partial(advance, env))(states, act(states.obs, act_key), keys)
        return (states, alive & ~(transition.terminated | transition.truncated)), (transition, alive)

    steps = jnp.arange(env.spec.max_episode_steps)
    _, (transitions, alive) = jax.lax.scan(body, (states, jnp.ones(episodes, bool)), steps)
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), (transitions, alive))


def random_observations(env: Environment, key: jax.Array, num_envs: int = 16, steps: int = 256) -> np.ndarray:
    """Observations [num_envs * steps, ...] of uniformly random play."""
    start_key, run_key = jax.random.split(key)
    states = jax.vmap(partial(start, env))(jax.random.split(start_key, num_envs))

    def body(states, step):
        act_key, step_key = jax.random.split(jax.random.fold_in(run_key, step))
        actions = random_actions(env.spec, act_key, num_envs)
        keys = jax.random.split(step_key, num_envs)
        states, transition = jax.vmap(partial(advance_and_reset, env))(states, actions, keys)
        return states, transition.obs

    _, obs = jax.jit(lambda states: jax.lax.scan(body, states, jnp.arange(steps)))(states)
    return np.asarray(obs).reshape(-1, *env.spec.obs_shape)


def uniform_policy(spec) -> Act:
    """The uniform random policy as an `Act`."""
    return lambda obs, key: random_actions(spec, key, obs.shape[0])
