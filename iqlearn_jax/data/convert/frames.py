"""Image demonstrations stored once per frame, unfolded into stacks."""

from collections.abc import Mapping

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.stacks import stack_frames

KEYS = ("frames", "episode_frame_start", "episode_lengths", "actions", "rewards", "terminals", "truncations")
REMEDY = "T + 1 frames per episode of T steps, episodes one after the other"


def frames_to_arrays(
    arrays: Mapping[str, np.ndarray],
    max_episodes: int | None = None,
    stack: int = 4,
    source: Source = "frames",
) -> dict[str, np.ndarray]:
    """Unfolds frames stored once into the six arrays of the format.

    The state at step t is the stack of the `stack` frames that end at t, oldest first on a new last
    axis; before the start of an episode its first frame is repeated. Unfolded images take 2 * stack
    times the memory (56 kB per step of 84x84), hence `max_episodes`.

    Args:
      arrays: `frames` [F, H, W] uint8 with T + 1 frames per episode, `episode_frame_start` [E],
        `episode_lengths` [E] (T, in steps) and [N] `actions, rewards, terminals, truncations`.
      max_episodes: keep only so many episodes, from the first; None keeps all.
      stack: frames per state.
      source: file name for messages.
    Returns:
      the six fields; observations are [N, H, W, stack] uint8.
    Raises:
      InputError: missing key, or episodes that do not fit the frames or the steps.
    """
    starts, lengths = _episodes(arrays, source)
    kept = slice(0, len(lengths) if max_episodes is None else max_episodes)
    steps = int(lengths[kept].sum())
    pairs = list(zip(starts[kept], lengths[kept], strict=True))
    fields = {key: arrays[key][:steps] for key in ("actions", "rewards", "terminals", "truncations")}
    first = np.concatenate([np.full(length, start) for start, length in pairs])
    present = np.concatenate([start + np.arange(length) for start, length in pairs])
    fields["observations"] = stack_frames(arrays["frames"], present, first, stack)
    fields["next_observations"] = stack_frames(arrays["frames"], present + 1, first, stack)
    return fields


def _episodes(arrays: Mapping[str, np.ndarray], source: Source) -> tuple[np.ndarray, np.ndarray]:
    _check_kinds(arrays, source)
    starts, lengths = (arrays[key].astype(np.int64) for key in KEYS[1:3])
    frames = len(arrays["frames"])
    bad = np.flatnonzero((starts < 0) | (lengths < 1) | (lengths >= frames) | (starts >= frames - lengths))
    if bad.size:
        actual = f"start {starts[bad[0]]}, length {lengths[bad[0]]}"
        raise problem(source, f"episode_frame_start[{bad[0]}]", f"within {frames} frames", actual, REMEDY)
    for key in KEYS[3:]:
        if len(arrays[key]) != lengths.sum():
            raise problem(source, key, f"{lengths.sum()} steps", str(len(arrays[key])), REMEDY)
    ends = np.flatnonzero(arrays["terminals"].astype(bool) | arrays["truncations"].astype(bool))
    if not np.array_equal(ends, np.cumsum(lengths) - 1):
        actual = f"{len(ends)} ends for {len(lengths)} episodes, or elsewhere"
        expected = "an end in terminals or truncations after each length, and nowhere else"
        raise problem(source, "episode_lengths", expected, actual, REMEDY)
    return starts, lengths


def _check_kinds(arrays: Mapping[str, np.ndarray], source: Source) -> None:
    for key in KEYS:
        if key not in arrays:
            raise problem(source, key, "this key of the frames layout", f"only {', '.join(arrays)}", REMEDY)
    axes = {"frames": 3, "episode_frame_start": 1, "episode_lengths": 1, "terminals": 1, "truncations": 1}
    kinds = {"frames": "u", "episode_frame_start": "iu", "episode_lengths": "iu"}
    for key in KEYS:
        array = arrays[key]
        if array.ndim != axes.get(key, max(1, array.ndim)) or array.dtype.kind not in kinds.get(key, "biuf"):
            expected = "uint8 [F, H, W]" if key == "frames" else "numbers, one row per step or episode"
            raise problem(source, key, expected, f"{array.dtype} {list(array.shape)}", REMEDY)
    count = len(arrays["episode_lengths"])
    if not count or len(arrays["episode_frame_start"]) != count:
        actual = f"{count} lengths, {len(arrays['episode_frame_start'])} starts"
        raise problem(source, "episode_lengths", "at least one episode, with one start each", actual, REMEDY)
