"""On-device replay: flashbax's item buffer for vectors, `data.frame_replay` for images; native dtypes."""

from collections.abc import Callable
from typing import NamedTuple

import flashbax as fbx
import jax.numpy as jnp

from iqlearn_jax.data.frame_replay import make_frame_replay
from iqlearn_jax.types import EnvSpec, RoundTransition, Transition


class Replay(NamedTuple):
    """A ring of transitions as pure functions.

    Attributes:
      init: () -> state.
      add: (state, transitions [num_envs]) -> state.
      sample: (state, key) -> transitions [batch_size], uniformly with replacement.
    """

    init: Callable
    add: Callable
    sample: Callable


def make_replay(spec: EnvSpec, capacity: int, batch_size: int, num_envs: int, rounds: bool = False) -> Replay:
    """Ring buffer of `capacity` transitions that takes `num_envs` at a time and samples `batch_size`.

    Args:
      rounds: whether it holds `RoundTransition`s.
    """
    capacity = max(capacity, num_envs, batch_size)
    example = example_transition(spec)
    if rounds:
        example = RoundTransition(**vars(example), round=jnp.int32(0))
    if len(spec.obs_shape) == 3:
        return Replay(*make_frame_replay(example, spec.frame_stack, capacity, batch_size, num_envs))
    buffer = fbx.make_item_buffer(
        max_length=capacity,
        min_length=1,
        sample_batch_size=batch_size,
        add_batches=True,
    )
    return Replay(
        init=lambda: buffer.init(example),
        add=buffer.add,
        sample=lambda state, key: buffer.sample(state, key).experience,
    )


def example_transition(spec: EnvSpec) -> Transition:
    """One transition of zeros with the shapes and dtypes that the replay stores."""
    obs = jnp.zeros(spec.obs_shape, spec.obs_dtype)
    action = jnp.zeros((), jnp.int32) if spec.discrete else jnp.zeros(spec.action_low.shape, jnp.float32)
    end = jnp.zeros((), bool)
    return Transition(
        obs=obs, action=action, reward=jnp.zeros(()), next_obs=obs, terminated=end, truncated=end
    )
