"""The few records that every layer shares."""

from typing import Any, NamedTuple

import jax
import numpy as np
from flax import struct

Metrics = dict[str, jax.Array]
Hparams = dict[str, Any]  # traced leaves: rates, temperature, gamma, alpha, observation statistics


@struct.dataclass(kw_only=True)
class Transition:
    """What happened in one environment step (or a batch of them, with any leading axes).

    Only facts are stored; the discount is derived from them in one place (`discount`).
    `terminated` is a true end of the task, `truncated` a cut (time limit): the latter bootstraps.
    """

    obs: jax.Array  # [..., *obs_shape]
    action: jax.Array  # [...] int32, or [..., action_dim] float in the environment's own units
    reward: jax.Array  # [...] float32; only forward RL and evaluation may read it
    next_obs: jax.Array  # [..., *obs_shape] the true successor, also at the end of an episode
    terminated: jax.Array  # [...] bool
    truncated: jax.Array  # [...] bool


@struct.dataclass(kw_only=True)
class Batch:
    """What one update learns from.

    Attributes:
      policy: transitions of the learner, or None offline.
      expert: transitions of the demonstrations, or None for plain RL.
      initial: [B, *obs_shape] start observations for (1-γ)E_ρ0[V(s0)], or None.
    """

    policy: Transition | None = None
    expert: Transition | None = None
    initial: jax.Array | None = None


class EnvSpec(NamedTuple):
    """Static facts of an environment.

    Attributes:
      id: name, e.g. "CartPole-v1".
      obs_shape: shape of one observation; () with an integer dtype for tabular states.
      obs_dtype: NumPy dtype of observations.
      num_actions: number of discrete actions, or None.
      action_low, action_high: [action_dim] bounds of continuous actions, or None.
      max_episode_steps: time limit, in steps.
      mdp: exact model (`ops.tabular.MDP`) where there is one.
    """

    id: str
    obs_shape: tuple[int, ...]
    obs_dtype: np.dtype
    num_actions: int | None
    action_low: np.ndarray | None
    action_high: np.ndarray | None
    max_episode_steps: int
    mdp: Any = None

    @property
    def discrete(self) -> bool:
        return self.num_actions is not None


def discount(gamma: jax.Array | float, terminated: jax.Array) -> jax.Array:
    """The only place where a discount is derived: γ(1 − terminated). [B]"""
    return gamma * (1.0 - terminated.astype(np.float32))
