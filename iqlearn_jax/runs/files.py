"""Files written atomically and appended without gaps; a disk that may be full says so in one line."""

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.devices.placement import is_main
from iqlearn_jax.disk import (
    Unreadable,
    damaged,
    read_json,
    read_lines,
    read_npz,
    sealed,
    unsealed,
    written_whole,
)
from iqlearn_jax.errors import InputError, StorageError

__all__ = ["MetricsFile", "metrics_lines", "open_tensorboard", "read_arrays", "read_json", "write_arrays",
           "write_json", "writing"]  # fmt: skip
REMEDY = "make room there (df -h, quota) and run the command again, with --resume if training had begun"
ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # what more room may help against
CLOCKS = ("update", "run", "env_steps", "wall_seconds")  # numbers of every line of metrics


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Names the file that could not be written and what to do.

    Raises:
      StorageError: the system refused (full disk, quota, permissions).
    """
    try:
        yield
    except OSError as error:
        remedy = REMEDY if error.errno in ROOM else "check the path"
        raise StorageError(f"{path} cannot be written ({error.strerror or error}); {remedy}") from error


def removed(workdir: Path) -> StorageError | None:
    """The error of a run whose folder somebody removed or emptied while it was trained in; None of others."""
    if (workdir / "config.json").exists():
        return None
    return StorageError(
        f"workdir {workdir} was removed or emptied while it was trained in; nothing more is saved: name a "
        "new folder and begin again"
    )


def write_json(path: Path, content: Any) -> None:
    """Writes through a temporary file, so that the old content stays until the new is whole.

    As everything here that writes, it does so in the first process only (`devices.placement.is_main`).
    """
    if not is_main():
        return
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    with writing(path), written_whole(path) as temporary:
        temporary.write_text(text, "utf-8")


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """As `write_json`, for an npz file; its seal tells `read_arrays` whether it changed since."""
    if not is_main():
        return
    with writing(path), written_whole(path) as temporary, temporary.open("xb") as stream:
        np.savez_compressed(stream, **sealed(arrays))


def read_arrays(path: Path, remedy: str) -> dict[str, np.ndarray]:
    """The arrays of a file that `write_arrays` wrote.

    Raises:
      InputError: it is missing or damaged, or its arrays changed.
    """
    try:
        return unsealed(read_npz(path), required=False)
    except Unreadable as error:
        raise damaged(path, str(error), remedy) from error


class MetricsFile:
    """`metrics.jsonl`: one line per logged step and run; a resumed run goes on where its checkpoint was."""

    def __init__(self, path: Path, upto: int):
        """Opens for appending and drops lines after update `upto`, and a line cut off by a crash."""
        self._path = path
        if not is_main():
            return
        kept = [line for line in metrics_lines(path) if line["update"] <= upto]
        with writing(path), written_whole(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def write(self, update: int, env_steps: int, wall_seconds: float, seeds, metrics: dict) -> None:
        """Appends one line per run. `metrics` are [R]; values that are not finite are left out."""
        if not is_main():
            return
        lines = []
        for run, seed in enumerate(seeds):
            numbers = {"update": update, "env_steps": env_steps, "run": run, "seed": int(seed)}
            head = numbers | {"wall_seconds": wall_seconds}
            values = {name: float(value[run]) for name, value in metrics.items()}
            lines.append(json.dumps(head | {k: v for k, v in values.items() if np.isfinite(v)}))
        with writing(self._path), self._path.open("a") as stream:
            stream.write("".join(line + "\n" for line in lines))

    def sync(self) -> None:
        """Returns when the lines are on the disk: a checkpoint may not outlive the lines before it."""
        if not is_main():
            return
        with writing(self._path), self._path.open("a") as stream:
            os.fsync(stream.fileno())


def metrics_lines(path: Path, numbers: Sequence[str] = CLOCKS) -> list[dict[str, Any]]:
    """The whole lines of a `metrics.jsonl`; none where there is no file.

    Args:
      numbers: what each line must have.
    Raises:
      InputError: a line is no JSON, or lacks one of the numbers.
    """
    lines = read_lines(path)
    for number, line in enumerate(lines, 1):
        wrong = [name for name in numbers if not isinstance(line.get(name), int | float)]
        if wrong:
            found = f"{wrong[0]} is {line.get(wrong[0], 'missing')!r}"[:60]
            raise InputError(f"{path}: line {number} is damaged ({found}; expected a number); remove it")
    return lines


def last_wall_seconds(path: Path) -> float:
    """Seconds of training behind the last whole line of `metrics.jsonl`."""
    lines = metrics_lines(path)
    return lines[-1]["wall_seconds"] if lines else 0.0


def open_tensorboard(config, workdir: Path):
    """A TensorBoard writer if the configuration asks for one.

    Raises:
      InputError: tensorboardX is not installed.
    """
    if not config.tensorboard or not is_main():
        return None
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise InputError(
            "config.tensorboard is on, but tensorboardX is missing: pip install iqlearn_jax[tensorboard]"
        ) from error
    return SummaryWriter(str(workdir / "tensorboard"))
