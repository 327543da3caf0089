"""Demonstrations in memory and on disk (`*.npz`, schema version 1 of docs/formats.md)."""

import contextlib
import dataclasses
import hashlib
import json
import os
import secrets
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import FIELDS, Source, check_arrays, problem
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec, Transition

SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Demos:
    """Episodes one after the other; an episode ends where `terminals | truncations`.

    Attributes:
      observations: [N, *obs] float32, uint8 images or int32 states.
      actions: [N] int32 or [N, A] float32 in the environment's units; None for observation-only use.
      rewards: [N] float32 true reward, for reports only.
      next_observations: [N, *obs] the true successor, also at the end of an episode.
      terminals: [N] bool, true end of the task. A step that is also truncated counts as terminated.
      truncations: [N] bool, cut by time.
      metadata: schema_version, env, policy, returns, digest and what conversion did; {} in foreign files.
    """

    observations: np.ndarray
    actions: np.ndarray | None
    rewards: np.ndarray
    next_observations: np.ndarray
    terminals: np.ndarray
    truncations: np.ndarray
    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.observations)

    @property
    def _ends(self) -> np.ndarray:
        return np.flatnonzero(self.terminals | self.truncations)

    @property
    def num_episodes(self) -> int:
        """Number of episodes E."""
        return len(self._ends)

    @property
    def episode_starts(self) -> np.ndarray:
        """[E] int64 index of the first step of each episode."""
        return np.concatenate([[0], self._ends[:-1] + 1]).astype(np.int64)[: self.num_episodes]

    @property
    def episode_lengths(self) -> np.ndarray:
        """[E] int64 number of steps of each episode."""
        return self._ends + 1 - self.episode_starts

    @property
    def episode_returns(self) -> np.ndarray:
        """[E] float64 undiscounted sum of true rewards of each episode."""
        if not self.num_episodes:
            return np.zeros(0)
        return np.add.reduceat(self.rewards.astype(np.float64), self.episode_starts)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over name, dtype, shape and bytes of every array; metadata does not enter."""
        sha = hashlib.sha256()
        for field in FIELDS:
            array = getattr(self, field)
            if array is None:
                continue
            sha.update(f"{field} {array.dtype.str} {array.shape};".encode())
            sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()


def from_arrays(arrays: Mapping[str, Any], metadata: dict[str, Any]) -> Demos:
    """Demos of the format's six arrays, unchecked; only the actions may be absent."""
    fields: dict[str, Any] = {field: arrays.get(field) for field in FIELDS}
    return Demos(**fields, metadata=metadata)


def validate(
    demos: Demos, spec: EnvSpec | None = None, source: Source = "demos", observation_only: bool = False
) -> None:
    """Checks shapes, dtypes, finiteness, continuity, ends of episodes and (with `spec`) the spaces.

    A step that is terminated and truncated at once is accepted and counts as terminated.

    Args:
      demos: what to check.
      spec: environment to compare with, or None.
      source: file name for messages.
      observation_only: the actions may be absent and are not looked at.
    Raises:
      InputError: one line that names file, field, index, expected, found and remedy.
    """
    arrays = {field: getattr(demos, field) for field in FIELDS}
    check_arrays(arrays, spec, source, observation_only)


def transitions(demos: Demos) -> Transition:
    """The demonstrations as one Transition of NumPy arrays, leading axis [N], nothing copied.

    `truncated` is false where `terminated` is true. Without actions (observation-only) `action` is
    None, an empty subtree: whoever reads it fails at once instead of learning from a made-up action.
    """
    leaves: dict[str, Any] = {
        "obs": demos.observations,
        "action": demos.actions,
        "reward": demos.rewards,
        "next_obs": demos.next_observations,
        "terminated": demos.terminals,
        "truncated": demos.truncations & ~demos.terminals,
    }
    return Transition(**leaves)


def load(path: Source, spec: EnvSpec | None = None, observation_only: bool = False) -> Demos:
    """Reads and validates a demonstration file; unknown keys are ignored and nothing is unpickled.

    Args:
      path: `*.npz` of docs/formats.md, with or without `metadata`.
      spec: environment to compare with, or None.
      observation_only: the file may lack `actions`; they become None even if it has them, so that no
        method can look at them.
    Raises:
      InputError: missing, foreign, damaged or invalid file; digest or schema that does not match.
    """
    arrays = read_arrays(path, (*FIELDS, "metadata"))
    metadata = parse_metadata(arrays.pop("metadata", None), path)
    check_arrays(arrays, spec, path, observation_only)
    demos = from_arrays(arrays, metadata)
    _check_digest(demos, path)
    return dataclasses.replace(demos, actions=None) if observation_only else demos


