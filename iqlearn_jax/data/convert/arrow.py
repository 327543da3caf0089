"""Apache Arrow: numbers out of nested lists, and `imitation`'s trajectories as it saves them today."""

from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.convert.columns import Recording, needs, reading
from iqlearn_jax.data.convert.dicts import from_episodes

INFO = "dataset_info.json"


def numbers(array: Any) -> np.ndarray:
    """A pyarrow array of numbers [N], or of lists of one length, however deep, as [N, ...].

    Raises:
      ValueError: lists of several lengths.
    """
    shape = [len(array)]
    while hasattr(array.type, "value_type"):
        inner = array.flatten()
        width = len(inner) // max(1, len(array))
        if any(size.as_py() != width for size in array.value_lengths().unique()):
            raise ValueError("lists of several lengths")
        shape.append(width)
        array = inner
    return array.to_numpy(zero_copy_only=False).reshape(shape)


def is_arrow(folder: Source) -> bool:
    """Whether a folder is what Hugging Face's `save_to_disk` writes."""
    return Path(folder, INFO).is_file()


def read_arrow(path: Source) -> Recording:
    """A folder of trajectories, a row for each: `obs` of T + 1 steps, `acts`, `rews`, and one `terminal`.

    Raises:
      InputError: pyarrow is not installed, or a damaged folder.
    """
    try:
        import pyarrow.ipc as ipc  # optional and heavy
    except ImportError as error:
        raise needs(path, "pyarrow", "arrow", error) from error
    rows: list[dict[str, Any]] = []
    with reading(path, "folder of Arrow files"):
        for name in sorted(Path(path).glob("*.arrow")):
            batches = ipc.open_stream(name.read_bytes())
            rows.extend(_row(batch, i) for batch in batches for i in range(batch.num_rows))
    if not rows:
        raise problem(path, "file", "a row for each trajectory", "none", "save the trajectories again")
    return from_episodes(rows, path, "arrow, a row for each episode")


def _row(batch: Any, index: int) -> dict[str, Any]:
    found = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        value = column[index]
        is_list = hasattr(column.type, "value_type")
        found[name] = numbers(value.values) if is_list and _numeric(column.type) else value.as_py()
    return found


def _numeric(kind: Any) -> bool:
    while hasattr(kind, "value_type"):
        kind = kind.value_type
    return kind.to_pandas_dtype() is not np.object_
