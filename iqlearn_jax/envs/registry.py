"""Environments by name: which backend has one, how it is opened, and those that users register."""

import dataclasses
import difflib
import importlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from iqlearn_jax import errors
from iqlearn_jax.envs import gymnasium, gymnax
from iqlearn_jax.envs.api import Environment
from iqlearn_jax.envs.failing import asked
from iqlearn_jax.envs.gridworld import EXAMPLES, is_gridworld, make_gridworld
from iqlearn_jax.envs.gymnax import from_gymnax
from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.spaces import spec_from_spaces
from iqlearn_jax.envs.traced import check_traced
from iqlearn_jax.errors import Catalogue, InputError
from iqlearn_jax.types import EnvSpec

__all__ = [
    "BRAX_BACKENDS", "DEVICE_BACKENDS", "ENVIRONMENTS", "EnvHandle", "from_gymnax", "handle_from_spec",
    "list_envs", "open_by_name", "open_env", "register_env", "resolve_backend", "spec_from_spaces",
]  # fmt: skip

GIVEN = "given:"  # begins the names of environments that are objects, not names
BRAX_BACKENDS = ("spring", "positional", "generalized", "mjx")
DEVICE_BACKENDS = ("gymnax", "gridworld", *BRAX_BACKENDS)
BACKENDS = (*DEVICE_BACKENDS, "gymnasium", "registered")

ENVIRONMENTS: Catalogue[Callable[..., Any]] = Catalogue("registered environment", {})  # factories by name
_OPENED: dict[tuple, tuple[tuple, EnvHandle]] = {}  # by arguments: what they stood for then, and the handle


def register_env(name: str, factory: Callable[..., Any]) -> None:
    """Makes an environment known by name; registering again replaces it, also where it was opened before.

    Args:
      name: for `env.id`; it comes before those of other backends where `env.backend` is "auto".
      factory: (**env.kwargs) -> an `Environment` of pure functions or an object in gymnax's style, for the
        device, or a new `gymnasium.Env` at each call, for the host. A class will do.
    Raises:
      InputError: a factory that cannot be called.
    """
    if not callable(factory):
        raise InputError(
            f"environment '{name}' is a {type(factory).__name__}; expected a function or class that makes "
            "it, e.g. register_env(name, lambda: Walk())"
        )
    ENVIRONMENTS.register(name, factory)


def open_env(env_config: Any) -> EnvHandle:
    """As `open_by_name`, for a configuration's `env`: id, backend, kwargs (JSON) and wrappers."""
    kwargs = json.loads(env_config.kwargs)
    return open_by_name(env_config.id, env_config.backend, kwargs, env_config.wrappers)


def open_by_name(
    env_id: str, backend: str = "auto", kwargs: Mapping[str, Any] | None = None, wrappers: Sequence[str] = ()
) -> EnvHandle:
    """Opens an environment; the same arguments give the same handle while they stand for the same class.

    Args:
      env_id: "CartPole-v1" (gymnax, gymnasium), "Gridworld-8x8" (gridworld), "hopper" (brax), or registered.
      backend: as `EnvHandle.backend`, or "auto" (`resolve_backend`).
      kwargs: keyword arguments of what makes it there, of types that JSON has. `max_episode_steps` is the
        time limit with every backend; only factories that name it receive it.
      wrappers: gymnasium wrappers, innermost first, each "module:Name"; on the host only.
    Raises:
      InputError: unknown name or backend, a package not installed, unusable spaces, arguments or wrappers,
        or an environment that does not keep to what it declares.
      SimulatorError: it failed when it was made or tried.
    """
    backend = resolve_backend(env_id, backend)
    entry, classes = _entry(env_id, backend), tuple(map(_import_wrapper, wrappers))
    key = env_id, backend, json.dumps(dict(kwargs or {}), sort_keys=True), tuple(wrappers)
    before, handle = _OPENED.get(key, ((), None))
    if handle is None or not _same(before, entry + classes):
        handle = _open(env_id, backend, entry, dict(kwargs or {}), classes)
        _OPENED[key] = entry + classes, handle
    return handle


def _same(before: tuple, now: tuple) -> bool:
    return len(before) == len(now) and all(a is b for a, b in zip(before, now, strict=True))


def handle_from_spec(spec: EnvSpec) -> EnvHandle:
    """An environment of which nothing but its spaces is known; enough to learn offline."""
    return EnvHandle(spec, "none")


def resolve_backend(env_id: str, backend: str = "auto") -> str:
    """The backend that has an environment; one by name stays as it is.

    "auto" means a registered one, else the device's (gymnax, gridworld), else gymnasium. brax has several
    pipelines for one name, so its are chosen by hand.

    Raises:
      InputError: no such backend; with "auto" also a name that none of them has.
    """
    if backend not in ("auto", "none", *BACKENDS):
        raise errors.unknown("environment backend", backend, ("auto", *BACKENDS))
    if backend != "auto":
        return backend
    for name, knows in _KNOWS.items():
        if knows(env_id):
            return name
    raise _unknown(env_id)


def list_envs() -> dict[str, list[str]]:
    """Names of all environments whose packages are installed, by backend; brax's pipelines share theirs."""
    from iqlearn_jax.envs import brax

    names = {"registered": sorted(ENVIRONMENTS), "gymnax": gymnax.installed(), "gridworld": list(EXAMPLES)}
    names |= {backend: brax.installed() for backend in BRAX_BACKENDS}
    return names | {"gymnasium": gymnasium.installed()}


