"""How large a file may become in memory: for all layouts as `disk.check_sizes` says it of npz files."""

from typing import Any

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.disk import ALWAYS, MOST_UNPACKED

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
