"""Whole episodes of policies in environments on the host, for evaluation and recording."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from iqlearn_jax.envs.failing import FAILURES, Watch, failed, watching
from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.rows import action_dtype, as_actions, as_items, as_transition, check_shape
from iqlearn_jax.envs.seeds import EVALUATE, check_seeds, episode_seed
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec, Transition


class HostEvaluation(NamedTuple):
    """Outcome of `evaluate_host`.

    Attributes:
      returns: [R, n] float64 undiscounted sums of rewards; NaN where an observation was not finite.
      lengths: [R, n] int32 steps.
      episodes: [R][n] transitions with leaves [steps, ...], or None unless recorded.
    """

    returns: np.ndarray
    lengths: np.ndarray
    episodes: list[list[Transition]] | None


def evaluate_host(
    handle: EnvHandle,
    act: Callable[[np.ndarray], np.ndarray],
    seeds: Sequence[int],
    episodes: int,
    *,
    record: bool = False,
) -> HostEvaluation:
    """Plays `episodes` whole episodes for each of R policies, all at once; ended ones are not stepped.

    Args:
      handle: of an environment on the host.
      act: [R, n, *obs_shape] -> actions [R, n, ...]; shapes never change, rows of ended episodes are stale.
      seeds: [R] of the runs; starts follow from them and differ from those of training.
      episodes: n, episodes per run.
      record: also return the transitions.
    Raises:
      InputError: no host simulator, or unusable seeds or actions.
      SimulatorError: one of them failed; names it and the step.
    """
    seeds, spec = check_seeds(seeds), handle.spec
    if episodes < 1:
        raise InputError(f"episodes: found {episodes}; expected at least 1")
    lead = (len(seeds), episodes)
    count = len(seeds) * episodes
    rows: list[list] = [[] for _ in range(count)]
    with handle.borrowed(count) as envs:
        player = _Player(spec, envs, seeds, episodes)
        with watching(player.watch, spec.id):
            returns, lengths = player.play(act, rows if record else None)
    played = [_stack(spec, row) for row in rows] if record else []
    recorded = [played[i : i + episodes] for i in range(0, count, episodes)] if record else None
    return HostEvaluation(returns.reshape(lead), lengths.reshape(lead), recorded)


class _Player:
    """One episode in each of some environments, from starts that follow from the seeds of their runs."""

    def __init__(self, spec: EnvSpec, envs: list[Any], seeds: list[int], episodes: int):
        self._spec, self._envs, self._lead, self.watch = spec, envs, (len(seeds), episodes), Watch()
        self._starts = [(seed, number) for seed in seeds for number in range(episodes)]

    def play(
        self, act: Callable[[np.ndarray], np.ndarray], rows: list[list] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Steps until every episode has ended: returns and lengths [n]; `rows` gets the transitions."""
        spec, envs, lead = self._spec, self._envs, self._lead
        obs = np.empty((len(envs), *spec.obs_shape), spec.obs_dtype)
        for i in range(len(envs)):
            obs[i] = self._reset(i)
        returns, lengths = np.where(_finite(obs), 0.0, np.nan), np.zeros(len(envs), np.int32)
        alive = list(range(len(envs)))
        while alive:
            actions = as_actions(spec, act(obs.reshape(*lead, *spec.obs_shape)), lead)
            items = as_items(spec, actions)
            lengths[alive] += 1
            steps = [self._step(i, items[i], lengths[i]) for i in alive]
            following, reward, terminated, truncated = (
                np.array(column) for column in zip(*steps, strict=True)
            )
            returns[alive] += np.where(_finite(following), reward, np.nan)
            if rows is not None:
                columns = (obs[alive], actions[alive], reward, following, terminated, truncated)
                _append(rows, alive, columns)
            obs[alive] = following
            alive = [i for i, end in zip(alive, terminated | truncated, strict=True) if not end]
        return returns, lengths

    def _reset(self, i: int) -> np.ndarray:
        self.watch.begin()
        try:
            obs, _ = self._envs[i].reset(seed=episode_seed(EVALUATE, *self._starts[i], 0))
            return check_shape(self._spec, obs)
        except FAILURES as error:
            raise self._failed(i, "the reset", error) from error
        finally:
            self.watch.end()

    def _step(self, i: int, action: Any, length: int) -> tuple[np.ndarray, float, bool, bool]:
        spec = self._spec
        self.watch.begin()
        try:
            following, reward, terminated, cut, _ = self._envs[i].step(action)
            # Copied, as some environments write into the observation they have handed out.
            following = np.array(check_shape(spec, following), spec.obs_dtype)
            reward = float(reward)
        except FAILURES as error:
            raise self._failed(i, f"step {length}", error) from error
        finally:
            self.watch.end()
        terminated = bool(terminated)
        truncated = bool(cut or length >= spec.max_episode_steps) and not terminated
        return following, reward, terminated, truncated

    def _failed(self, i: int, what: str, error: BaseException) -> InputError:
        seed, number = self._starts[i]
        return failed(self._spec.id, f"at {what} of episode {number} of an evaluation (seed {seed})", error)


def _finite(obs: np.ndarray) -> np.ndarray:
    """Which of some observations [n, ...] are finite, [n] bool."""
    return np.isfinite(obs).reshape(len(obs), -1).all(axis=1)


def _append(rows: list[list], alive: list[int], columns: tuple) -> None:
    for i, row in zip(alive, zip(*columns, strict=True), strict=True):
        rows[i].append(row)


def _stack(spec: EnvSpec, row: list) -> Transition:
    dtypes: tuple[Any, ...] = (spec.obs_dtype, action_dtype(spec), np.float32, spec.obs_dtype, bool, bool)
    columns = zip(*row, strict=True)
    return as_transition([np.array(column, dtype) for column, dtype in zip(columns, dtypes, strict=True)])
