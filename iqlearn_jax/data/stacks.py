"""Observations that are stacks of their episode's last frames: how they are made, and which are none."""

from collections.abc import Mapping

import numpy as np

from iqlearn_jax.data.checks import Source, at, problem
from iqlearn_jax.types import Array


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


def take_apart(arrays: Mapping[str, np.ndarray], stack: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames stored once [F, *frame], the number of each row's newest [N], its step in the episode [N]."""
    stops = np.flatnonzero(arrays["terminals"] | arrays["truncations"]) + 1
    lengths = np.diff(stops, prepend=0)
    parts = [
        (arrays["observations"][stop - size : stop], arrays["next_observations"][stop - 1 : stop])
        for stop, size in zip(stops, lengths, strict=True)
    ]
    frames = np.concatenate([newest(part, stack) for pair in parts for part in pair])
    count = np.arange(len(arrays["observations"]))
    step = count - np.repeat(stops - lengths, lengths)
    return frames, count + np.repeat(np.arange(len(stops)), lengths), step


def first_other(arrays: Mapping[str, np.ndarray], stack: int) -> tuple[str, int] | None:
    """Field and row of the first image that is no stack of its episode's frames; None where all are."""
    frames, frame, step = take_apart(arrays, stack)
    for field, now in (("observations", frame), ("next_observations", frame + 1)):
        wrong = (arrays[field] != stack_frames(frames, now, frame - step, stack)).any(axis=(1, 2, 3))
        if wrong.any():
            return field, int(np.argmax(wrong))
    return None


def check_stacks(arrays: Mapping[str, np.ndarray], stack: int, source: Source) -> None:
    """Refuses images that are no stacks of their episode's frames.

    Raises:
      InputError: names the first one.
    """
    other = first_other(arrays, stack)
    if other is not None:
        expected = (
            f"a stack of the episode's last {stack} frames, oldest first on the last axis, the first one "
            "repeated at the start"
        )
        remedy = "store observations as docs/formats.md has them"
        raise problem(source, at(other[0], other[1:]), expected, "another image", remedy)
