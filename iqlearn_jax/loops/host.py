"""Training with environments on the host (gymnasium): jitted act and learn around vectorised stepping."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from iqlearn_jax.devices.placement import vmap
from iqlearn_jax.envs.api import random_actions
from iqlearn_jax.envs.failing import watching
from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.host import HostEnvs
from iqlearn_jax.errors import SimulatorError
from iqlearn_jax.loops.loop import Loop, RunState, start_run
from iqlearn_jax.loops.online import (
    exploration_steps,
    first_state,
    in_round,
    labelled,
    make_learner,
    online_replay,
)
from iqlearn_jax.loops.play import learner_policy
from iqlearn_jax.methods import Method
from iqlearn_jax.types import EnvSpec, Transition

RANDOM_PLAY_SEED = 0


class Compiled(NamedTuple):
    """What runs on the device between steps of the simulators, over all runs [R].

    Attributes:
      begin: (hparams, seeds, rows, demo_indices) -> run.
      act: (hparams, run, obs [R, E, ...]) -> actions [R, E, ...].
      store: (rows, demo_indices, run, transition [R, E, ...]) -> run.
      learn: (hparams, rows, demo_indices, run, transition, obs) -> (run, metrics, actions).
      explore: (seeds, number of the step) -> uniformly random actions.
    """

    begin: Callable
    act: Callable
    store: Callable
    learn: Callable
    explore: Callable


def make_host(config, method: Method, envs: HostEnvs) -> Loop:
    """As `loops.online.make_online` with the environments in Python; several runs step side by side.

    The simulators live in `envs`. `run.env` mirrors them at the end of each chunk, so that a checkpoint
    of the run resumes them (`Loop.restore`), also inside a chunk, where one of them failed.
    """
    compiled = compile_host(config, method, envs.spec)

    def init(hparams, seeds, rows, demo_indices):
        run = compiled.begin(hparams, seeds, rows, demo_indices)
        with watching(envs.watch, envs.spec.id):
            for number in range(exploration_steps(config)):
                transition = envs.step(np.asarray(compiled.explore(seeds, number)))
                run = compiled.store(rows, demo_indices, run, transition)
        return run.replace(env=envs.state())

    def chunk(hparams, rows, demo_indices, run):
        steps, seen = steps_left(config, run), []
        run = run.replace(env=None)
        action = compiled.act(hparams, run, envs.obs)
        with watching(envs.watch, envs.spec.id):
            for _ in range(steps):
                transition = stepped(envs, np.asarray(action), run)
                run, metrics, action = compiled.learn(hparams, rows, demo_indices, run, transition, envs.obs)
                seen.append(metrics | episode_counts(transition, envs.last_return))
        return run.replace(env=envs.state()), jax.tree.map(lambda *x: np.mean(x, axis=0), *seen)

    def like(hparams, seeds, rows, demo_indices):
        run = jax.eval_shape(compiled.begin, hparams, seeds, rows, demo_indices)
        return run.replace(env=envs.state())

    def restore(run):
        envs.restore(jax.tree.map(np.asarray, run.env))

    return Loop(init, chunk, like, restore)


def steps_left(config, run: RunState) -> int:
    """Steps to the end of a chunk; fewer than `log_every` asks for where a simulator failed inside of one."""
    done = int(run.updates[0]) % config.log_every
    return (config.log_every - done) // config.online.updates_per_step


def stepped(envs: HostEnvs, action: np.ndarray, run: RunState) -> Transition:
    """One step of all simulators; where one fails, the error carries the run as it was before.

    Raises:
      SimulatorError: names environment and step.
    """
    try:
        return envs.step(action)
    except SimulatorError as error:
        error.run = run.replace(env=envs.state())
        raise


def compile_host(config, method: Method, spec: EnvSpec) -> Compiled:
    """The functions of the host's loop, mapped over runs and jitted."""
    num_envs, replay = config.online.num_envs, online_replay(config, spec, rounds=method.round_updates > 0)
    learner = make_learner(config, method, replay)

    def begin(hparams, seed, rows, demo_indices):
        init_key, _, run_key = jax.random.split(jax.random.key(seed), 3)
        state = first_state(method, hparams, init_key, rows, demo_indices, num_envs)
        return start_run(state, run_key, replay.init())

    def act(hparams, run, obs):
        act_key, _ = jax.random.split(jax.random.fold_in(run.key, run.updates))
        return learner_policy(config, method, spec, hparams, run.state)(obs, act_key)

    def store(rows, demo_indices, run, transition):
        run, transition = labelled(method, rows, demo_indices, run, transition)
        ring = replay.add(run.replay, in_round(method, run, transition))
        return run.replace(replay=ring, env_steps=run.env_steps + num_envs)

    def learn(hparams, rows, demo_indices, run, transition, obs):  # and acts: calls are what takes the time
        _, learn_key = jax.random.split(jax.random.fold_in(run.key, run.updates))
        run = store(rows, demo_indices, run, transition)
        run, metrics = learner(hparams, rows, demo_indices, run, learn_key)
        return run, metrics, act(hparams, run, obs)

    def explore(seed, number):
        _, explore_key, _ = jax.random.split(jax.random.key(seed), 3)
        return random_actions(spec, jax.random.fold_in(explore_key, number), num_envs)

    return Compiled(
        begin=jax.jit(vmap(begin, in_axes=(0, 0, None, 0))),
        act=jax.jit(vmap(act)),
        store=jax.jit(vmap(store, in_axes=(None, 0, 0, 0)), donate_argnums=2),
        learn=jax.jit(vmap(learn, in_axes=(0, None, 0, 0, 0, 0)), donate_argnums=3),
        explore=jax.jit(vmap(explore, in_axes=(0, None))),
    )


def random_play(handle: EnvHandle, num_envs: int = 8, steps: int = 256) -> np.ndarray:
    """Observations [num_envs * steps, ...] of uniformly random play, always the same."""
    envs, spec = HostEnvs(handle, [RANDOM_PLAY_SEED], num_envs), handle.spec
    keys = jax.random.split(jax.random.key(RANDOM_PLAY_SEED), steps)
    draw = jax.jit(lambda key: random_actions(spec, key, num_envs))
    with watching(envs.watch, spec.id):
        obs = [envs.step(np.asarray(draw(key))[None]).obs for key in keys]
    return np.concatenate(obs).reshape(-1, *spec.obs_shape)


def episode_counts(transition, last_return: np.ndarray) -> dict[str, np.ndarray]:
    """Number [R] of episodes that ended in this step, and the sum [R] of their returns."""
    ended = transition.terminated | transition.truncated
    return {"episodes": ended.sum(axis=1) * 1.0, "return_sum": np.where(ended, last_return, 0.0).sum(axis=1)}
