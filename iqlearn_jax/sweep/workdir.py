"""The files of a run's folder (docs/formats.md): written atomically, appended without gaps."""

import json
import os
import platform
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import jax
import numpy as np

from iqlearn_jax.errors import InputError
from iqlearn_jax.sweep.hosts import cores
from iqlearn_jax.sweep.mesh import is_main, wait_for_all
from iqlearn_jax.sweep.storage import writing

PACKAGES = ("iqlearn_jax", "jax", "jaxlib", "flax", "optax", "chex", "brax", "gymnasium", "gymnax", "numpy")


def write_json(path: Path, content: Any) -> None:
    """Writes through a temporary file, so that the old content stays until the new is whole.

    As everything here that writes, it does so in the first process only (`sweep.mesh.is_main`).
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


def provenance(demos_digest: str | None) -> dict[str, Any]:
    """What was run, with what, on what."""
    return {
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | _versions(),
        "hardware": _hardware(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "demos_digest": demos_digest,
        "command": " ".join(sys.argv),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):  # some are optional
            found[name] = metadata.version(name)
    return found


def _hardware() -> str:
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform}), {cores()} CPU cores"


def _commit() -> str:
    """Commit of the checkout that the package lies in, marked if its code changed; "unknown" outside one."""
    try:
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
        return _git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    root = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


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


def claim(workdir: Path, config, demos_digest: str | None, normalization: dict[str, np.ndarray]) -> None:
    """Makes the folder a new run's.

    Args:
      normalization: what standardises its observations; kept, since a saved policy means nothing without it.

    Raises:
      InputError: the folder already holds a run or cannot be made.
    """
    if (workdir / "config.json").exists():
        raise InputError(
            f"workdir {workdir} already holds a run; add --resume to go on, or name another folder"
        )
    wait_for_all(f"claim {workdir}")  # all have looked before one writes
    make_folder(workdir)
    write_json(workdir / "provenance.json", provenance(demos_digest))
    write_arrays(workdir / "normalization.npz", normalization)
    write_json(workdir / "config.json", as_plain(config))  # last: with it the folder is a run's
    wait_for_all(f"claimed {workdir}")


def make_folder(workdir: Path) -> None:
    """Makes the folder unless it is there.

    Raises:
      InputError: it cannot be made.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--workdir={workdir} cannot be made a folder ({error.strerror})") from error


def as_plain(config) -> dict[str, Any]:
    """A configuration as JSON would give it back, flat: {"env.id": ...}."""
    return json.loads(json.dumps(flatten(config.to_dict())))


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}"""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def read_config(workdir: Path) -> dict[str, Any]:
    """The flat configuration that a folder was started with.

    Raises:
      InputError: there is none.
    """
    path = workdir / "config.json"
    if not path.exists():
        raise InputError(
            f"{path}: no such file; is --workdir the folder of a run that `iqlearn train` started?"
        )
    return read_json(path)


def read_normalization(workdir: Path) -> dict[str, np.ndarray]:
    """The statistics that standardise a run's observations, as `claim` wrote them.

    Raises:
      InputError: the file is missing or damaged.
    """
    path = workdir / "normalization.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(
            f"{path}: missing or damaged ({error}); the policies of {workdir} cannot be used without it: "
            "restore it or start a new folder"
        ) from error


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
