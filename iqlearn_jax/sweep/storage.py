"""Writing to a disk that may be full: one line for the user instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iqlearn_jax.errors import StorageError

REMEDY = "make room there (df -h, quota) and run the command again, with --resume if training had begun"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Names the file that could not be written and what to do.

    Raises:
      StorageError: the system refused (full disk, quota, permissions).
    """
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror or error}); {REMEDY}") from error
