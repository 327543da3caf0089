"""Evaluations and recorded episodes of policies, on the device or on the host, behind one interface."""

from collections.abc import Callable
from functools import partial
from itertools import count
from operator import itemgetter
from typing import Any, cast
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.data.sampling import take_rows
from iqlearn_jax.devices.placement import fit, vmap
from iqlearn_jax.envs.api import Environment, random_actions
from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.host import evaluate_host
from iqlearn_jax.loops.play import Played, play_episodes, record_episodes, uniform_policy
from iqlearn_jax.training.problem import Problem
from iqlearn_jax.types import Transition

EVALUATION_STREAM = 1_000_003  # keeps starts of evaluation apart from those of training
RANDOM_EPISODES, RANDOM_SEED = 100, 0
KEPT_STEPS = 32  # of each episode, for `likeness`
STARTS = 64  # demonstrated ones at most, of which V(s0) is the mean
_UNIFORM: WeakKeyDictionary[EnvHandle, dict[int, Played]] = WeakKeyDictionary()  # by the steps kept


def make_evaluator(problem: Problem) -> Callable:
    """(state, episodes) -> Played [R, episodes] of the deterministic policies (`eval_sampled`: of the drawn).

    Starts and draws depend on a run's seed only: every evaluation of a run plays the same ones.
    """
    place = problem.placement
    if problem.env is None:
        act = jax.jit(vmap(_policy(problem)))
        seeds = fit(problem.seeds, place.runs, place.slots)
        keys = jax.vmap(jax.random.key)(seeds + EVALUATION_STREAM)
        keys_of = jax.jit(jax.vmap(jax.random.fold_in, in_axes=(0, None)))

        def on_host(state, episodes):
            steps = count()

            def policy(obs):
                obs = fit(obs, place.runs, place.slots)
                return place.get(act(problem.hparams, state, obs, keys_of(keys, next(steps))))

            return _play_on_host(problem, policy, problem.seeds.tolist(), episodes)

        return on_host

    @partial(jax.jit, static_argnums=3)
    def on_device(hparams, state, seeds, episodes):
        play = partial(_play, problem, episodes)
        return place.map_runs(play, in_axes=(0, 0, 0))(hparams, state, seeds)

    starts = place.put(problem.seeds)
    return lambda state, episodes: place.get(on_device(problem.hparams, state, starts, episodes))


