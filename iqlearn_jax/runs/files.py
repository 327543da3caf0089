"""Files written atomically and appended without gaps; a disk that may be full says so in one line."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.devices.placement import is_main
from iqlearn_jax.errors import InputError, StorageError

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


def write_json(path: Path, content: Any) -> None:
    """Writes through a temporary file, so that the old content stays until the new is whole.

    As everything here that writes, it does so in the first process only (`devices.placement.is_main`).
    """
    if not is_main():
        return
    temporary = path.with_suffix(path.suffix + ".tmp")
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    with writing(path):
        temporary.write_text(text)
        os.replace(temporary, path)


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """As `write_json`, for an npz file."""
    if not is_main():
        return
    temporary = path.with_suffix(path.suffix + ".tmp")
    with writing(path):
        with temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
        os.replace(temporary, path)


def read_json(path: Path) -> Any:
    """The content of a file that `write_json` wrote.

    Raises:
      InputError: it cannot be read.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: missing or damaged ({error}); restore it or start a new folder") from error


class MetricsFile:
    """`metrics.jsonl`: one line per logged step and run; a resumed run goes on where its checkpoint was."""

    def __init__(self, path: Path, upto: int):
        """Opens for appending and drops lines after update `upto`, and a line cut off by a crash."""
        self._path = path
        if not is_main():
            return
        kept = [line for line in whole_lines(path) if json.loads(line)["update"] <= upto]
        temporary = path.with_suffix(".tmp")
        with writing(path):
            temporary.write_text("".join(line + "\n" for line in kept))
            os.replace(temporary, path)

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


def whole_lines(path: Path) -> list[str]:
    """The lines of `metrics.jsonl` without one that a crash cut off; none where there is no file."""
    if not path.exists():
        return []
    text = path.read_text()
    return text[: text.rfind("\n") + 1].splitlines()


def last_wall_seconds(path: Path) -> float:
    """Seconds of training behind the last whole line of `metrics.jsonl`."""
    lines = whole_lines(path)
    return json.loads(lines[-1])["wall_seconds"] if lines else 0.0


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
