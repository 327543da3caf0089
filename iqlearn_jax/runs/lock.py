"""One training process to a folder."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from absl import logging

from iqlearn_jax.devices.placement import is_main
from iqlearn_jax.errors import InputError
from iqlearn_jax.runs.files import writing

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"  # file in a run's folder; it stays there, for only the kernel's lock on it counts


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from training in an existing folder. Readers (evaluation, reports) need no lock.

    Of the processes of one training (`devices.placement`) the first holds it for all.

    Raises:
      InputError: another process holds the folder; names it.
    """
    if not is_main():
        yield
        return
    path = folder / LOCK
    with writing(path):
        stream = path.open("a+")
    with stream:
        _take(stream, folder)
        with writing(path):
            stream.truncate(0)
            stream.write(json.dumps(_self()))
            stream.flush()
        yield


def _take(stream: IO[str], folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"workdir {folder} is in use by {_holder(stream)}; wait for it, end it, or name another folder"
        ) from error
    except OSError as error:  # some network file systems
        logging.warning("%s cannot be locked (%s); train once there", folder, error.strerror)


def _self() -> dict[str, str | int]:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "started": started}


def _holder(stream: IO[str]) -> str:
    """Whoever wrote into the file last; a holder writes as soon as it has the lock."""
    stream.seek(0)
    try:
        holder = json.loads(stream.read())
        return f"process {holder['pid']} on {holder['host']} (since {holder['started']})"
    except (ValueError, TypeError, KeyError):
        return "another process"