_KNOWS: dict[str, Callable[[str], bool]] = {
    "registered": lambda env_id: env_id in ENVIRONMENTS,
    "gymnax": lambda env_id: env_id in gymnax.installed(),
    "gridworld": is_gridworld,
    "gymnasium": gymnasium.is_known,
}


def _unknown(env_id: str) -> InputError:
    names = list_envs()
    if env_id in names[BRAX_BACKENDS[0]]:
        return InputError(
            f"environment '{env_id}' is brax's, which has several pipelines; set env.backend to one of "
            f"{', '.join(BRAX_BACKENDS)}"
        )
    every = sorted({name for group in names.values() for name in group})
    near = difflib.get_close_matches(env_id, every, n=5, cutoff=0.5)
    hint = (
        f"did you mean {', '.join(near)}?" if near else "'iqlearn list envs' shows those that are installed"
    )
    return InputError(f"unknown environment '{env_id}'; {hint}")


def _entry(env_id: str, backend: str) -> tuple:
    """The objects that a name stands for at this moment."""
    if backend == "registered":
        return (_factory(env_id),)
    if backend == "gymnasium":
        return gymnasium.find_entry(env_id)
    if backend in BRAX_BACKENDS:
        from iqlearn_jax.envs.brax import find_brax

        return (find_brax(env_id),)
    return ()


def _factory(name: str) -> Callable[..., Any]:
    if name not in ENVIRONMENTS and name.startswith(GIVEN):
        raise InputError(
            f"environment '{name}' was an object of the program that trained; name one of the same spaces, "
            f"e.g. iqlearn evaluate --env=NAME, or call register_env('{name}', make_it) first"
        )
    if name not in ENVIRONMENTS:
        raise InputError(
            f"environment '{name}' is not registered here ({', '.join(ENVIRONMENTS) or 'none is'}); import "
            "the module that calls register_env, e.g. --import=my_envs.py"
        )
    return ENVIRONMENTS[name]


def _open(env_id: str, backend: str, entry: tuple, kwargs: dict[str, Any], wrappers: tuple) -> EnvHandle:
    limit = kwargs.get("max_episode_steps")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise InputError(
            f"env.kwargs: max_episode_steps is {limit!r}; expected a whole number of steps, 1 or more"
        )
    if backend != "registered" or not _takes(entry[0], "max_episode_steps"):
        kwargs.pop("max_episode_steps", None)
    if backend == "gymnasium":
        handle = gymnasium.open_gymnasium(env_id, entry[0], kwargs, wrappers, limit)
    elif backend == "registered":
        handle = _open_registered(env_id, entry[0], kwargs, wrappers, limit)
    else:
        device = _make_device(env_id, backend, kwargs)
        handle = EnvHandle(device.spec, backend, device)
    if handle.device is not None and wrappers:
        raise InputError(
            f"env.wrappers are gymnasium's, but '{env_id}' is simulated on the device (backend "
            f"'{backend}'); leave them out, or set env.backend=gymnasium where it has '{env_id}' too"
        )
    if handle.device is not None and backend == "registered":  # others are the suites' own
        check_traced(handle.device)
    return handle if limit is None else _limited(handle, limit)


def _make_device(env_id: str, backend: str, kwargs: dict[str, Any]) -> Environment:
    if backend == "none":
        raise InputError(
            f"environment '{env_id}' has no simulator (env.backend is 'none'), so it cannot be opened"
        )
    if backend == "gymnax":
        return gymnax.make_gymnax(env_id, **kwargs)
    if backend == "gridworld":
        if kwargs:
            raise InputError(f"env.kwargs are {kwargs}; gridworlds take none but max_episode_steps")
        return make_gridworld(env_id)
    from iqlearn_jax.envs.brax import make_brax

    return make_brax(env_id, backend, **kwargs)


def _open_registered(
    name: str, factory: Callable, kwargs: dict[str, Any], wrappers: tuple, limit: int | None
) -> EnvHandle:
    env = _call(name, factory, kwargs)
    pair = env if type(env) is tuple and len(env) == 2 else (env, None)  # as gymnax.make returns it
    if gymnax.is_gymnax(pair[0]):
        env = from_gymnax(pair[0], pair[1], name)
    if isinstance(env, Environment):
        return EnvHandle(env.spec, "registered", env)
    from gymnasium import Env

    if not isinstance(env, Env):
        raise InputError(
            f"environment '{name}': its factory returned a {type(env).__name__}; expected an Environment, a "
            "gymnasium.Env or an object in gymnax's style"
        )
    limit = limit or (None if env.spec is None else env.spec.max_episode_steps)
    make = partial(_call, name, factory, kwargs)
    return gymnasium.open_host(name, "registered", make, wrappers, limit, first=env)


def _call(name: str, factory: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
    try:
        inspect.signature(factory).bind(**kwargs)
    except TypeError as error:
        raise InputError(f"environment '{name}' with env.kwargs {kwargs}: {error}") from error
    except ValueError:  # no signature to be had
        pass
    with asked(name, "when it was made"):
        return factory(**kwargs)


def _takes(factory: Callable[..., Any], argument: str) -> bool:
    try:
        return argument in inspect.signature(factory).parameters
    except ValueError:
        return False


def _limited(handle: EnvHandle, limit: int) -> EnvHandle:
    spec = handle.spec._replace(max_episode_steps=limit)
    device = None if handle.device is None else handle.device._replace(spec=spec)
    return dataclasses.replace(handle, spec=spec, device=device)


def _import_wrapper(name: str) -> Callable:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, ValueError, AttributeError) as error:
        raise InputError(
            f"env.wrappers: '{name}': {error}; expected 'module:Name', e.g. "
            "gymnasium.wrappers:FlattenObservation"
        ) from error
