"""Which reader a source is for: by its first bytes, what lies in the folder, or what it is in memory."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.convert.arrow import is_arrow, read_arrow
from iqlearn_jax.data.convert.columns import Recording
from iqlearn_jax.data.convert.dicts import from_dict, from_episodes
from iqlearn_jax.data.convert.hdf5 import MAGIC, open_hdf5
from iqlearn_jax.data.convert.lerobot import is_lerobot, read_lerobot
from iqlearn_jax.data.convert.minari import is_minari, local_folder, read_minari
from iqlearn_jax.data.convert.npz import open_npz
from iqlearn_jax.data.convert.pickles import read_npy, read_pickle
from iqlearn_jax.data.convert.tables import ENDINGS, read_table
from iqlearn_jax.data.demos import resolve
from iqlearn_jax.disk import open_file, reason

Arrays = Mapping[str, Any] | Sequence[Mapping[str, Any]]
KNOWN = "known: npz, HDF5, pickle, npy, CSV, and folders of Minari, LeRobot and imitation"


def open_source(source: Source | Arrays, max_episodes: int | None) -> AbstractContextManager[Recording]:
    """The columns of a file, a folder, or of arrays in memory.

    Raises:
      InputError: nothing there, or of no known layout.
    """
    if isinstance(source, Mapping):
        return nullcontext(from_dict(source, "arrays"))
    if not isinstance(source, str | os.PathLike):
        return nullcontext(from_episodes(source, "arrays"))
    if os.path.isdir(source):
        return nullcontext(_folder(source, max_episodes))
    magic = _magic(source)
    if magic[:2] == b"PK":
        return open_npz(source, max_episodes)
    if magic[:4] == MAGIC:
        of_minari = is_minari(Path(source).parent)
        return nullcontext(read_minari(source, max_episodes)) if of_minari else open_hdf5(source)
    if magic == b"\x93NUMPY":
        return nullcontext(read_npy(source))
    ending = Path(source).suffix.lower()
    if ending in ENDINGS:
        return nullcontext(read_table(source, ENDINGS[ending]))
    # protocols 0 and 1 have no magic: known by the name, or by how a dict or a list begins
    if magic[:1] in (b"\x80", b"(", b"}", b"]") or ending in (".pkl", ".pickle"):
        return nullcontext(read_pickle(source))
    raise problem(source, "file", "a known layout", f"the first bytes {magic!r}", KNOWN)


def locate(path: Source) -> Source:
    """What a path means: a file or folder, `bundled:NAME`, or the id of a local Minari data set."""
    found = resolve(path)
    return found if found.exists() else local_folder(os.fspath(path)) or found


def _folder(path: Source, max_episodes: int | None) -> Recording:
    if is_lerobot(path):
        return read_lerobot(path)
    if is_arrow(path):
        return read_arrow(path)
    if is_minari(path):
        return read_minari(path, max_episodes)
    inside = sorted(entry.name for entry in Path(path).iterdir())
    actual = f"{', '.join(inside[:6])}{', ...' if len(inside) > 6 else ''}" if inside else "an empty folder"
    expected = (
        "a folder with data/metadata.json (Minari), meta/info.json (LeRobot) or dataset_info.json (imitation)"
    )
    raise problem(path, "folder", expected, actual, "give one of these, or the file inside")


def _magic(path: Source) -> bytes:
    try:
        with open_file(path) as file:
            return file.read(len(np.lib.format.MAGIC_PREFIX))
    except OSError as error:
        remedy = "check the path (or the id of a Minari data set, after 'minari download ID')"
        raise problem(path, "file", "a readable file", reason(error), remedy) from error
