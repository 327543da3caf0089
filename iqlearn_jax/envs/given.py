"""Environments that are handed over as objects: each gets a name and a way to make more of it."""

import copy
from collections.abc import Callable
from typing import Any

from iqlearn_jax.envs.api import Environment
from iqlearn_jax.envs.registry import GIVEN, register_env
from iqlearn_jax.errors import InputError


def register_object(env: Any) -> str:
    """Registers a gymnasium environment, a function that makes one, or a JAX environment; its name there.

    Raises:
      InputError: something else, or an environment of which there can be no second.
    """
    name, factory = _factory(env)
    register_env(name, factory)
    return name


def _factory(env: Any) -> tuple[str, Callable]:
    """A name for an environment object, and a function that makes more of it."""
    if isinstance(env, Environment):
        return f"{GIVEN}{env.spec.id}", lambda **_: env
    spec = getattr(env, "spec", None)
    if hasattr(env, "reset") and hasattr(env, "action_space") and not isinstance(env, type):
        return f"{GIVEN}{getattr(spec, 'id', type(env).__name__)}", _copies(env)
    if callable(env):
        return f"{GIVEN}{getattr(env, '__name__', type(env).__name__)}", env
    raise InputError(
        f"env is a {type(env).__name__}; expected a name, a gymnasium environment, a function making one, "
        "a JAX environment, or None"
    )


def _copies(env: Any) -> Callable:
    """A function that makes more of one environment: copies, or what its spec makes where it has none."""
    try:
        copy.deepcopy(env)
    except (TypeError, ValueError, RuntimeError) as error:  # simulators outside of Python
        if getattr(env, "spec", None) is None:
            raise InputError(
                f"env is a {type(env).__name__} that cannot be copied ({error}); expected a function that "
                "makes one, e.g. train(lambda: MyEnv(), ...)"
            ) from error
        import gymnasium

        return lambda **_: gymnasium.make(env.spec)
    return lambda **_: copy.deepcopy(env)
