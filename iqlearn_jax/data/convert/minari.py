"""Minari data sets in a local folder, or by their id; nothing is downloaded and no environment is built."""

import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.convert.columns import Recording
from iqlearn_jax.errors import InputError

EPISODE_BYTES = 64  # fewer than the shortest episode takes in any storage


def local_folder(dataset_id: str) -> Path | None:
    """Where Minari keeps a data set of this id on this machine; None where it does not."""
    home = os.environ.get("MINARI_DATASETS_PATH") or os.path.expanduser("~/.minari/datasets")
    folder = Path(home, dataset_id)
    return folder if (folder / "data" / "metadata.json").is_file() else None


def is_minari(folder: Source) -> bool:
    """Whether a folder is a data set, or the data in one."""
    return any(Path(folder, *inside, "metadata.json").is_file() for inside in ((), ("data",)))


def read_minari(path: Source, max_episodes: int | None = None) -> Recording:
    """Reads a local Minari data set with array actions.

    Observations of Dict and Tuple spaces are columns `obs/KEY`, put side by side unless `--map` chooses: each
    flattened, the keys in the order of the space, as `gymnasium.wrappers.FlattenObservation` has them.

    Args:
      path: the data set's folder, its `data` folder, or a file in that.
      max_episodes: keep only so many episodes, from the first; None keeps all.
    Returns:
      columns, dtypes as found, and notes (`dataset_id`, `open_ends`: episodes whose last step was not marked,
      taken as truncations).
    Raises:
      InputError: package not installed, no such data set, damage, or actions that are no arrays.
    """
    folder = _data_folder(path)
    metadata = _metadata(folder, path)
    _check_count(metadata, folder, path)
    try:
        import minari  # heavy and optional: only who reads Minari pays for it

        dataset = minari.MinariDataset(folder)
        count = dataset.total_episodes if max_episodes is None else min(max_episodes, dataset.total_episodes)
        space = dataset.observation_space
        episodes = [_episode(e, space, path) for e in dataset.iterate_episodes(np.arange(count))]
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
    notes: dict[str, Any] = {"dataset_id": metadata.get("dataset_id")}
    notes["open_ends"] = sum(is_open for _, is_open in episodes)
    recording = Recording("minari", dict(arrays), notes=notes)
    recording.metadata = {"env": dataset.env_spec.id} if dataset.env_spec else {}
    if "observations" not in arrays:
        recording.groups = {"observations": "obs/", "next_observations": "next_obs/"}
        for field, group in recording.groups.items():
            recording.known[field] = "+".join(name for name in arrays if name.startswith(group))
    return recording


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


def _leaves(space: Any, keys: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """The spaces inside a space, in order, and the keys that lead there."""
    parts = getattr(space, "spaces", None)
    if parts is None:
        yield keys, space
        return
    for key, part in parts.items() if isinstance(parts, Mapping) else enumerate(parts):
        yield from _leaves(part, (*keys, key))


def _parts(value: Any, space: Any, place: str, path: Source) -> dict[str, np.ndarray]:
    """{"": [T + 1, ...]} of an array space; {"goal/x": [T + 1, size], ...} of one with others inside."""
    leaves = list(_leaves(space))
    if not leaves[0][0] and isinstance(value, np.ndarray):
        return {"": value}
    from gymnasium import spaces  # heavy, and only here

    parts = {}
    for keys, leaf in leaves:
        name = "/".join(map(str, keys))
        part = functools.reduce(lambda inside, key: inside[key], keys, value)
        if not isinstance(part, np.ndarray) or part.dtype.kind not in "biuf":
            actual = f"{leaf} at '{name}'"[:120]
            raise problem(path, place, "arrays of numbers", actual, "record it again without this entry")
        if isinstance(leaf, spaces.Discrete):  # one-hot, as FlattenObservation has it
            part = part.reshape(-1, 1) == int(leaf.start) + np.arange(int(leaf.n))
        parts[name] = part.reshape(len(part), -1).astype(np.result_type(part, np.float32))
    return parts


def _episode(episode: Any, space: Any, path: Source) -> tuple[dict[str, np.ndarray], bool]:
    if not isinstance(episode.actions, np.ndarray):
        remedy = "an array is needed: flatten the action space (gymnasium.spaces.flatten) and record again"
        actual = type(episode.actions).__name__
        raise problem(path, f"actions of episode {episode.id}", "one array", actual, remedy)
    steps = len(episode.rewards)
    place = f"observations of episode {episode.id}"
    arrays: dict[str, np.ndarray] = {}
    for name, part in _parts(episode.observations, space, place, path).items():
        if len(part) != steps + 1:
            expected, actual = f"{steps + 1} observations", str(len(part))
            raise problem(path, place, expected, actual, "record it again")
        now, following = (
            (f"obs/{name}", f"next_obs/{name}") if name else ("observations", "next_observations")
        )
        arrays |= {now: part[:-1], following: part[1:]}
    arrays |= {
        "actions": episode.actions,
        "rewards": episode.rewards,
        "terminals": episode.terminations.astype(bool),
        "truncations": episode.truncations.astype(bool),
    }
    is_open = not (arrays["terminals"][-1] or arrays["truncations"][-1])
    arrays["truncations"][-1] |= is_open
    return arrays, bool(is_open)
