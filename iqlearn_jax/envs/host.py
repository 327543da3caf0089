"""Environments on the host: many single ones of gymnasium, stepped one after the other in Python."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.seeds import EVALUATE, TRAIN, check_seeds, episode_seed
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec, Transition


class HostEnvs:
    """R runs x E instances of one environment, with a fresh start after each end.

    Every reset is seeded by (run seed, environment, episode number): a run is reproducible and does not
    depend on the runs beside it. Arrays handed out are never written to again, and the simulators get copies.

    Attributes:
      spec: static facts.
    """

    spec: EnvSpec

    def __init__(self, handle: EnvHandle, seeds: Sequence[int], num_envs: int):
        """Makes and resets the environments.

        Args:
          handle: of an environment on the host (`envs.registry.open_env`).
          seeds: [R] one per run, in [0, 2^31).
          num_envs: E, environments per run.
        Raises:
          InputError: no host simulator, or unusable seeds or numbers.
        """
        seeds = check_seeds(seeds)
        if num_envs < 1:
            raise InputError(f"num_envs: found {num_envs}; expected at least 1")
        self._lead = (len(seeds), num_envs)
        self._streams = [(seed, index) for seed in seeds for index in range(num_envs)]
        self._envs, self.spec = handle.new(len(self._streams)), handle.spec
        count = len(self._envs)
        self._episode = np.zeros(count, np.int32)
        self._length = np.zeros(count, np.int32)
        self._return = np.zeros(count, np.float32)
        self._last_return = np.full(count, np.nan, np.float32)
        self._actions = np.zeros((count, self.spec.max_episode_steps, *_action_shape(self.spec)))
        self._actions = self._actions.astype(_action_dtype(self.spec))
        self._obs = np.empty((count, *self.spec.obs_shape), self.spec.obs_dtype)
        for i in range(count):
            self._begin(i)

    @property
    def obs(self) -> np.ndarray:
        """Current observations, [R, E, *obs_shape]."""
        return self._split(self._obs)

    @property
    def last_return(self) -> np.ndarray:
        """Sum of rewards of the last episode that ended, [R, E] float32; NaN before the first end."""
        return self._split(self._last_return.copy())

    def step(self, actions: np.ndarray) -> Transition:
        """Steps every environment, then starts a new episode where one ended.

        Args:
          actions: [R, E] integers or [R, E, action_dim]; continuous ones are clipped to their bounds.
        Returns:
          NumPy leaves [R, E, ...]; `action` as executed, `next_obs` the true successor.
        Raises:
          InputError: actions of another shape.
        """
        actions = _as_actions(self.spec, actions, self._lead)
        following = np.empty_like(self._obs)
        reward = np.empty(len(self._envs), np.float32)
        terminated = np.empty(len(self._envs), bool)
        truncated = np.empty(len(self._envs), bool)
        for i, (env, action) in enumerate(zip(self._envs, _as_items(self.spec, actions), strict=True)):
            following[i], reward[i], terminated[i], truncated[i], _ = env.step(action)
        self._actions[np.arange(len(self._envs)), self._length] = actions
        self._length += 1
        self._return += reward
        truncated = (truncated | (self._length >= self.spec.max_episode_steps)) & ~terminated
        before, self._obs = self._obs, following.copy()
        for i in np.flatnonzero(terminated | truncated).tolist():
            self._last_return[i] = self._return[i]
            self._episode[i] += 1
            self._begin(i)
        fields = (before, actions, reward, following, terminated, truncated)
        return _transition([self._split(field) for field in fields])

    def state(self) -> dict[str, np.ndarray]:
        """What resuming needs, leaves [R, ...] of fixed shape: not the simulators, but what was done to them.

        "actions" is [R, E, max_episode_steps, ...], zero beyond "length".
        """
        # What earlier episodes left beyond the end is not state.
        past = np.arange(self.spec.max_episode_steps) < self._length[:, None]
        actions = np.where(past.reshape(past.shape + (1,) * (self._actions.ndim - 2)), self._actions, 0)
        leaves: dict[str, np.ndarray] = {
            "episode": self._episode.copy(),
            "length": self._length.copy(),
            "actions": actions.astype(self._actions.dtype),
            "obs": self._obs,
            "episode_return": self._return.copy(),
            "last_return": self._last_return.copy(),
        }
        seeds = np.array([seed for seed, _ in self._streams], np.int32).reshape(self._lead)[:, 0]
        return {"seed": seeds} | {name: self._split(leaf) for name, leaf in leaves.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Goes on from `state`, bit for bit, by replaying the actions of the episodes in progress.

        Raises:
          InputError: a state of other runs, numbers of environments or environment.
          RuntimeError: the replay ends elsewhere: the simulator is not deterministic.
        """
        here = self.state()
        for name, leaf in here.items():
            _check_leaf(name, state.get(name), leaf)
        if not np.array_equal(state["seed"], here["seed"]):
            raise InputError(
                f"seed: the state is of {state['seed']}; these environments are of {here['seed']}"
            )
        flat = {name: self._join(np.asarray(leaf)) for name, leaf in state.items() if name != "seed"}
        self._episode, self._length = flat["episode"].copy(), flat["length"].copy()
        self._actions = flat["actions"].copy()
        lengths, self._obs = self._length.copy(), np.empty_like(flat["obs"])
        for i in range(len(self._envs)):
            self._begin(i)
            self._replay(i, lengths[i], flat["obs"][i])
        self._length, self._obs = lengths, flat["obs"].copy()
        self._return, self._last_return = flat["episode_return"].copy(), flat["last_return"].copy()

    def _begin(self, i: int) -> None:
        seed = episode_seed(TRAIN, *self._streams[i], int(self._episode[i]))
        self._obs[i], _ = self._envs[i].reset(seed=seed)
        self._length[i] = 0
        self._return[i] = 0.0

    def _replay(self, i: int, length: int, expected: np.ndarray) -> None:
        for action in _as_items(self.spec, self._actions[i, :length]):
            self._obs[i] = self._envs[i].step(action)[0]
        if not np.array_equal(self._obs[i], expected, equal_nan=self._obs.dtype.kind == "f"):
            raise RuntimeError(
                f"environment '{self.spec.id}' is not deterministic: replaying {length} actions ended at "
                "another observation, so this run cannot resume"
            )

    def _split(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(*self._lead, *array.shape[1:])

    def _join(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, *array.shape[2:])


class HostEvaluation(NamedTuple):
    """Outcome of `evaluate_host`.

    Attributes:
      returns: [R, n] float64 undiscounted sums of rewards.
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
    """
    seeds, spec = check_seeds(seeds), handle.spec
    if episodes < 1:
        raise InputError(f"episodes: found {episodes}; expected at least 1")
    lead = (len(seeds), episodes)
    count = len(seeds) * episodes
    rows: list[list] = [[] for _ in range(count)]
    with handle.borrowed(count) as envs:
        obs = np.empty((count, *spec.obs_shape), spec.obs_dtype)
        for i, env in enumerate(envs):
            obs[i], _ = env.reset(seed=episode_seed(EVALUATE, seeds[i // episodes], i % episodes, 0))
        returns, lengths = _play(spec, envs, obs, act, lead, rows if record else None)
    played = [_stack(spec, row) for row in rows] if record else []
    recorded = [played[i : i + episodes] for i in range(0, count, episodes)] if record else None
    return HostEvaluation(returns.reshape(lead), lengths.reshape(lead), recorded)


def _play(
    spec: EnvSpec,
    envs: list[Any],
    obs: np.ndarray,
    act: Callable[[np.ndarray], np.ndarray],
    lead: tuple[int, int],
    rows: list[list] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Steps until every episode has ended; `obs` is written in place, `rows` gets the transitions."""
    returns, lengths = np.zeros(len(envs)), np.zeros(len(envs), np.int32)
    alive = list(range(len(envs)))
    while alive:
        actions = _as_actions(spec, act(obs.reshape(*lead, *spec.obs_shape)), lead)
        items = _as_items(spec, actions)
        lengths[alive] += 1
        # Copied, as some environments write into the observation they have handed out.
        steps = [_step(spec, envs[i], items[i], lengths[i]) for i in alive]
        following, reward, terminated, truncated = (np.array(column) for column in zip(*steps, strict=True))
        returns[alive] += reward
        if rows is not None:
            columns = (obs[alive], actions[alive], reward, following, terminated, truncated)
            _append(rows, alive, columns)
        obs[alive] = following
        alive = [i for i, end in zip(alive, terminated | truncated, strict=True) if not end]
    return returns, lengths


def _step(spec: EnvSpec, env: Any, action: Any, length: int) -> tuple[np.ndarray, float, bool, bool]:
    following, reward, terminated, cut, _ = env.step(action)
    terminated = bool(terminated)
    truncated = bool(cut or length >= spec.max_episode_steps) and not terminated
    return np.array(following, spec.obs_dtype), float(reward), terminated, truncated


def _append(rows: list[list], alive: list[int], columns: tuple) -> None:
    for i, row in zip(alive, zip(*columns, strict=True), strict=True):
        rows[i].append(row)


def _stack(spec: EnvSpec, row: list) -> Transition:
    dtypes: tuple[Any, ...] = (spec.obs_dtype, _action_dtype(spec), np.float32, spec.obs_dtype, bool, bool)
    columns = zip(*row, strict=True)
    return _transition([np.array(column, dtype) for column, dtype in zip(columns, dtypes, strict=True)])


def _transition(fields: list[np.ndarray]) -> Transition:
    names = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
    return Transition(**dict(zip(names, fields, strict=True)))


def _action_shape(spec: EnvSpec) -> tuple[int, ...]:
    return () if spec.discrete else spec.action_low.shape


def _action_dtype(spec: EnvSpec) -> type:
    return np.int32 if spec.discrete else np.float32


def _as_actions(spec: EnvSpec, actions: np.ndarray, lead: tuple[int, int]) -> np.ndarray:
    """[R, E, ...] actions as [R*E, ...] in their dtype, the continuous ones within their bounds."""
    expected = (*lead, *_action_shape(spec))
    if np.shape(actions) != expected:
        raise InputError(f"actions: found shape {np.shape(actions)}; '{spec.id}' expects {expected}")
    actions = np.asarray(actions, _action_dtype(spec)).reshape(-1, *expected[2:])
    return actions.copy() if spec.discrete else np.clip(actions, spec.action_low, spec.action_high)


def _as_items(spec: EnvSpec, actions: np.ndarray) -> list:
    """[n, ...] actions one by one for simulators, which may write into what they get: copies."""
    # Python integers: environments look them up in dicts and lists, and step faster on them.
    return actions.tolist() if spec.discrete else list(actions.copy())


def _check_leaf(name: str, saved: np.ndarray | None, here: np.ndarray) -> None:
    shape = None if saved is None else np.shape(saved)
    if shape != here.shape:
        raise InputError(f"{name}: found shape {shape} in the state; these environments have {here.shape}")
