"""Training as one compiled program: environment, replay and update scanned inside, runs vmapped outside."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from iqlearn_jax.data.replay import Replay, make_replay
from iqlearn_jax.data.sampling import sample_expert
from iqlearn_jax.devices.placement import vmap
from iqlearn_jax.envs.api import Environment, EnvState, advance_and_reset, start
from iqlearn_jax.loops.loop import Loop, RunState, compile_loop, start_run, update_run
from iqlearn_jax.loops.play import Act, learner_policy, uniform_policy
from iqlearn_jax.methods import Method
from iqlearn_jax.types import Batch, EnvSpec, Metrics, RoundTransition, Transition


def make_online(config, method: Method, env: Environment, map_runs: Callable = vmap) -> Loop:
    """Each step: every environment once, one addition to the replay, `updates_per_step` updates."""
    online = config.online
    replay = online_replay(config, env.spec, rounds=method.round_updates > 0)
    learn = make_learner(config, method, replay)

    def collect(rows, demo_indices, run, choose_action, key):
        envs, transition, counts = step_envs(env, run.env, choose_action, key)
        run, transition = labelled(method, rows, demo_indices, run, transition)
        run = run.replace(
            env=envs,
            replay=replay.add(run.replay, in_round(method, run, transition)),
            env_steps=run.env_steps + online.num_envs,
        )
        return run, counts

    def init(hparams, seed, rows, demo_indices):
        init_key, env_key, run_key, explore_key = jax.random.split(jax.random.key(seed), 4)
        envs = jax.vmap(partial(start, env))(jax.random.split(env_key, online.num_envs))
        state = first_state(method, hparams, init_key, rows, demo_indices, online.num_envs)
        run = start_run(state, run_key, replay.init(), envs)

        def explore(run, number):
            key = jax.random.fold_in(explore_key, number)
            return collect(rows, demo_indices, run, uniform_policy(env.spec), key)[0], None

        return jax.lax.scan(explore, run, jnp.arange(exploration_steps(config)))[0]

    def step(hparams, rows, demo_indices, run):
        collect_key, learn_key = jax.random.split(jax.random.fold_in(run.key, run.updates))
        act = learner_policy(config, method, env.spec, hparams, run.state)
        run, counts = collect(rows, demo_indices, run, act, collect_key)
        run, metrics = learn(hparams, rows, demo_indices, run, learn_key)
        return run, metrics | counts

    return compile_loop(init, step, config.log_every // online.updates_per_step, map_runs)


def step_envs(
    env: Environment, states: EnvState, choose_action: Act, key: jax.Array
) -> tuple[EnvState, Transition, Metrics]:
    """One step of every environment [num_envs], new episodes where one ended; and counts of those that did.

    Returns:
      states, transitions [num_envs], {"episodes", "return_sum"} [] of the episodes that ended here.
    """
    act_key, step_key = jax.random.split(key)
    action = choose_action(states.obs, act_key)
    keys = jax.random.split(step_key, states.steps.size)
    following, transition = vmap(partial(advance_and_reset, env))(states, action, keys)
    ended = transition.terminated | transition.truncated
    returns = states.episode_return + transition.reward
    counts = {"episodes": jnp.sum(ended) * 1.0, "return_sum": jnp.sum(jnp.where(ended, returns, 0.0))}
    return following, transition, counts


def online_replay(config, spec: EnvSpec, rounds: bool = False) -> Replay:
    """The run's replay; its capacity is never larger than the steps that the run will take."""
    online = config.online
    steps = exploration_steps(config) + -(-config.updates // online.updates_per_step)
    capacity = min(online.capacity, steps * online.num_envs)
    return make_replay(spec, capacity, config.batch_size, online.num_envs, rounds)


def in_round(method: Method, run: RunState, transition: Transition) -> Transition:
    """The transitions [num_envs] with their round, if the method asks for it."""
    if not method.round_updates:
        return transition
    number = run.updates // method.round_updates
    return RoundTransition(**vars(transition), round=jnp.full(transition.reward.shape, number))


def first_state(method: Method, hparams, key, rows, demo_indices, num_envs: int) -> Any:
    """The method's state before the first step; it remembers episodes where the method labels them."""
    state = method.init(key, hparams)
    return state if method.labels is None else method.labels.begin(rows, demo_indices, state, num_envs)


def labelled(method: Method, rows, demo_indices, run: RunState, transition: Transition):
    """The run and its transitions [num_envs] with the method's rewards, where it labels them."""
    if method.labels is None:
        return run, transition
    state, reward = method.labels.label(rows, demo_indices, run.state, transition)
    return run.replace(state=state), transition.replace(reward=reward)


def exploration_steps(config) -> int:
    """Steps of all environments with random actions before the first update; at least one."""
    return max(1, -(-config.online.learning_starts // config.online.num_envs))


def make_learner(config, method: Method, replay: Replay) -> Callable:
    """(hparams, rows, demo_indices, run, key) -> (run, metrics): `updates_per_step` updates of the replay."""
    updates = config.online.updates_per_step

    def update(hparams, rows, demo_indices, replayed, run, key):
        policy_key, expert_key, update_key = jax.random.split(key, 3)
        expert = Batch() if rows is None else sample_expert(rows, demo_indices, expert_key, config.batch_size)
        batch = expert.replace(policy=replay.sample(replayed, policy_key))
        return update_run(method, hparams, run, batch, update_key)

    def learn(hparams, rows, demo_indices, run, key):
        def body(light, number):  # without the replay: the scan would carry it along
            return update(hparams, rows, demo_indices, run.replay, light, jax.random.fold_in(key, number))

        light = run.replace(replay=None, env=None)
        light, metrics = jax.lax.scan(body, light, jnp.arange(updates))
        metrics = jax.tree.map(lambda x: jnp.mean(x, axis=0), metrics)
        return light.replace(replay=run.replay, env=run.env), metrics

    return learn
