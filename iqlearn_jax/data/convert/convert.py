"""Foreign demonstrations into the project's format, with a record of what was done to them."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.cast import cast
from iqlearn_jax.data.checks import FIELDS, Source, check_arrays, out_of_range, problem
from iqlearn_jax.data.convert.frames import frames_to_arrays
from iqlearn_jax.data.convert.minari import read_minari
from iqlearn_jax.data.convert.pickles import read_pickle
from iqlearn_jax.data.demos import Demos, from_arrays, parse_metadata, read_arrays, resolve
from iqlearn_jax.disk import open_file, reason
from iqlearn_jax.types import EnvSpec

Read = tuple[dict[str, np.ndarray], dict[str, Any]]  # arrays with dtypes as found, metadata


def convert(
    path: Source,
    *,
    spec: EnvSpec | None = None,
    clip_actions: bool = False,
    max_episode_steps: int | None = None,
    max_episodes: int | None = None,
    policy: str | None = None,
) -> Demos:
    """Reads any supported layout, recognised by content, and brings it into the format.

    Layouts: npz of docs/formats.md with any dtypes, npz with frames stored once, the IQ-Learn authors'
    pickle, a local Minari data set. Numbers are cast to float32 / int32 / bool where that keeps them.

    Args:
      path: file, "bundled:NAME", or folder of a Minari data set.
      spec: environment that the demonstrations must fit; needed for `clip_actions`.
      clip_actions: clip continuous actions to the bounds (recorded in the metadata) instead of refusing.
      max_episode_steps: pickles only: a done at this step, counted from 1, is a truncation.
      max_episodes: keep only so many episodes, from the first; None keeps all.
      policy: who acted, for the metadata.
    Returns:
      validated demonstrations; `metadata["conversion"]` has one entry per conversion.
    Raises:
      InputError: unreadable, unsafe or invalid input.
    """
    path = resolve(path)
    _check_limits(path, max_episodes=max_episodes, max_episode_steps=max_episode_steps)
    arrays, metadata = _read(path, max_episode_steps, max_episodes)
    arrays = cast(arrays, path)
    check_arrays(arrays, None, path)
    arrays = _first_episodes(arrays, max_episodes)
    record = metadata.pop("record") | {"source": Path(path).name, "source_sha256": _sha256(path)}
    if clip_actions:
        arrays["actions"], clipped = _clip(arrays["actions"], spec, path)
        record |= clipped
    metadata |= ({"env": spec.id} if spec else {}) | ({"policy": policy} if policy else {})
    metadata["conversion"] = [*metadata.get("conversion", []), record]
    check_arrays(arrays, spec, path)
    return from_arrays(arrays, metadata)


def _check_limits(path: Source, **limits: int | None) -> None:
    for name, value in limits.items():
        if value is not None and value < 1:
            raise problem(path, name, ">= 1", str(value), "leave it out for no limit")


def _read(path: Source, max_episode_steps: int | None, max_episodes: int | None) -> Read:
    """Arrays and metadata; metadata["record"] begins this conversion's entry."""
    kind = _layout(path)
    if kind == "minari":
        arrays, notes = read_minari(path, max_episodes)
        env = {"env": notes["env"]} if notes["env"] else {}
        return arrays, env | {"record": {"format": kind} | notes}
    if kind == "pickle":
        arrays, notes = read_pickle(path, max_episode_steps)
        return arrays, {"record": {"format": kind} | notes}
    return _read_npz(path, max_episodes)


def _layout(path: Source) -> str:
    if os.path.isdir(path) or Path(path).suffix in (".hdf5", ".h5"):
        return "minari"
    try:
        with open_file(path) as file:
            magic = file.read(2)
    except OSError as error:
        raise problem(path, "file", "a readable file", reason(error), "check the path") from error
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
    return arrays, metadata | {"record": {"format": "npz"}}


def _first_episodes(arrays: dict[str, np.ndarray], count: int | None) -> dict[str, np.ndarray]:
    ends = np.flatnonzero(arrays["terminals"] | arrays["truncations"])
    if count is None or len(ends) <= count:
        return arrays
    return {field: array[: ends[count - 1] + 1] for field, array in arrays.items()}


def _clip(actions: np.ndarray, spec: EnvSpec | None, path: Source) -> tuple[np.ndarray, dict[str, Any]]:
    """Clipped actions, and what was done: counts of entries, largest magnitude before."""
    if spec is None:
        raise problem(path, "clip_actions", "bounds to clip to", "no environment", "name it with --env ID")
    if actions.dtype.kind != "f" or spec.action_low is None or actions.shape[1:] != np.shape(spec.action_low):
        return actions, {}  # not this environment's actions, or discrete: validation says so
    low, high = np.asarray(spec.action_low, np.float32), np.asarray(spec.action_high, np.float32)
    outside = out_of_range(actions, low, high)
    note = {
        "clipped_entries": int(outside.sum()),
        "action_entries": int(actions.size),
        "largest_magnitude": float(np.abs(actions[outside]).max(initial=0.0)),
    }
    return np.clip(actions, low, high), note


def _sha256(path: Source) -> str | None:
    if os.path.isdir(path):
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