def save(path: Source, demos: Demos) -> Demos:
    """Validates and writes a demonstration file; the old file stays whole until the new one is.

    Args:
      path: target; its folder is created.
      demos: what to write. `schema_version, env, policy, returns, digest` are set in its metadata
        (`env` and `policy` are "unknown" unless given; `returns` is one number per episode).
    Returns:
      the demonstrations as a later `load` gives them.
    Raises:
      InputError: invalid demonstrations, or a target that cannot be written.
    """
    validate(demos, source=path, observation_only=demos.actions is None)
    metadata = {"env": "unknown", "policy": "unknown"} | demos.metadata
    metadata |= {"schema_version": SCHEMA_VERSION, "digest": demos.digest}
    metadata["returns"] = [round(float(r), 6) for r in demos.episode_returns]
    arrays = {f: getattr(demos, f) for f in FIELDS if getattr(demos, f) is not None}
    write_arrays(Path(path), arrays | {"metadata": np.array(json.dumps(metadata, sort_keys=True))})
    return dataclasses.replace(demos, metadata=metadata)


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Writes an npz file; the old one stays whole until the new one is.

    Raises:
      InputError: a target that cannot be written.
    """
    # same folder, so that os.replace stays within one file system
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise problem(path, "file", "a writable target", reason, "choose another path") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def read_arrays(path: Source, keys: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an npz file without ever unpickling.

    Args:
      path: file to read.
      keys: the arrays wanted; those that the file lacks are left out. None reads all.
    Raises:
      InputError: no such file, not an npz, damaged, or an object array (which would need a pickle).
    """
    _check_magic(path)
    try:
        # opened here, as NumPy leaves a file of its own open when it turns out to be damaged
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            names = [k for k in archive.files if keys is None or k in keys]
            return {name: _member(archive, name, path) for name in names}
    except InputError:
        raise
    except Exception as error:  # foreign bytes can make zipfile and NumPy raise anything
        raise _damaged(path, "file", error) from error


def _check_magic(path: Source) -> None:
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise problem(path, "file", "a readable npz file", reason, "check the path") from error
    if not magic.startswith(b"PK"):
        remedy = "'iqlearn demos convert SRC DST' reads the authors' pickles and Minari data sets"
        raise problem(path, "file", "an npz file (a zip archive)", f"the first bytes {magic!r}", remedy)


def _member(archive: Any, name: str, path: Source) -> np.ndarray:
    try:
        array = archive[name]
    except Exception as error:  # as above
        raise _damaged(path, name, error) from error
    if not isinstance(array, np.ndarray):  # np.load hands over members that are not npy as bytes
        raise problem(
            path, name, "an array in npy format", "other bytes", "write the file again with numpy.savez"
        )
    return array


def _damaged(path: Source, place: str, error: Exception) -> InputError:
    if isinstance(error, ValueError) and "allow_pickle" in str(error):
        remedy = (
            "store plain numeric arrays: object arrays hold pickles, which can run code, and are never read"
        )
        return problem(path, place, "a plain array", "an object array", remedy)
    reason = (
        "not a zip archive" if isinstance(error, zipfile.BadZipFile) else f"{type(error).__name__}: {error}"
    )
    return problem(
        path, place, "a whole npz file", f"damaged data ({reason[:120]})", "copy or record it again"
    )


def parse_metadata(array: np.ndarray | None, path: Source) -> dict[str, Any]:
    """The metadata object of a file, {} where it has none; InputError for other JSON or another schema."""
    if array is None:
        return {}
    try:
        metadata = json.loads(str(array[()]))
    except (ValueError, RecursionError) as error:
        raise problem(
            path, "metadata", "JSON", str(error)[:120], "write the file with data.demos.save"
        ) from error
    if not isinstance(metadata, dict):
        found = type(metadata).__name__
        raise problem(path, "metadata", "a JSON object", found, "write the file with data.demos.save")
    if not isinstance(metadata.get("conversion", []), list):
        found = repr(metadata["conversion"])[:60]
        raise problem(path, "metadata.conversion", "a list", found, "write the file with data.demos.save")
    version = metadata.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        remedy = "upgrade iqlearn_jax or write the file again"
        raise problem(path, "metadata.schema_version", str(SCHEMA_VERSION), repr(version), remedy)
    return metadata


def _check_digest(demos: Demos, path: Source) -> None:
    stated = demos.metadata.get("digest")
    if stated is not None and stated != demos.digest:
        remedy = (
            "the arrays changed after they were saved: save them with data.demos.save, or fetch them anew"
        )
        raise problem(path, "metadata.digest", f"{str(stated)[:16]}…", f"{demos.digest[:16]}…", remedy)
