"""Small made-up demonstrations."""

import dataclasses

import numpy as np

from iqlearn_jax.data.demos import Demos


def make_demos(lengths=(5, 3), terminal=(True, False), seed=0, discrete=True, obs_shape=(4,)):
    """Episodes of random states; `terminal[e]` says how episode e ends."""
    rng = np.random.default_rng(seed)
    tracks = [rng.normal(size=(length + 1, *obs_shape)).astype(np.float32) for length in lengths]
    count, last = sum(lengths), np.cumsum(lengths) - 1
    ends = np.zeros(count, bool)
    ends[last[np.array(terminal)]] = True
    cuts = np.zeros(count, bool)
    cuts[last[~np.array(terminal)]] = True
    continuous = rng.uniform(-0.9, 0.9, (count, 3)).astype(np.float32)
    return Demos(
        observations=np.concatenate([track[:-1] for track in tracks]),
        actions=rng.integers(0, 2, count).astype(np.int32) if discrete else continuous,
        rewards=rng.normal(size=count).astype(np.float32),
        next_observations=np.concatenate([track[1:] for track in tracks]),
        terminals=ends,
        truncations=cuts,
    )


def arrays_of(demos):
    fields = {f.name: getattr(demos, f.name) for f in dataclasses.fields(demos)}
    del fields["metadata"]
    return {key: None if array is None else array.copy() for key, array in fields.items()}


def assert_same(a, b):
    for key, array in arrays_of(a).items():
        np.testing.assert_array_equal(array, getattr(b, key), err_msg=key)
        assert array.dtype == getattr(b, key).dtype, key
