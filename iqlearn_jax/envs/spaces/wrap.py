"""Gymnasium environments that show and take what their EnvSpec says."""

from collections.abc import Callable
from typing import Any

import numpy as np

from iqlearn_jax.envs.spaces.own import OwnSpaces
from iqlearn_jax.types import EnvSpec


def in_terms_of(spec: EnvSpec, env: Any) -> Any:
    """The environment with the observations and actions of its spec; itself where those are its own."""
    spaces: OwnSpaces | None = spec.spaces
    if spaces is None:
        return env
    import gymnasium  # imported here: most environments need no wrapper

    if spaces.observation is not None:
        box = gymnasium.spaces.Box(-np.inf, np.inf, spec.obs_shape, np.float32)
        env = gymnasium.wrappers.TransformObservation(env, spaces.flat_obs, box)
    if spaces.action is None:
        return env
    if not spec.discrete:
        box = gymnasium.spaces.Box(spec.action_low, spec.action_high, dtype=np.float32)
        return gymnasium.wrappers.TransformAction(env, spaces.own_actions, box)
    own = _own_action(spec, env.action_space)
    return gymnasium.wrappers.TransformAction(env, own, gymnasium.spaces.Discrete(spec.num_actions))


def _own_action(spec: EnvSpec, space: Any) -> Callable[[int], Any]:
    """(number) -> the environment's own action, an integer or a new array of its dtype."""
    every = spec.spaces.own_actions(np.arange(spec.num_actions))
    if every.ndim == 1:
        return every.tolist().__getitem__
    every = every.astype(space.dtype)
    return lambda number: every[number].copy()  # which simulators may write into
