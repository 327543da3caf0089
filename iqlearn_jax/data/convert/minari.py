"""Minari data sets in a local folder, or by their id; nothing is downloaded and no environment is built."""

import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.convert.arrow import check_file
from iqlearn_jax.data.convert.columns import Recording, unlike
from iqlearn_jax.data.convert.names import listed
from iqlearn_jax.data.convert.sizes import check_unpacked, declared, unpacked_size
from iqlearn_jax.errors import InputError

MUST = ("data_format", "total_episodes")  # keys without which Minari reads no metadata.json
MOST_ENTRIES = 100_000  # of an observation as a vector, as for environments
EPISODE_BYTES = 64  # fewer than the shortest episode takes in any storage


def local_folder(dataset_id: str) -> Path | None:
    """Where Minari keeps a data set of this id on this machine; None where it does not."""
    home = os.environ.get("MINARI_DATASETS_PATH") or os.path.expanduser("~/.minari/datasets")
    folder = Path(home, dataset_id)
    return folder if (folder / "data" / "metadata.json").is_file() else None


def is_minari(folder: Source) -> bool:
    """Whether a folder is a data set, or the data in one, by what its `metadata.json` holds."""
    return any(_is_data(Path(folder, *inside)) for inside in ((), ("data",)))


def _is_data(folder: Path) -> bool:
    try:
        metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        # a damaged one is Minari's where its storage lies beside it, so that the message names it
        return (folder / "metadata.json").is_file() and any(
            (folder / name).exists() for name in ("main_data.hdf5", "0")
        )
    return isinstance(metadata, dict) and all(key in metadata for key in MUST)


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
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    _check_count(metadata, size, path)
    try:
        import minari  # heavy and optional: only who reads Minari pays for it

        check_unpacked(_declared(folder, path), size, path)
        dataset = minari.MinariDataset(folder)
        count = dataset.total_episodes if max_episodes is None else min(max_episodes, dataset.total_episodes)
        episodes = _episodes(dataset, count, size, path)
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
    arrays = {key: _joined([episode[key] for episode, _ in episodes], key, path) for key in episodes[0][0]}
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
        if _is_data(candidate):
            return candidate
    remedy = "give the folder that holds data/metadata.json; download it first with 'minari download'"
    expected = f"a Minari data set (metadata.json with {', '.join(MUST)})"
    raise problem(path, "file", expected, "none", remedy)


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
            actual = f"only {listed(metadata)}" if isinstance(metadata, dict) else type(metadata).__name__
            raise problem(path, f"metadata.json: {space}", "a stored space", actual, remedy)
    return metadata


def _check_count(metadata: dict[str, Any], bytes_there: int, path: Source) -> None:
    """Refuses more episodes than the storage can hold; Minari lists their numbers before it looks."""
    count = metadata.get("total_episodes", 0)
    most = bytes_there // EPISODE_BYTES
    if type(count) is not int or not 0 <= count <= most:
        expected = f"0..{most}, as {bytes_there} bytes can hold"
        raise problem(
            path, "metadata.json: total_episodes", expected, repr(count)[:40], "copy or record it again"
        )


def _declared(folder: Path, path: Source) -> int:
    """Bytes that the storage says its arrays become; no array is read."""
    total = 0
    main = folder / "main_data.hdf5"
    if main.is_file():
        import h5py

        with h5py.File(main, "r") as file:
            found: list[Any] = []
            file.visititems(lambda name, item: found.append(item) if hasattr(item, "dtype") else None)
            total += sum(map(declared, found))
    for name in sorted(folder.glob("*/*.parquet")):
        total += unpacked_size(name)
    for name in sorted(folder.glob("*/*.arrow")):
        check_file(name.read_bytes(), path)
    return total


def _one_hot_size(space: Any, path: Source) -> int:
    """Entries of integers inside a Dict or Tuple space as indicators, of one step."""
    from gymnasium import spaces

    leaves = [leaf for keys, leaf in _leaves(space) if keys]
    entries = sum(int(leaf.n) for leaf in leaves if isinstance(leaf, spaces.Discrete))
    integers = [leaf.nvec for leaf in leaves if isinstance(leaf, spaces.MultiDiscrete)]
    entries += sum(int(size) for sizes in integers for size in np.ravel(sizes))  # int64 would wrap round
    if not 0 <= entries <= MOST_ENTRIES:
        expected = f"at most {MOST_ENTRIES} entries of integers as one-hot vectors"
        remedy = "record it again without this entry, or as numbers in a Box"
        raise problem(path, "metadata.json: observation_space", expected, str(entries), remedy)
    return entries


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
        if isinstance(leaf, spaces.Discrete | spaces.MultiDiscrete):
            part = _one_hot(part, leaf, f"{place}, '{name}'", path)
        parts[name] = part.reshape(len(part), -1).astype(np.result_type(part, np.float32))
    return parts


def _joined(parts: list[np.ndarray], name: str, path: Source) -> np.ndarray:
    reason = unlike(parts)
    if reason is not None:
        raise problem(path, name, "rows of one shape in every episode", reason, "record it again")
    return np.concatenate(parts)


def _episodes(dataset: Any, count: int, size: int, path: Source) -> list[tuple[dict[str, np.ndarray], bool]]:
    space, episodes, one_hot = dataset.observation_space, [], 0
    width = _one_hot_size(space, path)
    for episode in dataset.iterate_episodes(np.arange(count)):
        one_hot += 4 * width * (len(episode.rewards) + 1)
        check_unpacked(one_hot, size, path)
        episodes.append(_episode(episode, space, path))
    return episodes


def _one_hot(part: np.ndarray, leaf: Any, place: str, path: Source) -> np.ndarray:
    """[T, sum of sizes] bool of integers [T, ...], in the order of `envs.spaces` and FlattenObservation.

    Raises:
      InputError: other numbers than the space has.
    """
    sizes = np.ravel(leaf.nvec if hasattr(leaf, "nvec") else leaf.n)
    digits = part.reshape(len(part), -1) - np.ravel(leaf.start)
    if digits.shape[1] != len(sizes) or ((digits < 0) | (digits >= sizes)).any():
        actual = f"{part.dtype} {list(part.shape)}, {part.min(initial=0)}..{part.max(initial=0)}"
        raise problem(path, place, f"integers of {leaf}"[:120], actual, "record it again")
    return np.concatenate([digits[:, [i]] == np.arange(n) for i, n in enumerate(sizes)], axis=1)


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
