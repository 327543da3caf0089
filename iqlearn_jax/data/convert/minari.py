"""Minari data sets in a local folder; nothing is downloaded and no environment is built."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.errors import InputError

EPISODE_BYTES = 64  # fewer than the shortest episode takes in any storage


def read_minari(
    path: Source, max_episodes: int | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads a local Minari data set with array observations and actions.

    Args:
      path: the data set's folder, its `data` folder, or a file in that.
      max_episodes: keep only so many episodes, from the first; None keeps all.
    Returns:
      the six arrays of the format, dtypes as found, and notes (`env`, `dataset_id`, `open_ends`: episodes
      whose last step was not marked, taken as truncations).
    Raises:
      InputError: package not installed, no such data set, damage, or dictionary spaces.
    """
    folder = _data_folder(path)
    metadata = _metadata(folder, path)
    _check_count(metadata, folder, path)
    try:
        import minari  # heavy and optional: only who reads Minari pays for it

        dataset = minari.MinariDataset(folder)
        count = dataset.total_episodes if max_episodes is None else min(max_episodes, dataset.total_episodes)
        episodes = [_episode(e, path) for e in dataset.iterate_episodes(np.arange(count))]
    except InputError:
        raise
    except ImportError as error:  # of minari, or of the storage that this data set needs
        remedy = "pip install 'iqlearn_jax[minari]' (and 'minari[arrow]' for arrow or parquet files)"
        raise problem(path, "file", "the packages to read it", str(error), remedy) from error
    except Exception as error:  # a damaged file makes the storage back end raise anything
        reason = f"{type(error).__name__}: {error}"[:160]
        raise problem(path, "file", "a whole Minari data set", reason, "copy or record it again") from error
    if not episodes:
        raise problem(path, "file", "at least one episode", "zero episodes", "record at least one episode")
    arrays = {key: np.concatenate([episode[key] for episode, _ in episodes]) for key in episodes[0][0]}
    notes = {"dataset_id": metadata.get("dataset_id"), "open_ends": sum(is_open for _, is_open in episodes)}
    return arrays, notes | {"env": dataset.env_spec.id if dataset.env_spec else None}


def _data_folder(path: Source) -> Path:
    folder = Path(path)
    for candidate in (folder, folder / "data", folder.parent):
        if (candidate / "metadata.json").is_file():
            return candidate
    remedy = "give the folder that holds data/metadata.json; download it first with 'minari download'"
    raise problem(path, "file", "a Minari data set (metadata.json)", "none", remedy)


def _metadata(folder: Path, path: Source) -> dict[str, Any]:
    try:
        metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        remedy = "copy or record it again"
        raise problem(path, "metadata.json", "a JSON file", str(error)[:120], remedy) from error
    for space in ("observation_space", "action_space"):
        # without them Minari would build the environment that the file names, which can be any code
        if not isinstance(metadata, dict) or not isinstance(metadata.get(space), str):
            remedy = (
                "save the data set again with a recent minari; its environment is not built to guess them"
            )
            raise problem(path, f"metadata.json: {space}", "a stored space", "none", remedy)
    return metadata


def _check_count(metadata: dict[str, Any], folder: Path, path: Source) -> None:
    """Refuses more episodes than the storage can hold; Minari lists their numbers before it looks."""
    count = metadata.get("total_episodes", 0)
    bytes_there = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    most = bytes_there // EPISODE_BYTES
    if type(count) is not int or not 0 <= count <= most:
        expected = f"0..{most}, as {bytes_there} bytes can hold"
        raise problem(
            path, "metadata.json: total_episodes", expected, repr(count)[:40], "copy or record it again"
        )


def _episode(episode: Any, path: Source) -> tuple[dict[str, np.ndarray], bool]:
    for field, value in (("observations", episode.observations), ("actions", episode.actions)):
        if not isinstance(value, np.ndarray):
            remedy = "flatten it first (gymnasium.wrappers.FlattenObservation) and record again"
            actual = type(value).__name__
            raise problem(path, f"{field} of episode {episode.id}", "one array", actual, remedy)
    steps = len(episode.rewards)
    if len(episode.observations) != steps + 1:
        expected, actual = f"{steps + 1} observations", str(len(episode.observations))
        raise problem(path, f"observations of episode {episode.id}", expected, actual, "record it again")
    arrays = {
        "observations": episode.observations[:-1],
        "next_observations": episode.observations[1:],
        "actions": episode.actions,
        "rewards": episode.rewards,
        "terminals": episode.terminations.astype(bool),
        "truncations": episode.truncations.astype(bool),
    }
    is_open = not (arrays["terminals"][-1] or arrays["truncations"][-1])
    arrays["truncations"][-1] |= is_open
    return arrays, bool(is_open)
