"""Episodes on the device: evaluation of policies, and recorded rollouts."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.config.values import values_of
from iqlearn_jax.envs.api import Environment, advance, advance_and_reset, random_actions, start
from iqlearn_jax.methods import Method
from iqlearn_jax.types import Array, EnvSpec, Hparams, Transition

Act = Callable[[jax.Array, jax.Array], jax.Array]  # (obs [n, ...], key) -> actions [n, ...]


class Played(NamedTuple):
    """Whole episodes of a policy, and some of their steps.

    Attributes:
      returns: [..., n] true undiscounted returns; NaN where an observation was not finite.
      lengths: [..., n] steps.
      obs, action: [..., n, keep, ...] uniform samples of each episode's steps without replacement; only the
        first min(length, keep) are steps.
    """

    returns: Array
    lengths: Array
    obs: Array
    action: Array


def episode_returns(env: Environment, act: Act, key: jax.Array, episodes: int) -> jax.Array:
    """True returns [episodes] of a policy (`play_episodes`)."""
    return play_episodes(env, act, key, episodes).returns


def play_episodes(env: Environment, act: Act, key: jax.Array, episodes: int, keep: int = 0) -> Played:
    """Plays a policy from fresh starts to each episode's end; stops when the last episode has ended.

    The key decides starts, which steps are kept and, if the policy draws, its actions.
    """
    start_key, run_key = jax.random.split(key)
    states = jax.vmap(partial(start, env))(jax.random.split(start_key, episodes))
    states = states.replace(episode_return=jnp.where(finite(states.obs), states.episode_return, jnp.nan))
    numbers, limit = jnp.arange(episodes), env.spec.max_episode_steps

    def running(carry):
        _, alive, step, _ = carry
        return jnp.any(alive) & (step < limit)

    def body(carry):
        states, alive, step, kept = carry
        act_key, step_key = jax.random.split(jax.random.fold_in(run_key, step))
        keys = jax.random.split(step_key, episodes)
        following, transition = jax.vmap(partial(advance, env))(states, act(states.obs, act_key), keys)
        total = jnp.where(finite(following.obs), following.episode_return, jnp.nan)
        returns = jnp.where(alive, total, states.episode_return)
        steps = jnp.where(alive, following.steps, states.steps)
        slot = reservoir_slot(jax.random.fold_in(run_key, limit + step), step, keep, episodes)
        slot = jnp.where(alive, slot, keep)  # out of range: dropped
        seen = transition.obs, transition.action
        kept = jax.tree.map(lambda k, x: k.at[numbers, slot].set(x, mode="drop"), kept, seen)
        alive = alive & ~(transition.terminated | transition.truncated)
        return following.replace(episode_return=returns, steps=steps), alive, step + 1, kept

    action = jax.eval_shape(act, states.obs, key)
    kept = jax.tree.map(lambda x: jnp.zeros((episodes, keep, *x.shape[1:]), x.dtype), (states.obs, action))
    carry = states, jnp.ones(episodes, bool), jnp.int32(0), kept
    states, _, _, kept = jax.lax.while_loop(running, body, carry)
    return Played(states.episode_return, states.steps, *kept)


def finite(obs: jax.Array) -> jax.Array:
    """Which of some observations [n, ...] are finite, [n] bool; integers all are."""
    return jnp.all(jnp.isfinite(obs), axis=tuple(range(1, obs.ndim)))


def reservoir_slot(key: jax.Array, step: jax.Array, keep: int, size: int) -> jax.Array:
    """Where each of `size` streams puts its item number `step` (from 0), [size]; `keep` or more: nowhere.

    What the slots then hold is a uniform sample of each stream (algorithm R, Vitter 1985).
    """
    drawn = jax.random.randint(key, (size,), 0, step + 1)
    return jnp.where(step < keep, step, drawn)


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


def learner_policy(config, method: Method, spec: EnvSpec, hparams: Hparams, state: Any) -> Act:
    """How a learner acts in training: its policy, but for a share of uniformly random actions.

    That share is `config.exploration` (ε-greedy play is its limit for τ → 0), and no part of the policy.
    """
    policy = partial(method.act, hparams, state, deterministic=False)
    if not any(values_of(config, "exploration")):
        return policy

    def act(obs, key):
        policy_key, random_key, which_key = jax.random.split(key, 3)
        chosen, drawn = policy(obs, policy_key), random_actions(spec, random_key, obs.shape[0])
        explores = jax.random.bernoulli(which_key, hparams["exploration"], obs.shape[:1])
        return jnp.where(explores.reshape(-1, *[1] * (chosen.ndim - 1)), drawn, chosen)

    return act


def uniform_policy(spec) -> Act:
    """The uniform random policy as an `Act`."""
    return lambda obs, key: random_actions(spec, key, obs.shape[0])
