"""A ring of transitions over images that are stored once per frame (`data.frames`)."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from iqlearn_jax.data.frames import Facts, to_facts, to_transitions
from iqlearn_jax.data.replay.scatter import write
from iqlearn_jax.data.stacks import newest
from iqlearn_jax.types import Transition

SPARE = 8  # one slot for last frames per so many transitions; with shorter episodes fewer are kept


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


class Sizes(NamedTuple):
    """What is static: frames in an observation, rows M and frames L of a ring, environments, rows sampled."""

    stack: int
    rows: int
    length: int
    num_envs: int
    batch_size: int


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
    sizes = Sizes(stack, rows, rows + rows // SPARE + stack + 2, num_envs, batch_size)
    return partial(_init, sizes, example), partial(_add, sizes), partial(_sample, sizes)


def _init(sizes: Sizes, example: Transition) -> FrameRing:
    count, image = sizes.num_envs, newest(example.obs, sizes.stack)
    facts = to_facts(example, jnp.int32(0), jnp.int32(0))
    return FrameRing(
        frames=jnp.zeros((count, sizes.length, *image.shape), image.dtype),
        facts=jax.tree.map(lambda x: jnp.zeros((sizes.rows, count, *x.shape), x.dtype), facts),
        head=jnp.zeros(count, jnp.int32),
        fresh=jnp.ones(count, bool),
        count=jnp.int32(0),
        oldest=jnp.int32(0),
    )


def _add(sizes: Sizes, ring: FrameRing, batch: Transition) -> FrameRing:
    stack, rows, length, every = sizes.stack, sizes.rows, sizes.length, jnp.arange(sizes.num_envs)
    frame = jnp.where(ring.fresh, ring.head, ring.head - 1)  # the last one written, but for a new episode
    before = ring.facts.age[(ring.count - 1) % rows]
    age = jnp.where(ring.fresh, 0, jnp.minimum(before + 1, stack - 1)).astype(jnp.int32)
    frames = write(ring.frames, (every, frame % length), newest(batch.obs, stack))
    frames = write(frames, (every, (frame + 1) % length), newest(batch.next_obs, stack))
    facts = to_facts(batch, frame, age)
    row = (ring.count % rows)[None]
    facts = jax.tree.map(lambda kept, new: write(kept, (row,), new[None]), ring.facts, facts)
    count, head = ring.count + 1, frame + 2
    oldest = jnp.maximum(ring.oldest, count - rows)
    for _ in range(2):  # a step writes at most two frames, and a row less frees at least one
        needed = facts.frame[oldest % rows] - (stack - 1)
        oldest += jnp.any(head - needed > length).astype(jnp.int32)
    return FrameRing(frames, facts, head, batch.terminated | batch.truncated, count, oldest)


def _sample(sizes: Sizes, ring: FrameRing, key: jax.Array) -> Transition:
    row_key, env_key = jax.random.split(key)
    row = jax.random.randint(row_key, (sizes.batch_size,), ring.oldest, ring.count) % sizes.rows
    env = jax.random.randint(env_key, (sizes.batch_size,), 0, sizes.num_envs)

    def look_up(number):
        return ring.frames[env.reshape(-1, *[1] * (number.ndim - 1)), number % sizes.length]

    return to_transitions(jax.tree.map(lambda x: x[row, env], ring.facts), look_up, sizes.stack)
