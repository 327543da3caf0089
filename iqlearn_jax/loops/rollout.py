"""On-policy training as one compiled program: each update learns from fresh play of the policy alone."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from iqlearn_jax.data.sampling import sample_expert, sample_windows
from iqlearn_jax.devices.placement import vmap
from iqlearn_jax.envs.api import Environment, start
from iqlearn_jax.loops.loop import Loop, compile_loop, start_run, update_run
from iqlearn_jax.loops.online import step_envs
from iqlearn_jax.loops.play import learner_policy
from iqlearn_jax.methods import Method
from iqlearn_jax.types import Batch


def make_rollout(config, method: Method, env: Environment, map_runs: Callable = vmap) -> Loop:
    """Each update: `online.rollout_steps` (T) steps of all `online.num_envs` (N) environments, then learning.

    The batch holds `policy` [T, N], in order of time and all by the policy of before the update; `expert`
    [T * N], as many drawn from the demonstrations; `initial` [T * N]; with `Method.window` w instead `expert`
    [T * N / w, w]. Episodes run on from one rollout to the
    next. There is no replay and no random play first.
    """
    steps, size = config.online.rollout_steps, config.online.num_envs

    def init(hparams, seed, rows, demo_indices):
        init_key, env_key, run_key = jax.random.split(jax.random.key(seed), 3)
        envs = jax.vmap(partial(start, env))(jax.random.split(env_key, size))
        return start_run(method.init(init_key, hparams), run_key, env=envs)

    def play(hparams, run, key):
        act = learner_policy(config, method, env.spec, hparams, run.state)

        def body(envs, number):
            envs, transition, counts = step_envs(env, envs, act, jax.random.fold_in(key, number))
            return envs, (transition, counts)

        envs, (policy, counts) = jax.lax.scan(body, run.env, jnp.arange(steps))
        return envs, policy, jax.tree.map(jnp.sum, counts)

    def demonstrated(rows, demo_indices, key):
        if rows is None:
            return Batch()
        if method.window:
            count, length = steps * size // method.window, method.window
            return sample_windows(rows, demo_indices, key, count, length, method.from_start)
        return sample_expert(rows, demo_indices, key, steps * size)

    def step(hparams, rows, demo_indices, run):
        play_key, expert_key, update_key = jax.random.split(jax.random.fold_in(run.key, run.updates), 3)
        envs, policy, counts = play(hparams, run, play_key)
        expert = demonstrated(rows, demo_indices, expert_key)
        run, metrics = update_run(method, hparams, run, expert.replace(policy=policy), update_key)
        return run.replace(env=envs, env_steps=run.env_steps + steps * size), metrics | counts

    return compile_loop(init, step, config.log_every, map_runs)
