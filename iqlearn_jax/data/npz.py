"""npz files, written whole or not at all, and read without ever unpickling."""

import contextlib
import os
import secrets
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.errors import InputError


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Writes an npz file; the old one stays whole until the new one is.

    Raises:
      InputError: a target that cannot be written.
    """
    # same folder, so that os.replace stays within one file system
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise problem(path, "file", "a writable target", reason, "choose another path") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def read_arrays(path: Source, keys: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an npz file without ever unpickling.

    Args:
      path: file to read.
      keys: the arrays wanted; those that the file lacks are left out. None reads all.
    Raises:
      InputError: no such file, not an npz, damaged, or an object array (which would need a pickle).
    """
    _check_magic(path)
    try:
        # opened here, as NumPy leaves a file of its own open when it turns out to be damaged
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            names = [k for k in archive.files if keys is None or k in keys]
            return {name: _member(archive, name, path) for name in names}
    except InputError:
        raise
    except Exception as error:  # foreign bytes can make zipfile and NumPy raise anything
        raise _damaged(path, "file", error) from error


def _check_magic(path: Source) -> None:
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise problem(path, "file", "a readable npz file", reason, "check the path") from error
    if not magic.startswith(b"PK"):
        remedy = "'iqlearn demos convert SRC DST' reads the authors' pickles and Minari data sets"
        raise problem(path, "file", "an npz file (a zip archive)", f"the first bytes {magic!r}", remedy)


def _member(archive: Any, name: str, path: Source) -> np.ndarray:
    try:
        array = archive[name]
    except Exception as error:  # as above
        raise _damaged(path, name, error) from error
    if not isinstance(array, np.ndarray):  # np.load hands over members that are not npy as bytes
        raise problem(
            path, name, "an array in npy format", "other bytes", "write the file again with numpy.savez"
        )
    return array


def _damaged(path: Source, place: str, error: Exception) -> InputError:
    if isinstance(error, ValueError) and "allow_pickle" in str(error):
        remedy = (
            "store plain numeric arrays: object arrays hold pickles, which can run code, and are never read"
        )
        return problem(path, place, "a plain array", "an object array", remedy)
    reason = (
        "not a zip archive" if isinstance(error, zipfile.BadZipFile) else f"{type(error).__name__}: {error}"
    )
    return problem(
        path, place, "a whole npz file", f"damaged data ({reason[:120]})", "copy or record it again"
    )
