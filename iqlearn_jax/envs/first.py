"""One reset and one step of a new environment, compared with what it declares, before anything is learned."""

import re
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from absl import logging

from iqlearn_jax.envs.failing import Hung, asked
from iqlearn_jax.errors import InputError, SimulatorError
from iqlearn_jax.types import EnvSpec

MASK = "action_mask"
TRIES = 16  # starts among which a masked action is looked for
STEP = "(observation, reward, terminated, truncated, info)"


def check_first(spec: EnvSpec, env: Any) -> None:
    """Refuses what does not keep to gymnasium's interface or its own spaces; of less, a warning each.

    Args:
      spec: of its spaces.
      env: a new one, with its own observations and actions; afterwards it is in any state.
    Raises:
      InputError: names the environment, what it returned and what was expected.
      SimulatorError: it raised, or did not come back.
    """
    from gymnasium.utils import passive_env_checker as gymnasiums

    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        reset = _asked(spec, "reset", lambda: gymnasiums.env_reset_passive_checker(env, seed=0))
        obs, info = _unpacked(spec, "reset", reset, 2, "(observation, info)")
        _check_obs(spec, "reset", env.observation_space, obs)
        action = _allowed(spec, info)
        step = _asked(spec, "step", lambda: gymnasiums.env_step_passive_checker(env, action))
        obs, reward, *ends, _ = _unpacked(spec, "step", step, 5, STEP)
        _check_obs(spec, "step", env.observation_space, obs)
        _check_numbers(spec, reward, ends)
        if isinstance(info, Mapping) and MASK in info:
            _check_mask(spec, env)
    _tell(spec, noted)


def _asked(spec: EnvSpec, what: str, ask: Callable[[], Any]) -> Any:
    with asked(spec.id, f"at its first {what}"):
        return ask()


def _unpacked(spec: EnvSpec, what: str, result: Any, count: int, expected: str) -> tuple:
    if type(result) is tuple and len(result) == count:
        return result
    found = f"{len(result)} values" if type(result) is tuple else f"a {type(result).__name__}"
    raise InputError(
        f"environment '{spec.id}': {what}() returned {found}; expected {expected} (gymnasium's interface)"
    )


def _check_obs(spec: EnvSpec, what: str, space: Any, obs: Any) -> None:
    differs = _difference(space, obs, "the observation")
    if differs:
        raise InputError(
            f"environment '{spec.id}': {what}() returned {differs}; return what observation_space declares, "
            "or declare what it returns"
        )


def _difference(space: Any, obs: Any, name: str) -> str | None:
    """In words, how a value's structure or shape differs from its space."""
    inner = getattr(space, "spaces", None)
    if inner is None:
        shape = np.shape(obs) if not isinstance(obs, Mapping) else "a dictionary"
        return None if shape == space.shape else f"{name} with shape {shape}, declared {space.shape}"
    pairs = list(inner.items() if isinstance(inner, Mapping) else enumerate(inner))
    sized = isinstance(obs, tuple | list)
    keys = obs.keys() if isinstance(obs, Mapping) else range(len(obs)) if sized else ()
    if set(keys) != {key for key, _ in pairs}:
        return f"{name} with entries {list(keys)}, declared {[key for key, _ in pairs]}"
    found = (_difference(space, obs[key], f"{name} [{key!r}]") for key, space in pairs)
    return next((text for text in found if text), None)


def _check_numbers(spec: EnvSpec, reward: Any, ends: list) -> None:
    _check_number(spec, "reward", reward, "biuf", "float")
    for name, end in zip(("terminated", "truncated"), ends, strict=True):
        _check_number(spec, name, end, "biu", "bool")


def _check_number(spec: EnvSpec, name: str, value: Any, kinds: str, cast: str) -> None:
    array = np.asarray(value)
    if array.ndim == 0 and array.dtype.kind in kinds:
        return
    found = f"an array of shape {array.shape}" if array.ndim else f"{value!r}, a {type(value).__name__}"
    raise InputError(
        f"environment '{spec.id}': step() gave as {name} {found}; expected one number: return {cast}({name})"
    )


def own_action(spec: EnvSpec, number: int) -> Any:
    """Discrete action of that number, or the middle of the box, as the environment takes it."""
    if not spec.discrete:
        middle = np.asarray(0.5 * spec.action_low + 0.5 * spec.action_high, np.float32)
        return middle if spec.spaces is None else spec.spaces.own_actions(middle)
    own = number if spec.spaces is None else spec.spaces.own_actions(np.int32(number))
    return int(own) if np.ndim(own) == 0 else own


def _allowed(spec: EnvSpec, info: Any) -> Any:
    mask = _mask(spec, info)
    return own_action(spec, 0 if mask is None or not mask.any() else int(np.argmax(mask)))


def _mask(spec: EnvSpec, info: Any) -> np.ndarray | None:
    """[num_actions] bool, where the environment gives one of that size."""
    mask = info.get(MASK) if isinstance(info, Mapping) else None
    if mask is None or isinstance(mask, tuple | Mapping) or np.size(mask) != spec.num_actions:
        return None
    return np.ravel(mask).astype(bool)


def _check_mask(spec: EnvSpec, env: Any) -> None:
    """Refuses an environment that does not take the actions that its mask forbids."""
    for seed in range(TRIES):
        mask = _mask(spec, _asked(spec, "resets", partial(env.reset, seed=seed))[1])
        if mask is None or mask.all():
            continue
        _try_forbidden(spec, env, own_action(spec, int(np.argmin(mask))))
        break
    logging.warning(
        "environment '%s' gives info['%s'], which nothing here reads: policies may choose what it forbids",
        spec.id, MASK,
    )  # fmt: skip


def _try_forbidden(spec: EnvSpec, env: Any, action: Any) -> None:
    try:
        _asked(spec, "masked action", lambda: env.step(action))
    except SimulatorError as error:
        cause = error.__cause__
        if isinstance(cause, Hung):
            raise
        said = " ".join(f"{type(cause).__name__}: {cause}".split())[:120]
        raise InputError(
            f"environment '{spec.id}' refuses actions that info['{MASK}'] forbids ({said}); no method "
            "here reads masks: let a wrapper (--config.env.wrappers) allow for that"
        ) from error


def _tell(spec: EnvSpec, noted: list) -> None:
    """What gymnasium's checker found, a line each; other warnings go on to where they would have gone."""
    for message in dict.fromkeys(str(each.message) for each in noted if "WARN: " in str(each.message)):
        text = re.sub(r"\x1b\[[0-9;]*m", "", message).removeprefix("WARN: ")
        logging.warning("environment '%s': %s", spec.id, " ".join(text.split()))
    for each in noted:
        if "WARN: " not in str(each.message):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
