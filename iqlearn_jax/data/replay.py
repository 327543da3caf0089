"""On-device replay: flashbax's item buffer over single transitions, native dtypes."""

import flashbax as fbx


def make_replay(capacity: int, batch_size: int, num_envs: int):
    """Ring buffer of `capacity` transitions that takes `num_envs` at a time and samples `batch_size`.

    Returns flashbax's record of pure functions: init(transition) -> state, add(state, batch) -> state,
    sample(state, key).experience -> batch.
    """
    capacity = max(capacity, num_envs, batch_size)
    return fbx.make_item_buffer(
        max_length=capacity,
        min_length=1,
        sample_batch_size=batch_size,
        add_batches=True,
    )
