"""A replay with room for more: what a run needs that goes on for more updates than it was made for."""

from typing import Any

import jax
import jax.numpy as jnp

from iqlearn_jax.data.replay.frames import FrameRing


def grow(replay: Any, like: Any) -> Any:
    """The same content in arrays of the shapes of `like`.

    A replay that is smaller than `config.online.capacity` has room for all steps that the run was to take, so
    nothing in it was written over, and it goes on as one with room from the start. (Frames of very short
    episodes may have been given up before, see `data.replay.frames`.) One of full capacity stays as it is.

    Args:
      replay: state [R, ...] of a replay of vectors or frames.
      like: shapes [R, ...] of the larger one.
    """
    if all(x.shape == y.shape for x, y in zip(jax.tree.leaves(replay), jax.tree.leaves(like), strict=True)):
        return replay
    widen = _frames if isinstance(replay, FrameRing) else _vectors
    return jax.jit(lambda state: widen(state, like))(replay)


def _vectors(state: Any, like: Any) -> Any:
    size = jax.tree.leaves(state.experience)[0].shape[2]  # [R, 1, capacity, ...]
    return state.replace(
        experience=jax.tree.map(_pad, state.experience, like.experience),
        current_index=jnp.where(state.is_full, size, state.current_index),
        is_full=jnp.zeros_like(state.is_full),
    )


def _frames(ring: FrameRing, like: FrameRing) -> FrameRing:
    return ring.replace(
        frames=jax.vmap(jax.vmap(_renumber, (0, 0, None)), (0, 0, None))(
            ring.frames, ring.head, like.frames.shape[2]
        ),
        facts=jax.tree.map(_pad, ring.facts, like.facts),
    )


def _renumber(frames: jax.Array, head: jax.Array, size: int) -> jax.Array:
    """Frame n lies at n modulo the length: those that are still there move where the longer ring has them."""
    length = frames.shape[0]
    number = head - 1 - jnp.arange(length)  # the newest ones
    target = jnp.where(number >= 0, number % size, size)  # beyond the end: dropped
    blank = jnp.zeros((size, *frames.shape[1:]), frames.dtype)
    return blank.at[target].set(frames[number % length], mode="drop")


def _pad(x: jax.Array, like: Any) -> jax.Array:
    return jnp.pad(x, [(0, wanted - size) for size, wanted in zip(x.shape, like.shape, strict=True)])
