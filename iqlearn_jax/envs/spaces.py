"""Gymnasium spaces as an EnvSpec."""

from typing import Any

import numpy as np

from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec

DEFAULT_MAX_STEPS = 27_000  # where nothing says more: Atari's 30 minutes, at 4 frames a step
FRAMES = 4  # of which an Atari observation consists


def spec_from_spaces(
    observation_space: Any, action_space: Any, id: str = "none", max_episode_steps: int = DEFAULT_MAX_STEPS
) -> EnvSpec:
    """Static facts of an environment from gymnasium spaces; float64 observations are kept as float32.

    Args:
      observation_space: Box, or Discrete.
      action_space: Discrete from 0, or a bounded Box of rank 1.
      id: name of the environment.
      max_episode_steps: time limit, in steps.
    Raises:
      InputError: other spaces.
    """
    obs_shape, obs_dtype = _obs_kind(id, observation_space)
    num_actions, low, high = _action_kind(id, action_space)
    return EnvSpec(
        id=id,
        obs_shape=obs_shape,
        obs_dtype=obs_dtype,
        num_actions=num_actions,
        action_low=low,
        action_high=high,
        max_episode_steps=max_episode_steps,
        frame_stack=FRAMES if is_atari(id) else 1,
    )


def is_atari(env_id: str) -> bool:
    """Whether an id names an Atari game, which gets the standard preprocessing."""
    return env_id.startswith("ALE/") or "NoFrameskip" in env_id


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
