"""One gymnasium environment on the host: how it is made, described and seeded."""

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from iqlearn_jax import errors
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec

DEFAULT_MAX_STEPS = 27_000  # where the registry has no limit: Atari's 30 minutes, at 4 frames a step
FRAMES = 4  # of which an Atari observation consists
TRAIN, EVALUATE = 0, 1  # streams of episode seeds, so that evaluation never replays training's starts

_EXTRAS = {"mujoco": "mujoco", "box2d": "box2d", "ale_py": "atari"}  # by part of the entry point
_idle: dict[str, list[Any]] = {}


def episode_seed(stream: int, run_seed: int, index: int, episode: int) -> int:
    """Seed of one episode: a function of its run, environment and number, and of nothing else."""
    return int(np.random.SeedSequence((stream, run_seed, index, episode)).generate_state(1)[0])


def check_seeds(seeds: Any) -> list[int]:
    """Run seeds as Python integers.

    Raises:
      InputError: none given, or one outside [0, 2^31).
    """
    found = [int(seed) for seed in seeds]
    if not found or min(found) < 0 or max(found) >= 2**31:
        raise InputError(f"seeds: found {found}; expected one or more integers in [0, 2^31)")
    return found


def make_single(env_id: str) -> Any:
    """A gymnasium environment without its time limit (counted by the caller) and without its checkers.

    Atari (ids "ALE/..." and "...NoFrameskip-v4") gets gymnasium's standard preprocessing: up to 30 no-ops
    at the start, 4 frames a step, grey, 84 x 84, the last 4 frames as [84, 84, 4] uint8.

    Raises:
      InputError: unknown id, or a package is not installed.
    """
    gym = _import("gymnasium", env_id, "mujoco")
    atari = is_atari(env_id)
    if atari:
        gym.register_envs(_import("ale_py", env_id, "atari"))
    entry_point = _entry_point(gym, env_id)
    options = {"frameskip": 1} if atari else {}
    try:
        env = gym.make(env_id, max_episode_steps=-1, disable_env_checker=True, **options)
        env = _atari(gym, env) if atari else env
    except (ImportError, gym.error.DependencyNotInstalled) as error:
        extra = next((extra for part, extra in _EXTRAS.items() if part in entry_point), "mujoco")
        raise InputError(f"environment '{env_id}': {error}; pip install iqlearn_jax[{extra}]") from error
    # Ours are always reset before they are stepped; the check costs a call per step.
    return env.env if type(env) is gym.wrappers.OrderEnforcing else env


def read_spec(env_id: str, env: Any) -> EnvSpec:
    """Static facts from the spaces of `env`; float64 observations are kept as float32.

    Raises:
      InputError: an action space other than Discrete (from 0) or a bounded Box of rank 1, or an
        observation space other than Box or Discrete.
    """
    gym = importlib.import_module("gymnasium")
    limit = _registered(gym, env_id).max_episode_steps or DEFAULT_MAX_STEPS
    return read_spaces(env_id, env)._replace(max_episode_steps=limit)


def read_spaces(name: str, env: Any) -> EnvSpec:
    """As `read_spec` for an environment of any name, without its time limit. Raises as `read_spec`."""
    obs_shape, obs_dtype = _obs_kind(name, env.observation_space)
    num_actions, low, high = _action_kind(name, env.action_space)
    return EnvSpec(
        id=name,
        obs_shape=obs_shape,
        obs_dtype=obs_dtype,
        num_actions=num_actions,
        action_low=low,
        action_high=high,
        max_episode_steps=DEFAULT_MAX_STEPS,
        frame_stack=FRAMES if is_atari(name) else 1,
    )


def is_atari(env_id: str) -> bool:
    """Whether an id names an Atari game, which gets the standard preprocessing."""
    return env_id.startswith("ALE/") or "NoFrameskip" in env_id


@contextmanager
def borrowed(env_id: str, count: int) -> Iterator[list[Any]]:
    """Lends `count` environments that are kept for the next caller: making one costs up to 0.1 s.

    They come back in any state, so reset them with a seed.
    """
    idle = _idle.setdefault(env_id, [])
    envs = [idle.pop() if idle else make_single(env_id) for _ in range(count)]
    try:
        yield envs
    finally:
        idle.extend(envs)


def _import(module: str, env_id: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"environment '{env_id}' needs {module} ({error}): pip install iqlearn_jax[{extra}]"
        ) from error


def _entry_point(gym: Any, env_id: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # older versions are a choice: v4 is what papers report
            return str(_registered(gym, env_id).entry_point)
    except gym.error.Error as error:
        raise errors.unknown("gymnasium environment", env_id, gym.registry) from error


def _registered(gym: Any, env_id: str) -> Any:
    """What gymnasium has under an id; "module:id" is registered when that module is imported.

    Raises:
      InputError: no such module.
    """
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f"environment '{env_id}': {error}; expected a module on Python's path that registers '{name}'; "
            "set PYTHONPATH to its folder"
        ) from error
    return gym.spec(name)


def _atari(gym: Any, env: Any) -> Any:
    logging.getLogger("ale_py").setLevel(logging.ERROR)
    frames = gym.wrappers.FrameStackObservation(gym.wrappers.AtariPreprocessing(env), FRAMES)
    space = gym.spaces.Box(0, 255, (84, 84, FRAMES), np.uint8)
    return gym.wrappers.TransformObservation(frames, lambda obs: np.moveaxis(obs, 0, -1), space)


def _obs_kind(env_id: str, space: Any) -> tuple[tuple[int, ...], np.dtype]:
    kind = type(space).__name__
    if kind == "Discrete":
        return (), np.dtype(np.int32)
    if kind != "Box":
        raise InputError(f"environment '{env_id}': observation space {space}; expected Box or Discrete")
    return space.shape, np.dtype(np.float32) if space.dtype == np.float64 else space.dtype


def _action_kind(env_id: str, space: Any) -> tuple[int | None, np.ndarray | None, np.ndarray | None]:
    kind = type(space).__name__
    if kind == "Discrete" and space.start == 0:
        return int(space.n), None, None
    if kind != "Box" or len(space.shape) != 1 or not space.is_bounded():
        raise InputError(
            f"environment '{env_id}': action space {space}; expected Discrete from 0 or bounded Box of rank 1"
        )
    return None, space.low.astype(np.float32), space.high.astype(np.float32)
