"""Environments on the host: many single ones of gymnasium, stepped one after the other in Python."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from iqlearn_jax.envs.episodes import HostEvaluation, evaluate_host
from iqlearn_jax.envs.failing import FAILURES, Watch, failed, watching
from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.rows import action_dtype, action_shape, as_actions, as_items, as_transition, check_shape
from iqlearn_jax.envs.seeds import TRAIN, check_seeds, episode_seed
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec, Transition

__all__ = ["HostEnvs", "HostEvaluation", "evaluate_host"]


class HostEnvs:
    """R runs x E instances of one environment, with a fresh start after each end.

    Every reset is seeded by (run seed, environment, episode number): a run is reproducible and does not
    depend on the runs beside it. Arrays handed out are never written to again, and the simulators get copies.

    A step in which a simulator fails leaves `state` as it was before, so that others can go on from there.

    Attributes:
      spec: static facts.
      watch: whether a simulator is being waited for, for `failing.watching`.
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
          SimulatorError: one could not be made or reset, or did not come back.
        """
        seeds = check_seeds(seeds)
        if num_envs < 1:
            raise InputError(f"num_envs: found {num_envs}; expected at least 1")
        self._lead = (len(seeds), num_envs)
        self._streams = [(seed, index) for seed in seeds for index in range(num_envs)]
        self._envs, self.spec, self.watch = handle.new(len(self._streams)), handle.spec, Watch()
        count = len(self._envs)
        self._episode = np.zeros(count, np.int32)
        self._length = np.zeros(count, np.int32)
        self._return = np.zeros(count, np.float32)
        self._last_return = np.full(count, np.nan, np.float32)
        self._actions = np.zeros((count, self.spec.max_episode_steps, *action_shape(self.spec)))
        self._actions = self._actions.astype(action_dtype(self.spec))
        self._obs = np.empty((count, *self.spec.obs_shape), self.spec.obs_dtype)
        with self._watched():
            for i in range(count):
                self._obs[i] = self._reset(i, 0)

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
          SimulatorError: one of them failed; names it and the step.
        """
        actions = as_actions(self.spec, actions, self._lead)
        following = np.empty_like(self._obs)
        reward = np.empty(len(self._envs), np.float32)
        terminated = np.empty(len(self._envs), bool)
        truncated = np.empty(len(self._envs), bool)
        shape, i = self.spec.obs_shape, 0
        self.watch.begin()
        try:
            for i, (env, action) in enumerate(zip(self._envs, as_items(self.spec, actions), strict=True)):
                obs, reward[i], terminated[i], truncated[i], _ = env.step(action)
                following[i] = obs if getattr(obs, "shape", None) == shape else check_shape(self.spec, obs)
        except FAILURES as error:
            raise self._failed(i, self._episode[i], self._length[i] + 1, error) from error
        length, total = self._length + 1, self._return + reward
        truncated = (truncated | (length >= self.spec.max_episode_steps)) & ~terminated
        obs, ended = following.copy(), np.flatnonzero(terminated | truncated).tolist()
        for i in ended:
            obs[i] = self._reset(i, self._episode[i] + 1)
        self.watch.end()
        self._actions[np.arange(len(self._envs)), self._length] = actions
        for i in ended:
            self._last_return[i], self._episode[i] = total[i], self._episode[i] + 1
            length[i], total[i] = 0, 0.0
        before, self._obs, self._length, self._return = self._obs, obs, length, total
        fields = (before, actions, reward, following, terminated, truncated)
        return as_transition([self._split(field) for field in fields])

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
          SimulatorError: one of them failed, or did not come back.
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
        with self._watched():
            for i in range(len(self._envs)):
                self._obs[i] = self._reset(i, self._episode[i])
                self._replay(i, lengths[i], flat["obs"][i])
        self._length, self._obs = lengths, flat["obs"].copy()
        self._return, self._last_return = flat["episode_return"].copy(), flat["last_return"].copy()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """For resets and replays outside of the loops, which watch for themselves."""
        with watching(self.watch, self.spec.id):
            try:
                yield
            finally:
                self.watch.end()

    def _reset(self, i: int, episode: int) -> np.ndarray:
        """The first observation of an episode of environment number i."""
        self.watch.begin()
        try:
            obs, _ = self._envs[i].reset(seed=episode_seed(TRAIN, *self._streams[i], int(episode)))
            return check_shape(self.spec, obs)
        except FAILURES as error:
            raise self._failed(i, episode, 0, error) from error

    def _replay(self, i: int, length: int, expected: np.ndarray) -> None:
        actions, step = as_items(self.spec, self._actions[i, :length]), 0
        try:
            while step < length:
                step += 1
                self.watch.begin()
                self._obs[i] = self._envs[i].step(actions[step - 1])[0]
        except FAILURES as error:
            raise self._failed(i, self._episode[i], step, error) from error
        if not np.array_equal(self._obs[i], expected, equal_nan=self._obs.dtype.kind == "f"):
            raise RuntimeError(
                f"environment '{self.spec.id}' is not deterministic: replaying {length} actions ended at "
                "another observation, so this run cannot resume"
            )

    def _failed(self, i: int, episode: int, step: int, error: BaseException) -> InputError:
        self.watch.end()
        seed, index = self._streams[i]
        what = f"at step {step}" if step else "at the reset"
        return failed(self.spec.id, f"{what} of episode {episode} (seed {seed}, environment {index})", error)

    def _split(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(*self._lead, *array.shape[1:])

    def _join(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, *array.shape[2:])


def _check_leaf(name: str, saved: np.ndarray | None, here: np.ndarray) -> None:
    shape = None if saved is None else np.shape(saved)
    if shape != here.shape:
        raise InputError(f"{name}: found shape {shape} in the state; these environments have {here.shape}")
