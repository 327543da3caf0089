"""LeRobot data sets in a local folder (v2.0, v2.1 and v3.0); their videos are not read."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.convert.arrow import numbers
from iqlearn_jax.data.convert.columns import Pieces, Recording, needs, reading

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

    def __init__(self, file: Any, name: str, rows: int, row: tuple[int, ...], dtype: str):
        """`row` is the shape of one step."""
        self._file, self._name = file, name
        self.shape, self.dtype = (rows, *row), np.dtype(dtype)
        self._read: np.ndarray | None = None

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Those rows."""
        if self._read is None:
            stored = numbers(self._file.read(columns=[self._name]).column(0).combine_chunks())
            self._read = np.asarray(stored, self.dtype).reshape(self.shape)
        return self._read[rows]


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
        info = json.loads(Path(path, INFO).read_text(encoding="utf-8"))
        files = [parquet.ParquetFile(name) for name in sorted(Path(path, "data").glob("*/*.parquet"))]
        features = {
            name: feature for name, feature in info["features"].items() if feature["dtype"] in NUMBERS
        }
        if not files:
            raise problem(path, "data", "parquet files", "none", "download the data set's data folder, too")
        columns = {name: _column(files, name, feature) for name, feature in features.items()}
    known = {
        "observations": "observation.state",
        "actions": "action",
        "rewards": "next.reward",
        "dones": "next.done",
        "episode": "episode_index",
    }
    unread = {name: str(f["dtype"]) for name, f in info["features"].items() if name not in columns}
    notes = {"version": info.get("codebase_version"), "robot": info.get("robot_type")}
    return Recording("lerobot", dict(columns), known=known, unread=unread, inner_ends=True, notes=notes)


def _column(files: list[Any], name: str, feature: dict[str, Any]) -> Any:
    row = tuple(feature["shape"])
    row = () if row == (1,) and name not in ("observation.state", "action") else row  # stored as a number
    parts = [Feature(file, name, file.metadata.num_rows, row, feature["dtype"]) for file in files]
    return Pieces(parts)  # not episodes: from v3 on a file holds several
