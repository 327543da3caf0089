"""A ring of transitions with vector observations: flashbax's item buffer, in native dtypes."""

from collections.abc import Callable
from typing import NamedTuple

import flashbax as fbx
import jax
import jax.numpy as jnp

from iqlearn_jax.data.replay.scatter import write
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


def make_vector_replay(example: Transition, capacity: int, batch_size: int) -> Replay:
    """Ring buffer of `capacity` transitions like `example`, of which `batch_size` are sampled."""
    buffer = fbx.make_item_buffer(
        max_length=capacity,
        min_length=1,
        sample_batch_size=batch_size,
        add_batches=True,
    )

    def add(state, batch):
        """As flashbax's, in place for one run as for many (`scatter.write`)."""
        count = batch.reward.shape[0]
        place = (state.current_index + jnp.arange(count)) % capacity
        index = jnp.zeros_like(place), place
        following = state.current_index + count
        return state.replace(
            experience=jax.tree.map(lambda kept, new: write(kept, index, new), state.experience, batch),
            current_index=following % capacity,
            is_full=state.is_full | (following >= capacity),
        )

    return Replay(
        init=lambda: buffer.init(example),
        add=add,
        sample=lambda state, key: buffer.sample(state, key).experience,
    )


def example_transition(spec: EnvSpec, rounds: bool = False) -> Transition:
    """One transition of zeros with the shapes and dtypes that the replay stores; `rounds`: with its round."""
    obs = jnp.zeros(spec.obs_shape, spec.obs_dtype)
    action = jnp.zeros((), jnp.int32) if spec.discrete else jnp.zeros(spec.action_low.shape, jnp.float32)
    end = jnp.zeros((), bool)
    example = Transition(
        obs=obs, action=action, reward=jnp.zeros(()), next_obs=obs, terminated=end, truncated=end
    )
    return RoundTransition(**vars(example), round=jnp.int32(0)) if rounds else example
