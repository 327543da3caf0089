"""Environments whose observations are relative to an origin, where float32 could not hold them otherwise."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.types import EnvSpec


class Relative:
    """A gymnasium environment that gives `spec.relative` of its observations; all else is the inner one's."""

    def __init__(self, env: Any, spec: EnvSpec):
        self._env, self._spec = env, spec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def reset(self, **options: Any) -> tuple[NDArray, dict[str, Any]]:
        """As the environment's."""
        obs, info = self._env.reset(**options)
        return self._spec.relative(np.asarray(obs)), info

    def step(self, action: Any) -> tuple:
        """As the environment's."""
        obs, *rest = self._env.step(action)
        return self._spec.relative(np.asarray(obs)), *rest


def with_origin(handle: EnvHandle, origin: NDArray | None) -> EnvHandle:
    """The environment on the host, or what is known of one, with observations relative to `origin` [D]."""
    if origin is None:
        return handle
    spec, make = handle.spec._replace(obs_origin=origin), handle.make
    relative = None if make is None else lambda: Relative(make(), spec)
    return dataclasses.replace(handle, spec=spec, make=relative, _idle=[])


def in_float64(handle: EnvHandle) -> EnvHandle:
    """The environment on the host with vectors as it gives them, before they are cast."""
    if handle.make is None or len(handle.spec.obs_shape) != 1 or handle.spec.obs_dtype != np.float32:
        return handle
    return dataclasses.replace(handle, spec=handle.spec._replace(obs_dtype=np.dtype(np.float64)))