def make_initial_value(problem: Problem) -> Callable[[Any], dict[str, np.ndarray]]:
    """(state) -> {"iq/initial_value": mean V(s0) [R] of each run's demonstrated starts}; {} without V."""
    value, place = problem.method.value, problem.placement
    if value is None:
        return lambda state: {}

    def mean_value(hparams, state, rows, demo_indices):
        index = demo_indices.initial[:STARTS]
        index = jnp.tile(index, -(-STARTS // len(index)))  # an actor draws one action for each row
        key = jax.random.key(0)  # the same draws at each call
        return jnp.mean(value(hparams, state, take_rows(rows, index).obs, key))

    mapped = jax.jit(place.map_runs(mean_value, in_axes=(0, 0, None, 0)))

    def measure(state):
        values = mapped(problem.hparams, state, problem.rows, problem.demo_indices)
        return {"iq/initial_value": place.get(values)}

    return measure


def kept_steps(problem: Problem) -> int:
    """Steps of each episode that an evaluation keeps; none of images, or where there is no expert."""
    return 0 if problem.demos is None or len(problem.spec.obs_shape) == 3 else KEPT_STEPS


def _play_on_host(problem: Problem, policy: Callable, seeds: list[int], episodes: int) -> Played:
    keep = kept_steps(problem)
    played = evaluate_host(problem.handle, policy, seeds, episodes, record=keep > 0)
    if played.episodes is None:
        empty = np.zeros((*played.returns.shape, 0))
        return Played(played.returns, played.lengths, empty, empty)
    rng = np.random.default_rng(0)
    rows = [[_sample(rng, episode, keep) for episode in group] for group in played.episodes]
    obs, action = (np.stack([[row[i] for row in group] for group in rows]) for i in range(2))
    return Played(played.returns, played.lengths, obs, action)


def _sample(rng: np.random.Generator, episode: Transition, keep: int) -> list[np.ndarray]:
    """Observations and actions [keep, ...] of a uniform sample of an episode's steps, repeated to fill up."""
    steps = rng.permutation(len(episode.reward))[:keep]
    return [np.resize(x[steps], (keep, *x.shape[1:])) for x in (episode.obs, episode.action)]


def _act(method, hparams, state, obs, key, deterministic):
    return method.act(hparams, state, obs, key, deterministic=deterministic)


def _policy(problem: Problem) -> Callable:
    """(hparams, state, obs, key) -> actions of what evaluations judge."""
    return partial(_act, problem.method, deterministic=not problem.config.eval_sampled)


def _play(problem: Problem, episodes: int, hparams, state, seed) -> Played:
    act, env = partial(_policy(problem), hparams, state), cast(Environment, problem.env)
    key = jax.random.key(seed + EVALUATION_STREAM)
    return play_episodes(env, act, key, episodes, kept_steps(problem))


def random_return(problem: Problem) -> float:
    """Mean true return of the uniform policy over 100 episodes at a fixed seed."""
    return float(np.mean(uniform_play(problem).returns))


def uniform_play(problem: Problem) -> Played:
    """100 episodes [100] of the uniform policy at a fixed seed; played once for each open environment."""
    played, keep = _UNIFORM.setdefault(problem.handle, {}), kept_steps(problem)
    if keep not in played:
        played[keep] = _uniform(problem)
    return played[keep]


def _uniform(problem: Problem) -> Played:
    env, keep = problem.env, kept_steps(problem)
    if env is None:
        played = _play_on_host(problem, _uniform_on_host(problem), [RANDOM_SEED], RANDOM_EPISODES)
        return Played(*(x[0] for x in played))
    key, policy = jax.random.key(RANDOM_SEED), uniform_policy(problem.spec)
    play = jax.jit(lambda k: play_episodes(env, policy, k, RANDOM_EPISODES, keep))
    return jax.device_get(play(key))


def record(problem: Problem, state, run: int, episodes: int, play: str = "greedy") -> list[Transition]:
    """Whole episodes of one run's policy, NumPy leaves [steps, ...].

    Args:
      play: "greedy" (deterministic), "sampled" (as the stochastic policy acts) or "uniform" (random actions).
    """
    hparams, state = problem.placement.one((problem.hparams, state), run)
    seed = int(problem.seeds[run])
    act: Callable = partial(_act, problem.method, hparams, state, deterministic=play == "greedy")
    env, key = problem.env, jax.random.key(seed + EVALUATION_STREAM)
    if env is None:
        policy = _uniform_on_host(problem) if play == "uniform" else _on_host(act, seed)
        played = evaluate_host(problem.handle, policy, [seed], episodes, record=True).episodes
        return played[0] if played else []
    act = uniform_policy(problem.spec) if play == "uniform" else act
    rows, alive = jax.device_get(jax.jit(lambda k: record_episodes(env, act, k, episodes))(key))
    return [jax.tree.map(itemgetter((i, slice(n))), rows) for i, n in enumerate(alive.sum(axis=1))]


def _on_host(act: Callable, seed: int) -> Callable:
    """A policy of one run [1, E, ...] for `evaluate_host`, with another key at each step."""
    act, base, steps = jax.jit(act), jax.random.key(seed + EVALUATION_STREAM), count()
    return lambda obs: np.asarray(act(obs[0], jax.random.fold_in(base, next(steps))))[None]


def _uniform_on_host(problem: Problem) -> Callable:
    keys = iter(jax.random.split(jax.random.key(RANDOM_SEED), problem.spec.max_episode_steps + 1))

    def act(obs):
        actions = random_actions(problem.spec, next(keys), obs.shape[0] * obs.shape[1])
        return np.asarray(actions).reshape(*obs.shape[:2], *actions.shape[1:])

    return act
