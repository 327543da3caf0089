"""Images stored once per frame: how transitions are taken apart and put together, and demonstrations of them.

An observation is a stack of the last `stack` frames, oldest first on its last axis, in which the first frame
of an episode stands for the missing past; with stack 1 the frame is the whole observation. So a transition
needs one new frame, and one more at the end of an episode, instead of 2 * stack.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from flax import struct

from iqlearn_jax.data.demos import Demos, transitions
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import Array, RoundTransition, Transition


class Facts(struct.PyTreeNode):
    """What a transition holds besides its frames; `frame` is the number of its newest one, `age` the frames
    of the episode before it, at most stack - 1."""

    action: Array
    reward: Array
    terminated: Array
    truncated: Array
    frame: Array
    age: Array


class RoundFacts(Facts):
    """Those of a `RoundTransition`."""

    round: Array


def newest(obs: Array, stack: int) -> Array:
    """The newest frame of observations [..., H, W, C]: the last channel of a stack, or all of it."""
    return obs[..., -1] if stack > 1 else obs


def stack_frames(frames: np.ndarray, present: np.ndarray, first: np.ndarray, stack: int) -> np.ndarray:
    """States from frames stored once.

    Args:
      frames: [F, H, W] uint8.
      present: [N] index of the newest frame of each state.
      first: [N] index of the first frame of its episode, repeated where the past is missing.
      stack: frames per state.
    Returns:
      [N, H, W, stack] uint8, oldest first.
    """
    states = np.empty((len(present), *frames.shape[1:], stack), frames.dtype)
    for age in range(stack):
        states[..., stack - 1 - age] = frames[np.maximum(present - age, first)]
    return states


def to_facts(rows: Transition, frame: Array, age: Array) -> Facts:
    """Facts [...] of transitions [...], with the numbers of their newest frames and their ages, int32."""
    facts = Facts(
        action=rows.action,
        reward=rows.reward,
        terminated=rows.terminated,
        truncated=rows.truncated,
        frame=frame,
        age=age,
    )
    return RoundFacts(**vars(facts), round=rows.round) if isinstance(rows, RoundTransition) else facts


def to_transitions(facts: Facts, look_up: Callable, stack: int) -> Transition:
    """Transitions [B]; `look_up` gives the frames of frame numbers [B] or [B, stack]."""

    def observe(number):
        if stack == 1:
            return look_up(number)
        past = number[:, None] - jnp.arange(stack)[::-1]
        return jnp.moveaxis(look_up(jnp.maximum(past, (facts.frame - facts.age)[:, None])), 1, -1)

    rows = Transition(
        obs=observe(facts.frame),
        action=facts.action,
        reward=facts.reward,
        next_obs=observe(facts.frame + 1),
        terminated=facts.terminated,
        truncated=facts.truncated,
    )
    return RoundTransition(**vars(rows), round=facts.round) if isinstance(facts, RoundFacts) else rows


class FrameRows(struct.PyTreeNode):
    """Demonstrations [N] over frames [F, *frame] stored once; `data.sampling.take_rows` reads them."""

    frames: Array
    facts: Facts
    stack: int = struct.field(pytree_node=False)


def frame_rows(demos: Demos, stack: int, source: str) -> FrameRows:
    """Image demonstrations with each frame kept once.

    Raises:
      InputError: observations that are not stacks of their episode's frames.
    """
    lengths, starts = demos.episode_lengths, demos.episode_starts
    parts = [
        (demos.observations[start : start + size], demos.next_observations[start + size - 1 : start + size])
        for start, size in zip(starts, lengths, strict=True)
    ]
    frames = np.concatenate([newest(part, stack) for pair in parts for part in pair])
    step = np.arange(len(demos)) - np.repeat(starts, lengths)
    frame = np.arange(len(demos)) + np.repeat(np.arange(len(starts)), lengths)
    _check_stacks(demos, frames, frame, step, stack, source)
    age = np.minimum(step, stack - 1)
    facts = to_facts(transitions(demos), frame.astype(np.int32), age.astype(np.int32))
    return FrameRows(frames, facts, stack)


def _check_stacks(demos: Demos, frames, frame, step, stack: int, source: str) -> None:
    if stack == 1:
        return
    for field, now in (("observations", frame), ("next_observations", frame + 1)):
        expected = stack_frames(frames, now, frame - step, stack)
        wrong = (getattr(demos, field) != expected).any(axis=(1, 2, 3))
        if wrong.any():
            raise InputError(
                f"{source}: {field}[{int(np.argmax(wrong))}]: expected a stack of the episode's last {stack} "
                "frames, oldest first on the last axis, the first one repeated at the start; found another "
                "image; store observations as docs/formats.md has them"
            )
