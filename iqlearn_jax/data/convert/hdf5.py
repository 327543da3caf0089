"""HDF5 files: flat columns (D4RL, d3rlpy 1), a group for each episode (robomimic, ManiSkill), d3rlpy 2."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.convert.columns import NUMBERS, Recording, is_column, join_episodes, needs, reading
from iqlearn_jax.data.convert.names import listed
from iqlearn_jax.data.convert.sizes import check_unpacked, declared

MAGIC = b"\x89HDF"
AMPLIFICATION = 1100  # bytes in memory per byte of file; deflate reaches 1032
NUMBERED = re.compile(r"^observations_\d+$")  # of d3rlpy
EPISODE = re.compile(r"^(?:(data)/)?([^/]*?)(\d+)/(.+)$")


class Stored:
    """An HDF5 data set that is larger in memory than in the file by no more than compression explains."""

    def __init__(self, dataset: Any, path: Source):
        """Reads nothing."""
        self._dataset, self._path = dataset, path
        self.shape, self.dtype = dataset.shape, dataset.dtype

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Those rows."""
        stored = self._dataset.id.get_storage_size()
        if self._dataset.nbytes > AMPLIFICATION * stored + 2**26:
            actual = f"{stored} stored"
            expected = f"what makes {self._dataset.nbytes} bytes"
            raise problem(self._path, self._dataset.name, expected, actual, "do not trust this file")
        return self._dataset[rows]


@contextmanager
def open_hdf5(path: Source) -> Iterator[Recording]:
    """An HDF5 file of any keys; links to other files are not followed.

    Raises:
      InputError: h5py is not installed, a damaged file, or one that declares more than its size allows.
    """
    try:
        import h5py  # optional
    except ImportError as error:
        raise needs(path, "h5py", "hdf5", error) from error
    with reading(path, "HDF5 file"), h5py.File(path, "r") as file:
        datasets: dict[str, Any] = {}
        file.visititems(lambda name, item: datasets.update({name: item}) if hasattr(item, "dtype") else None)
        yield _recording(file, datasets, path)


def _recording(file: Any, datasets: dict[str, Any], path: Source) -> Recording:
    columns: dict[str, Any] = {name: Stored(d, path) for name, d in datasets.items() if _is_read(d)}
    check_unpacked(sum(declared(datasets[name]) for name in columns), os.stat(path).st_size, path)
    if "num_episodes" in datasets and "observations_0" in columns:
        return _d3rlpy(columns, datasets, path)
    recording = _grouped(columns)
    if recording is None:
        unread = {name: f"{d.dtype} {d.shape}" for name, d in datasets.items() if name not in columns}
        return Recording("hdf5", columns, unread=unread)
    if "data" in file and "env_args" in file["data"].attrs:
        recording.format = "robomimic hdf5"
        recording.metadata |= _env_of(file["data"].attrs["env_args"])
    return recording


def _is_read(dataset: Any) -> bool:
    return dataset.shape is not None and is_column(dataset)


def _env_of(stated: Any) -> dict[str, str]:
    try:
        name = json.loads(stated)["env_name"]
    except (ValueError, TypeError, KeyError):
        return {}  # an attribute that nothing depends on
    return {"env": name} if isinstance(name, str) else {}


def _grouped(columns: dict[str, Any]) -> Recording | None:
    """The file as episodes, where every column lies in a numbered group of its own or of `data`."""
    episodes: dict[int, dict[str, Any]] = {}
    kinds = set()
    for name, column in columns.items():
        match = EPISODE.match(name)
        if match:
            kinds.add(match.group(1, 2))
            episodes.setdefault(int(match.group(3)), {})[match.group(4)] = column
        elif not name.startswith("mask/"):
            return None
    if len(kinds) != 1 or not episodes:
        return None
    ordered = [episodes[number] for number in sorted(episodes)]
    joined, unread = join_episodes(ordered)
    recording = Recording("hdf5, a group for each episode", joined, unread=unread)
    recording.groups = {"observations": "obs/", "next_observations": "next_obs/"}
    seen = sorted(name for name in joined if name.startswith("obs/"))
    vectors = [name for name in seen if len(joined[name].shape) <= 2]
    if seen:
        recording.known["observations"] = "+".join(vectors or seen)
        recording.known["next_observations"] = "+".join(f"next_{name}" for name in vectors or seen)
        recording.inner_ends = True  # robomimic marks steps of success as done, too
    return recording


def _d3rlpy(columns: dict[str, Any], datasets: dict[str, Any], path: Source) -> Recording:
    """d3rlpy 2: `observations_3` and so on, `terminated_3` a scalar; no successors."""
    needed = ("observations", "actions", "rewards")
    count = _number("num_episodes", datasets, path)
    there = sum(NUMBERED.match(name) is not None for name in columns)
    if count != int(count) or not 1 <= count <= there:
        expected = f"1..{there}, as many as there are of observations_0, observations_1, ..."
        actual = f"{count} beside {listed(datasets)}"
        raise problem(path, "num_episodes", expected, actual, "copy or record it again")
    count = int(count)
    missing = [f"{name}_{i}" for i in range(count) for name in needed if f"{name}_{i}" not in columns]
    if missing:
        remedy = "observations of several parts are not read: save them side by side"
        actual = f"only {listed(columns)}"
        raise problem(path, missing[0], f"an array for each of {count} episodes", actual, remedy)
    episodes = [{name: columns[f"{name}_{i}"] for name in needed} for i in range(count)]
    joined: dict[str, Any]
    joined, unread = join_episodes(episodes)
    rows = np.array([episode["actions"].shape[0] for episode in episodes])
    ended = np.zeros(int(rows.sum()), bool)
    ended[np.cumsum(rows) - 1] = [bool(_number(f"terminated_{i}", datasets, path)) for i in range(count)]
    joined["terminals"] = ended
    return Recording("d3rlpy hdf5", joined, unread=unread)


def _number(name: str, datasets: dict[str, Any], path: Source) -> Any:
    """A data set of one number, which is looked at before it is read."""
    found = datasets.get(name)
    if found is None:
        actual = f"only {listed(datasets)}"
    elif found.shape not in ((), (1,)) or found.dtype.kind not in NUMBERS:
        actual = f"{found.dtype} {list(found.shape or ())} beside {listed(datasets)}"
    else:
        return found[()].item()
    raise problem(path, name, "one number", actual, "copy or record it again")
