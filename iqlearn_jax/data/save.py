"""Demonstrations and other arrays written to npz files, whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.demos import BUNDLED_PREFIX, SCHEMA_VERSION, Demos, fields_of, from_arrays, validate
from iqlearn_jax.disk import reason, written_whole


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Writes an npz file; the old one stays whole until the new one is.

    Raises:
      InputError: a target that cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as temporary, open(temporary, "xb") as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise problem(path, "file", "a writable target", reason(error), "choose another path") from error


def save(path: Source, demos: Demos) -> Demos:
    """Validates and writes a demonstration file; the old file stays whole until the new one is.

    Args:
      path: target; its folder is created.
      demos: what to write. `schema_version, env, policy, returns, digest` are set in its metadata
        (`env` and `policy` are "unknown" unless given; `returns` is one number per episode, where known).
    Returns:
      the demonstrations as a later `load_demos` gives them.
    Raises:
      InputError: invalid demonstrations, or a target that cannot be written.
    """
    if os.fspath(path).startswith(BUNDLED_PREFIX):
        remedy = "choose another path"
        raise problem(path, "file", "a file to write", "demonstrations that come with the library", remedy)
    validate(demos, source=path, observation_only=demos.actions is None)
    metadata = {"env": "unknown", "policy": "unknown"} | demos.metadata
    metadata |= {"schema_version": SCHEMA_VERSION, "digest": demos.digest}
    metadata.pop("returns", None)
    if demos.episode_returns is not None:
        metadata["returns"] = [round(float(r), 6) for r in demos.episode_returns]
    arrays = {name: array for name, array in fields_of(demos).items() if array is not None}
    write_arrays(Path(path), arrays | {"metadata": np.array(json.dumps(metadata, sort_keys=True))})
    return from_arrays(arrays, metadata)
