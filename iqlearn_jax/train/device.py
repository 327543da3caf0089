"""Training as one compiled program: environment, replay and update scanned inside, runs vmapped outside."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from iqlearn_jax.data.replay import Replay, make_replay
from iqlearn_jax.envs.api import Environment, advance_and_reset, start
from iqlearn_jax.methods import Method
from iqlearn_jax.train.evaluate import uniform_policy
from iqlearn_jax.train.state import RunState, sample_expert
from iqlearn_jax.types import Batch, EnvSpec


class Loop(NamedTuple):
    """Training of R runs at once. Arrays have the leading axis R; the demonstrations `rows` are shared.

    Attributes:
      init: (hparams, seeds, rows, picks) -> RunState.
      chunk: (hparams, rows, picks, run) -> (run, metrics): `log_every` updates; metrics are means [R].
      like: as `init`, but shapes and dtypes only: what a checkpoint is read into.
      restore: (run) -> None: puts what lies outside the run's arrays (simulators) where the run left off.
    """

    init: Callable
    chunk: Callable
    like: Callable
    restore: Callable = lambda run: None


def make_offline(config, method: Method) -> Loop:
    """Learning from demonstrations alone: no environment is touched."""

    def init(hparams, seed, rows, picks):
        init_key, run_key = jax.random.split(jax.random.key(seed))
        return RunState(method.init(init_key, hparams), None, None, run_key, jnp.int32(0), jnp.int32(0))

    def step(hparams, rows, picks, run):
        sample_key, update_key = jax.random.split(jax.random.fold_in(run.key, run.updates))
        expert, initial = sample_expert(rows, picks, sample_key, config.batch_size)
        state, metrics = method.update(hparams, run.state, Batch(expert=expert, initial=initial), update_key)
        return run.replace(state=state, updates=run.updates + 1), metrics

    return compile_loop(init, step, config.log_every)


def make_online(config, method: Method, env: Environment) -> Loop:
    """Each step: every environment once, one addition to the replay, `updates_per_step` updates."""
    online = config.online
    replay = online_replay(config, env.spec)
    learn = make_learner(config, method, replay)

    def collect(run, choose_action, key):
        act_key, step_key = jax.random.split(key)
        action = choose_action(run.env.obs, act_key)
        keys = jax.random.split(step_key, online.num_envs)
        env_state, transition = jax.vmap(partial(advance_and_reset, env))(run.env, action, keys)
        ended = transition.terminated | transition.truncated
        returns = run.env.episode_return + transition.reward
        counts = {"episodes": jnp.sum(ended) * 1.0, "return_sum": jnp.sum(jnp.where(ended, returns, 0.0))}
        run = run.replace(
            env=env_state,
            replay=replay.add(run.replay, transition),
            env_steps=run.env_steps + online.num_envs,
        )
        return run, counts

    def init(hparams, seed, rows, picks):
        init_key, env_key, run_key, explore_key = jax.random.split(jax.random.key(seed), 4)
        envs = jax.vmap(partial(start, env))(jax.random.split(env_key, online.num_envs))
        state = method.init(init_key, hparams)
        run = RunState(state, replay.init(), envs, run_key, jnp.int32(0), jnp.int32(0))

        def explore(run, number):
            return collect(run, uniform_policy(env.spec), jax.random.fold_in(explore_key, number))[0], None

        return jax.lax.scan(explore, run, jnp.arange(exploration_steps(config)))[0]

    def step(hparams, rows, picks, run):
        collect_key, learn_key = jax.random.split(jax.random.fold_in(run.key, run.updates))
        act = partial(method.act, hparams, run.state, deterministic=False)
        run, counts = collect(run, act, collect_key)
        run, metrics = learn(hparams, rows, picks, run, learn_key)
        return run, metrics | counts

    return compile_loop(init, step, config.log_every // online.updates_per_step)


def online_replay(config, spec: EnvSpec) -> Replay:
    """The run's replay; its capacity is never larger than the steps that the run will take."""
    online = config.online
    steps = exploration_steps(config) + -(-config.updates // online.updates_per_step)
    capacity = min(online.capacity, steps * online.num_envs)
    return make_replay(spec, capacity, config.batch_size, online.num_envs)


def exploration_steps(config) -> int:
    """Steps of all environments with random actions before the first update; at least one."""
    return max(1, -(-config.online.learning_starts // config.online.num_envs))


def make_learner(config, method: Method, replay: Replay) -> Callable:
    """(hparams, rows, picks, run, key) -> (run, metrics): `updates_per_step` updates from the replay."""
    updates = config.online.updates_per_step

    def update(hparams, rows, picks, run, key):
        policy_key, expert_key, update_key = jax.random.split(key, 3)
        batch = Batch(policy=replay.sample(run.replay, policy_key))
        if rows is not None:
            expert, initial = sample_expert(rows, picks, expert_key, config.batch_size)
            batch = batch.replace(expert=expert, initial=initial)
        state, metrics = method.update(hparams, run.state, batch, update_key)
        return state, metrics

    def learn(hparams, rows, picks, run, key):
        def body(state, number):
            return update(hparams, rows, picks, run.replace(state=state), jax.random.fold_in(key, number))

        state, metrics = jax.lax.scan(body, run.state, jnp.arange(updates))
        metrics = jax.tree.map(lambda x: jnp.mean(x, axis=0), metrics)
        return run.replace(state=state, updates=run.updates + updates), metrics

    return learn


def compile_loop(init: Callable, step: Callable, steps: int) -> Loop:
    """Scans `step`, maps runs over the leading axis and compiles; the run's state is donated."""

    def chunk(hparams, rows, picks, run):
        run, metrics = jax.lax.scan(lambda run, _: step(hparams, rows, picks, run), run, length=steps)
        return run, jax.tree.map(lambda x: jnp.mean(x, axis=0), metrics)

    mapped_init = jax.vmap(init, in_axes=(0, 0, None, 0))
    mapped_chunk = jax.vmap(chunk, in_axes=(0, None, 0, 0))
    return Loop(
        init=jax.jit(mapped_init),
        chunk=jax.jit(mapped_chunk, donate_argnums=3),
        like=partial(jax.eval_shape, mapped_init),
    )
