"""Returns and recorded episodes of policies, on the device or on the host, behind one interface."""

from collections.abc import Callable
from functools import partial
from itertools import count
from operator import itemgetter

import jax
import numpy as np

from iqlearn_jax.envs.api import random_actions
from iqlearn_jax.envs.host import evaluate_host
from iqlearn_jax.sweep.problem import Problem
from iqlearn_jax.train.evaluate import episode_returns, record_episodes, uniform_policy
from iqlearn_jax.train.mapping import vmap
from iqlearn_jax.types import Transition

EVALUATION_STREAM = 1_000_003  # keeps starts of evaluation apart from those of training
RANDOM_EPISODES, RANDOM_SEED = 100, 0


def make_evaluator(problem: Problem) -> Callable:
    """(state, episodes) -> [R, episodes] true returns of the deterministic policies.

    Starts depend on a run's seed only: every evaluation of a run plays the same ones.
    """
    if problem.env is None:
        act = jax.jit(vmap(partial(_act, problem.method), in_axes=(0, 0, 0, None)))
        unused = jax.random.key(0)  # the policy is deterministic

        def on_host(state, episodes):
            def policy(obs):
                return np.asarray(act(problem.hparams, state, obs, unused))

            return evaluate_host(problem.config.env.id, policy, problem.seeds.tolist(), episodes).returns

        return on_host

    @partial(jax.jit, static_argnums=3)
    def on_device(hparams, state, seeds, episodes):
        play = partial(_returns, problem, episodes)
        return place.map_runs(play, in_axes=(0, 0, 0))(hparams, state, seeds)

    place, seeds = problem.placement, problem.placement.put(problem.seeds)
    return lambda state, episodes: place.get(on_device(problem.hparams, state, seeds, episodes))


def _act(method, hparams, state, obs, key, deterministic=True):
    return method.act(hparams, state, obs, key, deterministic=deterministic)


def _returns(problem: Problem, episodes: int, hparams, state, seed):
    act = partial(_act, problem.method, hparams, state)
    return episode_returns(problem.env, act, jax.random.key(seed + EVALUATION_STREAM), episodes)


def random_return(problem: Problem) -> float:
    """Mean true return of the uniform policy over 100 episodes at a fixed seed."""
    if problem.env is None:
        play = evaluate_host(problem.config.env.id, _uniform_on_host(problem), [RANDOM_SEED], RANDOM_EPISODES)
        return float(play.returns.mean())
    key, policy = jax.random.key(RANDOM_SEED), uniform_policy(problem.spec)
    found = jax.jit(lambda k: episode_returns(problem.env, policy, k, RANDOM_EPISODES))(key)
    return float(np.mean(found))


def record(problem: Problem, state, run: int, episodes: int, play: str = "greedy") -> list[Transition]:
    """Whole episodes of one run's policy, NumPy leaves [steps, ...].

    Args:
      play: "greedy" (deterministic), "sampled" (as the stochastic policy acts) or "uniform" (random actions).
    """
    hparams, state = problem.placement.one((problem.hparams, state), run)
    seed = int(problem.seeds[run])
    own = partial(_act, problem.method, hparams, state, deterministic=play == "greedy")
    if problem.env is None:
        policy = _uniform_on_host(problem) if play == "uniform" else _on_host(own, seed)
        played = evaluate_host(problem.config.env.id, policy, [seed], episodes, record=True).episodes
        return played[0] if played else []
    key = jax.random.key(seed + EVALUATION_STREAM)
    draw = uniform_policy(problem.spec) if play == "uniform" else own
    found, alive = jax.jit(lambda k: record_episodes(problem.env, draw, k, episodes))(key)
    lengths = np.asarray(alive).sum(axis=1)
    found = jax.device_get(found)
    return [jax.tree.map(itemgetter((i, slice(n))), found) for i, n in enumerate(lengths)]


def _on_host(draw: Callable, seed: int) -> Callable:
    """A policy of one run [1, E, ...] for `evaluate_host`, with a key of its own at each step."""
    act, base, steps = jax.jit(draw), jax.random.key(seed + EVALUATION_STREAM), count()
    return lambda obs: np.asarray(act(obs[0], jax.random.fold_in(base, next(steps))))[None]


def _uniform_on_host(problem: Problem) -> Callable:
    keys = iter(jax.random.split(jax.random.key(RANDOM_SEED), problem.spec.max_episode_steps + 1))

    def act(obs):
        actions = random_actions(problem.spec, next(keys), obs.shape[0] * obs.shape[1])
        return np.asarray(actions).reshape(*obs.shape[:2], *actions.shape[1:])

    return act
