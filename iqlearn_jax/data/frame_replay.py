"""Images stored once per frame, as a ring that grows while the learner acts and as fixed demonstrations.

An observation is a stack of the last `stack` frames, oldest first on its last axis, in which the first frame
of an episode stands for the missing past; with stack 1 the frame is the whole observation. So a transition
needs one new frame, and one more at the end of an episode, instead of 2 * stack.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from iqlearn_jax.data.demos import Demos
from iqlearn_jax.data.frames import stack_frames
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import Array, RoundTransition, Transition

SPARE = 8  # one slot for last frames per so many transitions; with shorter episodes fewer are kept


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


class FrameRing(struct.PyTreeNode):
    """E environments, M rows of one transition each, L frames each; numbers only grow, slots are modulo.

    Attributes:
      frames: [E, L, *frame].
      facts: leaves [M, E, ...].
      head: [E] int32 number of frames written.
      fresh: [E] whether the next transition begins an episode.
      count, oldest: [] int32 numbers of rows written, and of the oldest row whose frames are all there.
    """

    frames: jax.Array
    facts: Facts
    head: jax.Array
    fresh: jax.Array
    count: jax.Array
    oldest: jax.Array


def make_frame_replay(
    example: Transition, stack: int, capacity: int, batch_size: int, num_envs: int
) -> tuple[Callable, Callable, Callable]:
    """(init, add, sample) of `data.replay.Replay` over frames stored once.

    Args:
      example: one transition, for shapes and dtypes.
      stack: frames per observation.
      capacity: transitions; `SPARE` frames more are kept for the ends of episodes. With episodes shorter than
        `SPARE` steps on average, the oldest transitions are given up earlier.
    """
    rows = -(-capacity // num_envs)
    length = rows + rows // SPARE + stack + 2
    every = jnp.arange(num_envs)

    def init():
        facts = jax.tree.map(lambda x: jnp.zeros((rows, num_envs, *x.shape), x.dtype), _facts(example, 0, 0))
        image = newest(example.obs, stack)
        return FrameRing(
            frames=jnp.zeros((num_envs, length, *image.shape), image.dtype),
            facts=facts,
            head=jnp.zeros(num_envs, jnp.int32),
            fresh=jnp.ones(num_envs, bool),
            count=jnp.int32(0),
            oldest=jnp.int32(0),
        )

    def add(ring, batch):
        frame = jnp.where(ring.fresh, ring.head, ring.head - 1)  # the last one written, but for a new episode
        before = ring.facts.age[(ring.count - 1) % rows]
        age = jnp.where(ring.fresh, 0, jnp.minimum(before + 1, stack - 1)).astype(jnp.int32)
        frames = ring.frames.at[every, frame % length].set(newest(batch.obs, stack))
        frames = frames.at[every, (frame + 1) % length].set(newest(batch.next_obs, stack))
        facts = _facts(batch, frame, age)
        facts = jax.tree.map(lambda kept, new: kept.at[ring.count % rows].set(new), ring.facts, facts)
        count, head = ring.count + 1, frame + 2
        oldest = jnp.maximum(ring.oldest, count - rows)
        for _ in range(2):  # a step writes at most two frames, and a row less frees at least one
            needed = facts.frame[oldest % rows] - (stack - 1)
            oldest += jnp.any(head - needed > length).astype(jnp.int32)
        return FrameRing(frames, facts, head, batch.terminated | batch.truncated, count, oldest)

    def sample(ring, key):
        row_key, env_key = jax.random.split(key)
        row = jax.random.randint(row_key, (batch_size,), ring.oldest, ring.count) % rows
        env = jax.random.randint(env_key, (batch_size,), 0, num_envs)

        def look_up(number):
            return ring.frames[env.reshape(-1, *[1] * (number.ndim - 1)), number % length]

        return _transition(jax.tree.map(lambda x: x[row, env], ring.facts), look_up, stack)

    return init, add, sample


class FrameRows(struct.PyTreeNode):
    """Demonstrations [N] over frames [F, *frame] stored once; `take_rows` reads them."""

    frames: Array
    facts: Facts
    stack: int = struct.field(pytree_node=False)


def take_rows(rows: Transition | FrameRows, index: jax.Array) -> Transition:
    """Transitions number `index` [B] of demonstrations in either form."""
    if isinstance(rows, FrameRows):
        return _transition(jax.tree.map(lambda x: x[index], rows.facts), rows.frames.__getitem__, rows.stack)
    return jax.tree.map(lambda x: x[index], rows)


def take_next_actions(rows: Transition | FrameRows, index: jax.Array) -> jax.Array:
    """Actions [B, ...] of the rows after number `index` [B]; another episode's where `index` ends one."""
    action = rows.facts.action if isinstance(rows, FrameRows) else rows.action
    return action[jnp.minimum(index + 1, action.shape[0] - 1)]


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
    facts = Facts(
        action=demos.actions,
        reward=demos.rewards,
        terminated=demos.terminals,
        truncated=demos.truncations & ~demos.terminals,
        frame=frame.astype(np.int32),
        age=np.minimum(step, stack - 1).astype(np.int32),
    )
    return FrameRows(frames, facts, stack)


def newest(obs: Array, stack: int) -> Array:
    """The newest frame of observations [..., H, W, C]: the last channel of a stack, or all of it."""
    return obs[..., -1] if stack > 1 else obs


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


def _facts(rows: Transition, frame, age) -> Facts:
    found = Facts(
        action=rows.action,
        reward=rows.reward,
        terminated=rows.terminated,
        truncated=rows.truncated,
        frame=jnp.asarray(frame, jnp.int32),
        age=jnp.asarray(age, jnp.int32),
    )
    return RoundFacts(**vars(found), round=rows.round) if isinstance(rows, RoundTransition) else found


def _transition(facts: Facts, look_up: Callable, stack: int) -> Transition:
    """Transitions [B]; `look_up` gives the frames of frame numbers [B] or [B, stack]."""

    def observe(number):
        if stack == 1:
            return look_up(number)
        past = number[:, None] - jnp.arange(stack)[::-1]
        return jnp.moveaxis(look_up(jnp.maximum(past, (facts.frame - facts.age)[:, None])), 1, -1)

    found = Transition(
        obs=observe(facts.frame),
        action=facts.action,
        reward=facts.reward,
        next_obs=observe(facts.frame + 1),
        terminated=facts.terminated,
        truncated=facts.truncated,
    )
    return RoundTransition(**vars(found), round=facts.round) if isinstance(facts, RoundFacts) else found
