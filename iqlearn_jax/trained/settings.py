"""What is said in Python (names with underscores, objects) as a configuration and its environment."""

import copy
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from iqlearn_jax.config.files import load_config
from iqlearn_jax.config.schema import FEEDS
from iqlearn_jax.config.values import assign, base_config
from iqlearn_jax.data.demos import Demos
from iqlearn_jax.envs.given import register_object
from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.registry import handle_from_spec, open_env
from iqlearn_jax.envs.spaces import spec_from_spaces
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import METHODS, check_keys
from iqlearn_jax.training.problem import concrete
from iqlearn_jax.types import EnvSpec

P = ParamSpec("P")
T = TypeVar("T")


def in_python(function: Callable[P, T]) -> Callable[P, T]:
    """The function with errors whose remedies are arguments in Python, not on the command line.

    Messages are written for the command line (`--config.feed=replay`, `--workdir=run`).
    """

    @wraps(function)
    def translated(*args: P.args, **named: P.kwargs) -> T:
        try:
            return function(*args, **named)
        except InputError as error:
            error.args = (re.sub(r"--(?:config\.)?([a-z_.]+)", _argument, str(error)),)
            raise

    return translated


def _argument(flag: re.Match[str]) -> str:
    """`--config.online.capacity` -> `online__capacity`; what has no argument stays, as the command it is."""
    name = flag[1].rstrip(".")
    if flag[0].startswith("--config."):
        return name.replace(".", "__") + flag[1][len(name) :]
    return name if name in ("workdir", "demos", "at") else flag[0]


def configured(
    config: Any, env: Any, spaces: Any, demos: Any, method: str | None, settings: Mapping[str, Any]
) -> tuple[Any, EnvHandle]:
    """The configuration with everything that was said, and its environment."""
    if config is None or isinstance(config, str):
        config = base_config() if config is None else load_config(config)
    config = copy.deepcopy(config)
    apply_settings(config, method, settings)
    if "updates" in settings:
        _fit_schedule(config, settings)
    if demos is not None and not isinstance(demos, Demos):
        config.demos.path = str(demos)
    return _with_environment(config, env, spaces)


def dotted(settings: Mapping[str, Any]) -> list[str]:
    """Configuration keys as they are written in files: Python's keywords have two underscores for a dot."""
    return [name.replace("__", ".") for name in settings]


def apply_settings(config: Any, method: str | None, settings: Mapping[str, Any]) -> None:
    """The method and the settings that were asked for; unless one is named, a feed that the method has."""
    names = dotted(settings)
    for name, value in zip(names, settings.values(), strict=True):
        assign(config, name, value)
    if method is not None:
        config.method = method
    feeds = METHODS[config.method].feeds
    if "feed" not in settings and config.feed not in feeds:
        config.feed = next(feed for feed in FEEDS if feed in feeds)
    check_keys(config, names)


def _fit_schedule(config: Any, settings: Mapping[str, Any]) -> None:
    """Intervals that were not asked for become the nearest that divide `updates`."""
    if "log_every" not in settings:
        unit = config.online.updates_per_step if config.feed == "replay" else 1
        steps = range(min(config.log_every, config.updates) // unit * unit, 0, -unit)
        config.log_every = next((step for step in steps if config.updates % step == 0), config.log_every)
    for name in ("eval_every", "checkpoint_every", "snapshot_every"):
        if name not in settings and config[name]:
            config[name] = max(1, round(config[name] / config.log_every)) * config.log_every


def _with_environment(config: Any, env: Any, spaces: Any) -> tuple[Any, EnvHandle]:
    """The configuration that names the environment, and the environment itself."""
    if env is None:
        if spaces is None:
            raise InputError("env is None; expected spaces=(observation_space, action_space) beside it")
        spec = spaces if isinstance(spaces, EnvSpec) else spec_from_spaces(*spaces)
        config.env.update({"id": spec.id, "backend": "none"})
        return concrete(config), handle_from_spec(spec)
    if isinstance(env, str):
        config.env.id = env
    else:
        config.env.update({"id": register_object(env), "backend": "registered"})
    config = concrete(config)
    return config, open_env(config.env)
