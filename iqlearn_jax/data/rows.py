"""Demonstrations as compiled code reads them: vectors as they are, images from frames stored once."""

import jax
import jax.numpy as jnp

from iqlearn_jax.data.demos import Demos, transitions
from iqlearn_jax.data.frames import FrameRows, frame_rows, to_transitions
from iqlearn_jax.types import EnvSpec, Transition

Rows = Transition | FrameRows  # [N] transitions of all demonstrations, in file order


def make_rows(demos: Demos, spec: EnvSpec, source: str = "demos") -> Rows:
    """The demonstrations as NumPy arrays, images with each frame once.

    Args:
      source: file name for messages.
    Raises:
      InputError: images that are not stacks of their episode's frames.
    """
    return frame_rows(demos, spec.frame_stack, source) if len(spec.obs_shape) == 3 else transitions(demos)


def take_rows(rows: Rows, index: jax.Array) -> Transition:
    """Transitions number `index` [B]."""
    if isinstance(rows, FrameRows):
        facts = jax.tree.map(lambda x: x[index], rows.facts)
        return to_transitions(facts, rows.frames.__getitem__, rows.stack)
    return jax.tree.map(lambda x: x[index], rows)


def take_next_actions(rows: Rows, index: jax.Array) -> jax.Array:
    """Actions [B, ...] of the rows after number `index` [B]; another episode's where `index` ends one."""
    action = rows.facts.action if isinstance(rows, FrameRows) else rows.action
    return action[jnp.minimum(index + 1, action.shape[0] - 1)]


def count_rows(rows: Rows) -> int:
    """N, the number of transitions."""
    return (rows.facts if isinstance(rows, FrameRows) else rows).terminated.shape[0]
