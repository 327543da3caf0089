"""Environments of gymnasium's registry: how one is found, made and wrapped."""

import importlib
import importlib.util
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from iqlearn_jax import errors
from iqlearn_jax.envs.failing import FAILURES, asked, failed
from iqlearn_jax.envs.first import check_first
from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.spaces import DEFAULT_MAX_STEPS, FRAMES, in_terms_of, is_atari, spec_from_spaces
from iqlearn_jax.errors import InputError

_EXTRAS = {"mujoco": "mujoco", "box2d": "box2d", "ale_py": "atari"}  # by part of the entry point
_PACKAGES = {"mujoco": "mujoco", "box2d": "Box2D"}  # that environments of gymnasium itself need


def find_entry(env_id: str) -> tuple[Any, Any]:
    """What gymnasium's registry holds under an id, and the class or function that this stands for now.

    An id "module:Name-v0" is registered when that module is imported.

    Raises:
      InputError: unknown id, no such module, or a package is not installed.
    """
    import gymnasium as gym

    if is_atari(env_id):
        gym.register_envs(_import_atari(env_id))
    module, _, name = env_id.rpartition(":")
    if module:
        _import_module(module, env_id)
    try:
        entry = gym.spec(name)
    except gym.error.Error as error:
        raise errors.unknown("gymnasium environment", env_id, gym.registry) from error
    return entry, _creator(gym, env_id, entry)


def open_gymnasium(
    env_id: str, entry: Any, kwargs: dict[str, Any], wrappers: Sequence[Callable], limit: int | None = None
) -> EnvHandle:
    """The environment of an entry of gymnasium's registry, whatever is registered under its id later.

    Atari (ids "ALE/..." and "...NoFrameskip-v4") gets gymnasium's standard preprocessing: up to 30 no-ops
    at the start, 4 frames a step, grey, 84 x 84, the last 4 frames as [84, 84, 4] uint8.

    Args:
      kwargs: of `gymnasium.make`.
      wrappers: applied to each new environment, innermost first.
      limit: time limit in steps, None for the entry's.
    Raises:
      InputError: a package is not installed, keyword arguments that it does not take, or as `open_host`.
    """
    make = partial(_make, env_id, entry, kwargs)
    with asked(env_id, "when it was made"):
        first = make()
    return open_host(env_id, "gymnasium", make, wrappers, limit or entry.max_episode_steps, first)


def open_host(
    name: str,
    backend: str,
    make: Callable[[], Any],
    wrappers: Sequence[Callable],
    limit: int | None,
    first: Any,
) -> EnvHandle:
    """A handle of gymnasium environments, which show and take what its spec says.

    Args:
      make: () -> a new one, without the wrappers.
      limit: time limit in steps; None for that of a `TimeLimit` around it, else `DEFAULT_MAX_STEPS`.
      first: one that was made, whose spaces are those of all. It is tried by one reset and step.
    Raises:
      InputError: unusable spaces, or an environment that does not keep to them or to gymnasium's interface.
    """
    with asked(name, "when it was wrapped"):
        first = _wrap(first, wrappers)
    limit = limit or _time_limit(first) or DEFAULT_MAX_STEPS
    spec = spec_from_spaces(first.observation_space, first.action_space, name, limit)
    check_first(spec, first)
    idle = [in_terms_of(spec, first)]
    return EnvHandle(spec, backend, make=lambda: in_terms_of(spec, _wrap(make(), wrappers)), _idle=idle)


def _time_limit(env: Any) -> int | None:
    """That of a `TimeLimit` among an environment's wrappers."""
    while env is not None:
        if type(env).__name__ == "TimeLimit":
            return env._max_episode_steps
        env = getattr(env, "env", None)
    return None


def installed() -> list[str]:
    """Ids of gymnasium's registry whose packages are installed; of Atari's those of ALE."""
    import gymnasium as gym

    if importlib.util.find_spec("ale_py"):
        gym.register_envs(importlib.import_module("ale_py"))
    return sorted(name for name, entry in gym.registry.items() if _can_be_made(entry))


def is_known(env_id: str) -> bool:
    """Whether gymnasium has an id, or may once the id's module is imported or ale_py installed."""
    import gymnasium as gym

    return ":" in env_id or is_atari(env_id) or env_id in gym.registry


def _can_be_made(entry: Any) -> bool:
    text = str(entry.entry_point)
    older = "_raise_" in text or ("ale_py" in text and not entry.id.startswith("ALE/"))
    needed = [package for part, package in _PACKAGES.items() if f"gymnasium.envs.{part}" in text]
    return not older and all(importlib.util.find_spec(package) for package in needed)


def _make(env_id: str, entry: Any, kwargs: dict[str, Any]) -> Any:
    """An environment without its time limit (counted by the caller) and without gymnasium's checkers."""
    import gymnasium as gym

    options = {"frameskip": 1} if is_atari(env_id) else {}
    try:
        env = gym.make(entry, max_episode_steps=-1, disable_env_checker=True, **options | kwargs)
        env = _atari(gym, env) if is_atari(env_id) else env
    except (ImportError, gym.error.DependencyNotInstalled) as error:
        raise _not_installed(env_id, entry, error) from error
    except TypeError as error:
        if not kwargs:
            raise
        raise InputError(f"environment '{env_id}' with env.kwargs {kwargs}: {error}") from error
    except FAILURES as error:
        raise failed(env_id, "when it was made", error) from error
    # Ours are always reset before they are stepped; the check costs a call per step.
    return env.env if type(env) is gym.wrappers.OrderEnforcing else env


def _wrap(env: Any, wrappers: Sequence[Callable]) -> Any:
    for wrapper in wrappers:
        env = wrapper(env)
    return env


def _creator(gym: Any, env_id: str, entry: Any) -> Any:
    if not isinstance(entry.entry_point, str):
        return entry.entry_point
    try:
        return gym.envs.registration.load_env_creator(entry.entry_point)
    except (ImportError, gym.error.DependencyNotInstalled) as error:
        raise _not_installed(env_id, entry, error) from error


def _not_installed(env_id: str, entry: Any, error: Exception) -> InputError:
    text = str(entry.entry_point)
    extra = next((extra for part, extra in _EXTRAS.items() if part in text), "mujoco")
    return InputError(f"environment '{env_id}': {error}; pip install iqlearn_jax[{extra}]")


def _import_atari(env_id: str) -> Any:
    try:
        return importlib.import_module("ale_py")
    except ImportError as error:
        raise InputError(
            f"environment '{env_id}' needs ale_py ({error}): pip install iqlearn_jax[atari]"
        ) from error


def _import_module(module: str, env_id: str) -> None:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f"environment '{env_id}': {error}; expected a module on Python's path that registers it; set "
            "PYTHONPATH to its folder"
        ) from error


def _atari(gym: Any, env: Any) -> Any:
    logging.getLogger("ale_py").setLevel(logging.ERROR)
    frames = gym.wrappers.FrameStackObservation(gym.wrappers.AtariPreprocessing(env), FRAMES)
    space = gym.spaces.Box(0, 255, (84, 84, FRAMES), np.uint8)
    return gym.wrappers.TransformObservation(frames, lambda obs: np.moveaxis(obs, 0, -1), space)
