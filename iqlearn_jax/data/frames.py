"""Images stored once per frame: how transitions are taken apart and put together, and demonstrations of them.

An observation is a stack of the last `stack` frames, oldest first on its last axis, in which the first frame
of an episode stands for the missing past; with stack 1 the frame is the whole observation. So a transition
needs one new frame, and one more at the end of an episode, instead of 2 * stack.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from flax import struct

from iqlearn_jax.data.demos import Demos, fields_of, transitions
from iqlearn_jax.data.stacks import take_apart
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


def frame_rows(demos: Demos, stack: int) -> FrameRows:
    """Image demonstrations, checked by `data.stacks.check_stacks`, with each frame kept once."""
    frames, frame, step = take_apart(fields_of(demos), stack)
    age = np.minimum(step, stack - 1)
    facts = to_facts(transitions(demos), frame.astype(np.int32), age.astype(np.int32))
    return FrameRows(frames, facts, stack)
