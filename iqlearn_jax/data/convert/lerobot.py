"""LeRobot data sets in a local folder (v2.0, v2.1 and v3.0); their videos are not read."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.convert.arrow import numbers, numeric
from iqlearn_jax.data.convert.columns import Pieces, Recording, needs, reading
from iqlearn_jax.data.convert.names import listed
from iqlearn_jax.data.convert.sizes import check_unpacked, unpacked_size

INFO = Path("meta", "info.json")
NUMBERS = (
    "float16",
    "float32",
    "float64",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
)


class Feature:
    """A feature in one parquet file; the last one read stays in memory."""

    def __init__(self, file: Any, name: str, row: tuple[int, ...], dtype: str, path: Source):
        """`row` is the shape of one step, `path` for messages."""
        self._file, self._name, self._path = file, name, path
        self.shape, self.dtype = (file.metadata.num_rows, *row), np.dtype(dtype)
        self._read: np.ndarray | None = None

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Those rows."""
        if self._read is None:
            with reading(self._path, "LeRobot data set"):
                self._read = self._whole()
        return self._read[rows]

    def _whole(self) -> np.ndarray:
        kind = self._file.schema_arrow.field(self._name).type
        if not numeric(kind):
            raise ValueError(f"{self._name} is stored as {kind}")
        stored = numbers(self._file.read(columns=[self._name]).column(0).combine_chunks())
        return np.asarray(stored, self.dtype).reshape(self.shape)


def is_lerobot(folder: Source) -> bool:
    """Whether a folder says that it is one."""
    return Path(folder, INFO).is_file()


def read_lerobot(path: Source) -> Recording:
    """Lists the numeric features of a folder with `meta/info.json` and `data/*/*.parquet`.

    The observation is `observation.state` unless `--map` names others; an index tells episodes apart.

    Raises:
      InputError: pyarrow is not installed, or a damaged folder.
    """
    try:
        import pyarrow.parquet as parquet  # optional and heavy
    except ImportError as error:
        raise needs(path, "pyarrow", "arrow", error) from error
    with reading(path, "LeRobot data set"):
        info = _info(path)
        names = sorted(Path(path, "data").glob("*/*.parquet"))
        size = sum(name.stat().st_size for name in names)
        check_unpacked(sum(map(unpacked_size, names)), size, path)
        files = [parquet.ParquetFile(name) for name in names]
        features = {
            name: feature for name, feature in info["features"].items() if feature["dtype"] in NUMBERS
        }
        if not files:
            raise problem(path, "data", "parquet files", "none", "download the data set's data folder, too")
        check_unpacked(sum(_size_of(file, features) for file in files), size, path)
        columns = {name: _column(files, name, feature, path) for name, feature in features.items()}
        unread = {name: str(f["dtype"]) for name, f in info["features"].items() if name not in columns}
    known = {
        "observations": "observation.state",
        "actions": "action",
        "rewards": "next.reward",
        "dones": "next.done",
        "episode": "episode_index",
    }
    notes = {"version": info.get("codebase_version"), "robot": info.get("robot_type")}
    return Recording("lerobot", dict(columns), known=known, unread=unread, inner_ends=True, notes=notes)


def _info(path: Source) -> dict[str, Any]:
    info = json.loads(Path(path, INFO).read_text(encoding="utf-8"))
    if not isinstance(info, dict) or not isinstance(info.get("features"), dict):
        actual = f"only {listed(info)}" if isinstance(info, dict) else type(info).__name__
        remedy = "download the data set's meta folder again"
        raise problem(path, f"{INFO}: features", "an object with each feature", actual, remedy)
    return info


def _size_of(file: Any, features: dict[str, Any]) -> int:
    return sum(
        file.metadata.num_rows * math.prod(feature["shape"]) * np.dtype(feature["dtype"]).itemsize
        for feature in features.values()
    )


def _column(files: list[Any], name: str, feature: dict[str, Any], path: Source) -> Any:
    row = tuple(feature["shape"])
    if any(type(size) is not int or size < 0 for size in row):
        raise ValueError(f"{name} of shape {row}")
    row = () if row == (1,) and name not in ("observation.state", "action") else row  # stored as a number
    parts = [Feature(file, name, row, feature["dtype"], path) for file in files]
    return Pieces(parts)  # not episodes: from v3 on a file holds several
