"""How large a file may become in memory: for all layouts as `disk.check_sizes` says it of npz files."""

from pathlib import Path
from typing import Any

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.disk import ALWAYS, MOST_UNPACKED

# bytes of a number by parquet's types; texts have no size of their own
WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
DISTRUST = "do not trust this file; arrays of your own fit if they are stored without compression"


def check_unpacked(declared: int, size: int, path: Source) -> None:
    """Refuses `declared` bytes of arrays where files of `size` bytes in all do not account for them.

    Raises:
      InputError: they do not.
    """
    most = MOST_UNPACKED * size + ALWAYS
    if not 0 <= declared <= most:
        found = f"{declared} declared in {size} bytes of file"
        raise problem(path, "file", f"at most {most} bytes of arrays", found, DISTRUST)


def declared(dataset: Any) -> int:
    """Bytes that an HDF5 data set becomes when it is read; a row is one at least."""
    if not dataset.shape:
        return dataset.dtype.itemsize if dataset.shape == () else 0
    return max(int(dataset.nbytes), dataset.shape[0])


def unpacked_size(path: Path) -> int:
    """Bytes that the columns of a parquet file become, by what it declares of them.

    Dictionaries and repetitions make a number smaller than its own bytes even where nothing is compressed.

    Raises:
      OSError, pyarrow.ArrowException: damage.
    """
    import pyarrow.parquet as parquet  # optional and heavy

    stored = parquet.read_metadata(path)
    groups = (stored.row_group(i) for i in range(stored.num_row_groups))
    columns = [group.column(i) for group in groups for i in range(group.num_columns)]
    total = sum(
        max(c.total_uncompressed_size, WIDTHS.get(c.physical_type, 0) * c.num_values) for c in columns
    )
    return max(total, stored.num_rows)
