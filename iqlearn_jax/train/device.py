"""Training as one compiled program: environment, replay and update scanned inside, runs vmapped outside."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from iqlearn_jax.data.replay import Replay, make_replay
from iqlearn_jax.envs.api import Environment, EnvState, advance_and_reset, start
from iqlearn_jax.methods import Method
from iqlearn_jax.train.evaluate import Act, uniform_policy
from iqlearn_jax.train.mapping import vmap
from iqlearn_jax.train.state import RunState, sample_expert
from iqlearn_jax.types import Batch, EnvSpec, Metrics, RoundTransition, Transition


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


def make_offline(config, method: Method, map_runs: Callable = vmap) -> Loop:
    """Learning from demonstrations alone: no environment is touched."""

    def init(hparams, seed, rows, picks):
        init_key, run_key = jax.random.split(jax.random.key(seed))
        return start_run(method.init(init_key, hparams), run_key)

    def step(hparams, rows, picks, run):
        sample_key, update_key = jax.random.split(jax.random.fold_in(run.key, run.updates))
        batch = sample_expert(rows, picks, sample_key, config.batch_size)
        return update_run(method, hparams, run, batch, update_key)

    return compile_loop(init, step, config.log_every, map_runs)


def make_online(config, method: Method, env: Environment, map_runs: Callable = vmap) -> Loop:
    """Each step: every environment once, one addition to the replay, `updates_per_step` updates."""
    online = config.online
    replay = online_replay(config, env.spec, rounds=method.round_updates > 0)
    learn = make_learner(config, method, replay)

    def collect(run, choose_action, key):
        envs, transition, counts = step_envs(env, run.env, choose_action, key)
        run = run.replace(
            env=envs,
            replay=replay.add(run.replay, in_round(method, run, transition)),
            env_steps=run.env_steps + online.num_envs,
        )
        return run, counts

    def init(hparams, seed, rows, picks):
        init_key, env_key, run_key, explore_key = jax.random.split(jax.random.key(seed), 4)
        envs = jax.vmap(partial(start, env))(jax.random.split(env_key, online.num_envs))
        state = method.init(init_key, hparams)
        run = start_run(state, run_key, replay.init(), envs)

        def explore(run, number):
            return collect(run, uniform_policy(env.spec), jax.random.fold_in(explore_key, number))[0], None

        return jax.lax.scan(explore, run, jnp.arange(exploration_steps(config)))[0]

    def step(hparams, rows, picks, run):
        collect_key, learn_key = jax.random.split(jax.random.fold_in(run.key, run.updates))
        act = partial(method.act, hparams, run.state, deterministic=False)
        run, counts = collect(run, act, collect_key)
        run, metrics = learn(hparams, rows, picks, run, learn_key)
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


def exploration_steps(config) -> int:
    """Steps of all environments with random actions before the first update; at least one."""
    return max(1, -(-config.online.learning_starts // config.online.num_envs))


def make_learner(config, method: Method, replay: Replay) -> Callable:
    """(hparams, rows, picks, run, key) -> (run, metrics): `updates_per_step` updates from the replay."""
    updates = config.online.updates_per_step

    def update(hparams, rows, picks, replayed, run, key):
        policy_key, expert_key, update_key = jax.random.split(key, 3)
        expert = Batch() if rows is None else sample_expert(rows, picks, expert_key, config.batch_size)
        batch = expert.replace(policy=replay.sample(replayed, policy_key))
        return update_run(method, hparams, run, batch, update_key)

    def learn(hparams, rows, picks, run, key):
        def body(light, number):  # without the replay: the scan would carry it along
            return update(hparams, rows, picks, run.replay, light, jax.random.fold_in(key, number))

        light = run.replace(replay=None, env=None)
        light, metrics = jax.lax.scan(body, light, jnp.arange(updates))
        metrics = jax.tree.map(lambda x: jnp.mean(x, axis=0), metrics)
        return light.replace(replay=run.replay, env=run.env), metrics

    return learn


def start_run(state: Any, key: jax.Array, replay: Any = None, env: Any = None) -> RunState:
    """A run before its first update."""
    return RunState(state, replay, env, key, jnp.int32(0), jnp.int32(0), jnp.int32(-1))


def update_run(method: Method, hparams, run: RunState, batch: Batch, key) -> tuple[RunState, Metrics]:
    """One update, counted; from the first one on whose metrics are not finite, the state stays as it is.

    Only the method's state is selected: a select over the replay would copy it at each step.
    """
    state, metrics = method.update(hparams, run.state, batch, key)
    finite = jnp.isfinite(sum(jax.tree.leaves(metrics)))
    healthy = (run.failed_at < 0) & finite
    failed_at = jnp.where((run.failed_at < 0) & ~finite, run.updates, run.failed_at)
    state = jax.tree.map(lambda new, old: jnp.where(healthy, new, old), state, run.state)
    return run.replace(state=state, updates=run.updates + 1, failed_at=failed_at), metrics


def compile_loop(init: Callable, step: Callable, steps: int, map_runs: Callable) -> Loop:
    """Scans `step`, maps runs over the leading axis and compiles; the run's state is donated.

    Args:
      map_runs: as `mapping.vmap`; on several devices it gives each its share of the runs (`sweep.mesh`).
    """

    def chunk(hparams, rows, picks, run):
        run, metrics = jax.lax.scan(lambda run, _: step(hparams, rows, picks, run), run, length=steps)
        return run, jax.tree.map(lambda x: jnp.mean(x, axis=0), metrics)

    mapped_init = map_runs(init, in_axes=(0, 0, None, 0))
    mapped_chunk = map_runs(chunk, in_axes=(0, None, 0, 0))
    return Loop(
        init=jax.jit(mapped_init),
        chunk=jax.jit(mapped_chunk, donate_argnums=3),
        like=partial(jax.eval_shape, mapped_init),
    )
