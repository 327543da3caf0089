"""Foreign demonstrations into the project's format, with a record of what was done to them."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.cast import cast
from iqlearn_jax.data.checks import FIELDS, Source, check_arrays, check_keys, problem
from iqlearn_jax.data.convert.frames import frames_to_arrays
from iqlearn_jax.data.convert.mend import Mends, mend
from iqlearn_jax.data.convert.minari import read_minari
from iqlearn_jax.data.convert.pickles import read_pickle
from iqlearn_jax.data.demos import Demos, array_names, from_arrays, parse_metadata, read_arrays, resolve
from iqlearn_jax.data.suspect import suspicions, warn
from iqlearn_jax.types import EnvSpec

KEYS_REMEDY = "rename or add them (numpy.savez); docs/formats.md says what each holds"

Read = tuple[dict[str, np.ndarray], dict[str, Any]]  # arrays with dtypes as found, metadata


def convert(
    path: Source,
    *,
    spec: EnvSpec | None = None,
    clip_actions: bool = False,
    rescale_actions: bool = False,
    max_episode_steps: int | None = None,
    timeouts_win: bool = False,
    drop_last: bool = False,
    max_episodes: int | None = None,
    policy: str | None = None,
) -> Demos:
    """Reads any supported layout, recognised by content, and brings it into the format.

    Layouts: npz of docs/formats.md with any dtypes, npz with frames stored once, the IQ-Learn authors'
    pickle, a local Minari data set. Numbers are cast to float32 / int32 / bool where that keeps them. What
    looks wrong in the result is warned of (`data.suspect`).

    Args:
      path: file, "bundled:NAME", or folder of a Minari data set.
      spec: environment that the demonstrations must fit; needed for `clip_actions` and `rescale_actions`.
      clip_actions: clip continuous actions to the bounds (recorded in the metadata) instead of refusing.
      rescale_actions: map actions that were normalised to ±1 onto the bounds (recorded).
      max_episode_steps: a terminal at this step of its episode, counted from 1, is a truncation.
      timeouts_win: steps marked as terminals and as truncations are truncations only (stable-baselines3).
      drop_last: leave out the last step of each truncated episode, whose successor the file does not have;
        the step before ends the episode then. A terminated one keeps its last step: nothing follows it.
      max_episodes: keep only so many episodes, from the first; None keeps all.
      policy: who acted, for the metadata.
    Returns:
      validated demonstrations; `metadata["conversion"]` has one entry per conversion.
    Raises:
      InputError: unreadable, unsafe or invalid input.
    """
    path = resolve(path)
    _check_limits(path, max_episodes=max_episodes, max_episode_steps=max_episode_steps)
    arrays, metadata = _read(path, max_episodes)
    arrays = cast(arrays, path)
    check_arrays(arrays, None, path)
    arrays = _first_episodes(arrays, max_episodes)
    mends = Mends(clip_actions, rescale_actions, max_episode_steps, timeouts_win, drop_last)
    arrays, changes = mend(arrays, mends, spec, path)
    record = metadata.pop("record") | {"source": Path(path).name, "source_sha256": _sha256(path)} | changes
    metadata |= ({"env": spec.id} if spec else {}) | ({"policy": policy} if policy else {})
    metadata["conversion"] = [*metadata.get("conversion", []), record]
    check_arrays(arrays, spec, path)
    warn(path, suspicions(arrays, spec))
    return from_arrays(arrays, metadata)


def _check_limits(path: Source, **limits: int | None) -> None:
    for name, value in limits.items():
        if value is not None and value < 1:
            raise problem(path, name, ">= 1", str(value), "leave it out for no limit")


def _read(path: Source, max_episodes: int | None) -> Read:
    """Arrays and metadata; metadata["record"] begins this conversion's entry."""
    kind = _layout(path)
    if kind == "minari":
        arrays, notes = read_minari(path, max_episodes)
        env = {"env": notes["env"]} if notes["env"] else {}
        return arrays, env | {"record": {"format": kind} | notes}
    if kind == "pickle":
        arrays, notes = read_pickle(path)
        return arrays, {"record": {"format": kind} | notes}
    return _read_npz(path, max_episodes)


def _layout(path: Source) -> str:
    if os.path.isdir(path) or Path(path).suffix in (".hdf5", ".h5"):
        return "minari"
    try:
        with open(path, "rb") as file:
            magic = file.read(2)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise problem(path, "file", "a readable file", reason, "check the path") from error
    if magic == b"PK":
        return "npz"
    # protocols 0 and 1 have no magic: known by the name, or by how a dict begins
    if magic[:1] in (b"\x80", b"(", b"}") or Path(path).suffix in (".pkl", ".pickle"):
        return "pickle"
    remedy = "known: npz, the authors' pickle (.pkl), the folder of a Minari data set"
    raise problem(path, "file", "a known layout", f"the first bytes {magic!r}", remedy)


def _read_npz(path: Source, max_episodes: int | None) -> Read:
    frames = read_arrays(path, ("frames",))
    if frames:
        # an object array elsewhere in the file must not matter, so only the known keys are read
        from_file = read_arrays(path, ("episode_frame_start", "episode_lengths", *FIELDS))
        arrays = frames_to_arrays(frames | from_file, max_episodes, source=path)
        return arrays, {"record": {"format": "frames", "stack": 4}}
    arrays = read_arrays(path, (*FIELDS, "metadata"))
    metadata = parse_metadata(arrays.pop("metadata", None), path)
    check_keys(arrays, [f for f in FIELDS if f != "rewards"], path, array_names(path), KEYS_REMEDY)
    return arrays, metadata | {"record": {"format": "npz"}}


def _first_episodes(arrays: dict[str, np.ndarray], count: int | None) -> dict[str, np.ndarray]:
    ends = np.flatnonzero(arrays["terminals"] | arrays["truncations"])
    if count is None or len(ends) <= count:
        return arrays
    return {field: array[: ends[count - 1] + 1] for field, array in arrays.items()}


def _sha256(path: Source) -> str | None:
    if os.path.isdir(path):
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
