"""The few records that every layer shares."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

Array = Any  # jax.Array in compiled code, numpy.ndarray on the host
Metrics = dict[str, Array]
Hparams = dict[str, Any]  # traced leaves: rates, temperature, gamma, alpha, observation statistics

PICTURE = 20  # entries of both axes at which a table of numbers is taken for an image


class Transition(struct.PyTreeNode, kw_only=True):
    """What happened in one environment step (or a batch of them, with any leading axes).

    Only facts are stored; the discount is derived from them in one place (`discount`).
    `terminated` is a true end of the task, `truncated` a cut (time limit): the latter bootstraps.
    """

    obs: Array  # [..., *obs_shape]
    action: Array  # [...] int32, or [..., action_dim] float in the environment's own units
    reward: Array  # [...] float32; only forward RL and evaluation may read it
    next_obs: Array  # [..., *obs_shape] the true successor, also at the end of an episode
    terminated: Array  # [...] bool
    truncated: Array  # [...] bool


class RoundTransition(Transition, kw_only=True):
    """A transition that knows when it was collected; a type of its own, so that others hold no such array."""

    round: Array  # [...] int32 round of learning


def without_round(rows: RoundTransition) -> Transition:
    """The plain transitions, with the same leading axes."""
    return Transition(**{name: value for name, value in vars(rows).items() if name != "round"})


class Batch(struct.PyTreeNode, kw_only=True):
    """What one update learns from.

    Attributes:
      policy: transitions of the learner [B], [T, N] (time, environments) from rollouts, or None offline.
      expert: transitions of the demonstrations [B], windows [B, w] of successive ones (environment, time)
        where a method asks for them, or None for plain RL.
      next_action: [B, ...] what the expert did after each of its transitions, in the full demonstration
        whatever steps of it were kept; meaningless where `expert` ends an episode.
      initial: [B, *obs_shape] start observations for (1-γ)E_ρ0[V(s0)], or None.
    """

    policy: Transition | None = None
    expert: Transition | None = None
    next_action: Array | None = None
    initial: Array | None = None


class EnvSpec(NamedTuple):
    """Static facts of an environment.

    Attributes:
      id: name, e.g. "CartPole-v1".
      obs_shape: shape of one observation; () with an integer dtype for tabular states.
      obs_dtype: NumPy dtype of observations.
      num_actions: number of discrete actions, or None.
      action_low, action_high: [action_dim] bounds of continuous actions, or None.
      max_episode_steps: time limit, in steps.
      frame_stack: frames of which an image consists on its last axis, oldest first; 1: it is one frame.
      mdp: exact model (`ops.tabular.mdp.MDP`) where there is one.
      obs_origin: [D] float64 that is subtracted from vectors before they are cast, where float32 could not
        hold how they vary (times, map coordinates); None elsewhere.
      spaces: the environment's own observations and actions (`envs.spaces.OwnSpaces`) where they are not
        those that all this describes.
    """

    id: str
    obs_shape: tuple[int, ...]
    obs_dtype: np.dtype
    num_actions: Any
    action_low: Any
    action_high: Any
    max_episode_steps: int
    frame_stack: int = 1
    mdp: Any = None
    obs_origin: Any = None
    spaces: Any = None

    @property
    def discrete(self) -> bool:
        """Whether actions are integers."""
        return self.num_actions is not None

    @property
    def obs_fault(self) -> str | None:
        """Why there is no network for its observations, and what to do; None where there is one."""
        fault = order_fault(self.obs_shape, self.obs_dtype)
        if fault is None and len(self.obs_shape) not in (0, 1, 3):
            fault = "a vector [D] or an image [H, W, C] expected"
        if fault is None and len(self.obs_shape) == 3:
            fault = size_fault(self.obs_shape)
        if fault is not None:
            return (
                f"observations of {self.id} have shape {list(self.obs_shape)}: {fault}; change them in a "
                "wrapper (config.env.wrappers), e.g. transpose or flatten them"
            )
        if self.obs_shape == () and (self.mdp is None or not self.discrete):
            return (
                f"observations of {self.id} are integers; that needs a tabular model (spec.mdp) and discrete "
                "actions: encode them as vectors in a wrapper"
            )
        return None

    def relative(self, obs: Array) -> Array:
        """Observations [..., *obs_shape] of the environment as learning sees them: less origin, cast."""
        return (obs if self.obs_origin is None else obs - self.obs_origin).astype(self.obs_dtype)

    def absolute(self, obs: np.ndarray) -> np.ndarray:
        """The inverse of `relative`, in float64 where there is an origin."""
        return obs if self.obs_origin is None else obs.astype(np.float64) + self.obs_origin


def conv_layers(width: int) -> tuple[tuple[int, int, int], ...]:
    """(features, size, stride) of the layers that encode images of that width."""
    return ((16, 3, 1),) if width < 36 else ((32, 8, 4), (64, 4, 2), (64, 3, 1))


def size_fault(shape: Sequence[int]) -> str | None:
    """What is wrong with images [H, W, C] of which the encoder's layers would leave nothing, else None."""
    sides = tuple(shape[:2])
    for _, size, stride in conv_layers(shape[1]):
        sides = tuple((length - size) // stride + 1 for length in sides)
    if min(*sides, shape[2]) >= 1:
        return None
    least = "3 x 3, up to 35 wide" if shape[1] < 36 else "36 x 36"
    return f"they leave the encoder no features; [H, W, C] of at least {least} expected"


def order_fault(shape: Sequence[int], dtype: Any) -> str | None:
    """What is wrong with the order of axes of one image; None for [H, W, C] and for what is no image."""
    order = None
    if len(shape) == 2 and (np.dtype(dtype) == np.uint8 or min(shape) >= PICTURE):
        order = "[H, W]"
    elif len(shape) in (3, 4) and channels_first(*shape[-3:]):
        order = "[C, H, W]" if len(shape) == 3 else "[N, C, H, W]"
    elif len(shape) == 4:
        order = "[N, H, W, C]"
    return None if order is None else f"[H, W, C] expected, looks like {order}"


def channels_first(first: int, *others: int) -> bool:
    """Whether the first axis is much shorter than the others, or short enough for colours."""
    return first < min(others) and (first <= 4 or 2 * first <= min(others))


def discount(gamma: Array | float, terminated: Array) -> Array:
    """The only place where a discount is derived: γ(1 − terminated). [B]"""
    return gamma * (1.0 - terminated.astype(np.float32))


def join(batch: Batch) -> tuple[Transition, jax.Array]:
    """Policy and expert transitions as one batch, and the mask [B] float32 that marks the expert's."""
    parts = [part for part in (batch.policy, batch.expert) if part is not None]
    rows = jax.tree.map(lambda *x: jnp.concatenate(x), *parts)
    sizes = [part.reward.shape[0] for part in parts]
    is_expert = [float(part is batch.expert) for part in parts]
    return rows, jnp.concatenate([jnp.full(n, e) for n, e in zip(sizes, is_expert, strict=True)])
