"""Arrays of actions and transitions between compiled code and single environments on the host."""

from typing import Any

import numpy as np

from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec, Transition


def as_transition(fields: list[np.ndarray]) -> Transition:
    """Arrays [n, ...] in the order of the fields of a Transition."""
    names = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
    return Transition(**dict(zip(names, fields, strict=True)))


def action_shape(spec: EnvSpec) -> tuple[int, ...]:
    """Of one action."""
    return () if spec.discrete else spec.action_low.shape


def action_dtype(spec: EnvSpec) -> type:
    """Of actions."""
    return np.int32 if spec.discrete else np.float32


def as_actions(spec: EnvSpec, actions: np.ndarray, lead: tuple[int, int]) -> np.ndarray:
    """[R, E, ...] actions as [R*E, ...] in their dtype, the continuous ones within their bounds."""
    expected = (*lead, *action_shape(spec))
    if np.shape(actions) != expected:
        raise InputError(f"actions: found shape {np.shape(actions)}; '{spec.id}' expects {expected}")
    actions = np.asarray(actions, action_dtype(spec)).reshape(-1, *expected[2:])
    return actions.copy() if spec.discrete else np.clip(actions, spec.action_low, spec.action_high)


def as_items(spec: EnvSpec, actions: np.ndarray) -> list:
    """[n, ...] actions one by one for simulators, which may write into what they get: copies."""
    # Python integers: environments look them up in dicts and lists, and step faster on them.
    return actions.tolist() if spec.discrete else list(actions.copy())


def check_shape(spec: EnvSpec, obs: Any) -> Any:
    """The observation itself.

    Raises:
      ValueError: it has another shape than the environment's.
    """
    if np.shape(obs) != spec.obs_shape:
        raise ValueError(f"an observation of shape {np.shape(obs)}; expected {spec.obs_shape}")
    return obs
