"""Replay on the device: a ring of vectors, or of images that are stored once per frame."""

from iqlearn_jax.data.replay.frames import make_frame_replay
from iqlearn_jax.data.replay.vectors import Replay, example_transition, make_vector_replay
from iqlearn_jax.types import EnvSpec

__all__ = ["Replay", "example_transition", "make_replay"]


def make_replay(spec: EnvSpec, capacity: int, batch_size: int, num_envs: int, rounds: bool = False) -> Replay:
    """Ring buffer of `capacity` transitions that takes `num_envs` at a time and samples `batch_size`.

    Args:
      rounds: whether it holds `RoundTransition`s.
    """
    capacity, example = max(capacity, num_envs, batch_size), example_transition(spec, rounds)
    if len(spec.obs_shape) == 3:
        return Replay(*make_frame_replay(example, spec.frame_stack, capacity, batch_size, num_envs))
    return make_vector_replay(example, capacity, batch_size)
