"""The folder of one run (docs/formats.md): made, written, and read again."""

from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from iqlearn_jax.config.values import as_plain, config_digest, from_flat
from iqlearn_jax.devices.placement import is_main, wait_for_all
from iqlearn_jax.disk import RESTORE, damaged, digest_of, interpreting, read_json
from iqlearn_jax.envs.facts import spec_from_json, spec_to_json
from iqlearn_jax.errors import InputError
from iqlearn_jax.loops.loop import runs_of
from iqlearn_jax.runs.files import (
    MetricsFile,
    last_wall_seconds,
    metrics_lines,
    open_tensorboard,
    read_arrays,
    removed,
    write_arrays,
    write_json,
)
from iqlearn_jax.runs.identity import starts, stated
from iqlearn_jax.runs.trust import import_trusted, seal_of
from iqlearn_jax.types import EnvSpec

if TYPE_CHECKING:
    from iqlearn_jax.runs.checkpoint import Checkpoints

CHECKPOINTS, SNAPSHOTS = "checkpoints", "snapshots"  # folders in a run's


def claim(
    workdir: Path, config, spec: EnvSpec, provenance: dict[str, Any], normalization: dict[str, np.ndarray]
) -> None:
    """Makes the folder a new run's.

    Args:
      spec: of the environment; kept, so that a policy can be used without one.
      provenance: what was run, with what, on what (`runs.provenance.collect`).
      normalization: what standardises its observations; kept, since a saved policy means nothing without it.
    """
    made = identity(config, normalization)
    digests = {"seeds": made.pop("seeds"), "digests": made}
    seal = seal_of(config.imports) if config.imports else {}
    write_json(workdir / "provenance.json", provenance | digests | seal)
    write_json(workdir / "spec.json", spec_to_json(spec._replace(mdp=None))[0])
    write_arrays(workdir / "normalization.npz", normalization)
    if is_main():
        make_folder(workdir / CHECKPOINTS)  # that it is gone later says that somebody removed it
    write_json(workdir / "config.json", as_plain(config))  # last: with it the folder is a run's
    wait_for_all(f"claimed {workdir}")


def identity(config, normalization: dict[str, np.ndarray]) -> dict[str, Any]:
    """`config`, `normalization` (digests) and `seeds` of a run, for its checkpoints."""
    digests = {"config": config_digest(as_plain(config)), "normalization": digest_of(normalization)}
    return digests | {"seeds": runs_of(config)[0].tolist()}


def refuse_taken(workdir: Path) -> None:
    """Raises InputError where the folder holds a run already; returns when all processes have looked."""
    if (workdir / "config.json").exists():
        raise InputError(
            f"workdir {workdir} already holds a run; add --resume to go on, or name another folder"
        )
    wait_for_all(f"claim {workdir}")  # before one of them writes


def make_folder(workdir: Path) -> None:
    """Makes the folder unless it is there.

    Raises:
      InputError: it cannot be made.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--workdir={workdir} cannot be made a folder ({error.strerror})") from error


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


def stored_config(workdir: Path) -> Any:
    """The configuration that a folder was started with.

    The modules that it names are imported where `trust` allows it; else a warning says how to allow it.

    Raises:
      InputError: there is none, or it is damaged.
    """
    flat = read_config(workdir)
    import_trusted(flat.get("imports", ()), starts(workdir), workdir)
    with interpreting(workdir / "config.json"):
        return from_flat(flat)


def read_spec(workdir: Path) -> EnvSpec:
    """The facts of the environment that a folder was trained in, without its model.

    Raises:
      InputError: the file is missing or damaged.
    """
    path = workdir / "spec.json"
    with interpreting(path):
        return spec_from_json(read_json(path), {})


def read_normalization(workdir: Path) -> dict[str, np.ndarray]:
    """The statistics that standardise a run's observations, as `claim` wrote them.

    Raises:
      InputError: the file is missing, damaged, or another than the run's.
    """
    path = workdir / "normalization.npz"
    remedy = f"the policies of {workdir} cannot be used without it: {RESTORE}"
    arrays = read_arrays(path, remedy)
    known = stated(workdir, "normalization")
    if known and digest_of(arrays) not in known:
        raise damaged(path, "its arrays are not those of the run", remedy)
    return arrays


class RunFolder:
    """What training writes into a run's folder while it goes on. Checkpoints are opened when first needed."""

    def __init__(self, workdir: Path, config):
        """Takes a folder that `claim` made a run's."""
        self.workdir, self.metrics, self._config = workdir, workdir / "metrics.jsonl", config
        self._saved_at = monotonic()

    @cached_property
    def checkpoints(self) -> "Checkpoints":
        """The newest states of the whole run, to resume from."""
        from iqlearn_jax.runs.checkpoint import Checkpoints  # imported here: orbax takes a second

        return Checkpoints(self.workdir / CHECKPOINTS, run=self._identity)

    @cached_property
    def snapshots(self) -> "Checkpoints":
        """States of the method that are kept for good."""
        from iqlearn_jax.runs.checkpoint import Checkpoints

        return Checkpoints(self.workdir / SNAPSHOTS, keep=None, run=self._identity)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        return identity(self._config, read_normalization(self.workdir))

    @cached_property
    def _tensorboard(self):
        return open_tensorboard(self._config, self.workdir)

    def require_checkpoints(self) -> None:
        """Refuses to begin again where a checkpoint must have been.

        They are saved behind the lines of metrics up to them, the next one only when the last is whole.

        Raises:
          InputError: there are none.
        """
        if not self.checkpoints_were_there():
            return
        if not (self.workdir / CHECKPOINTS).is_dir() or self.checkpoints.empty:
            raise InputError(
                f"{self.workdir / CHECKPOINTS}: the checkpoints of this run are gone; put them back from a "
                "copy, or start a new folder"
            )

    def checkpoints_were_there(self) -> bool:
        """Whether a checkpoint was whole at some time, by the other files."""
        lines, every = metrics_lines(self.metrics), self._config.checkpoint_every
        if (self.workdir / "summary.json").exists():
            return True
        if not lines:
            return False
        made_at_start = bool(stated(self.workdir, "config"))  # `claim` makes the folder of checkpoints
        removed = made_at_start and not (self.workdir / CHECKPOINTS).is_dir()
        return removed or (every > 0 and lines[-1]["update"] > 2 * every)

    def rewind(self, updates: int) -> float:
        """Drops metrics that lie after so many updates; returns the seconds of training until then."""
        self._lines = MetricsFile(self.metrics, upto=updates)
        return last_wall_seconds(self.metrics)

    def write(self, update: int, env_steps: int, wall_seconds: float, seeds, metrics: dict) -> None:
        """Appends a chunk's metrics [R].

        Raises:
          StorageError: they cannot be written, or the folder is no longer a run's.
        """
        if is_main() and (error := removed(self.workdir)):
            raise error
        self._lines.write(update, env_steps, wall_seconds, seeds, metrics)
        if self._tensorboard is not None:
            for name, value in metrics.items():
                self._tensorboard.add_scalar(name, float(np.mean(value)), update)

    def save_snapshot(self, updates: int, state: Any) -> None:
        """Keeps a state of the method for good."""
        self.snapshots.save(updates, state)

    def save(self, updates: int, run: Any) -> None:
        """Saves a checkpoint; resuming writes nothing again that lies before it."""
        if "snapshots" in vars(self):
            self.snapshots.wait()
        self._lines.sync()
        self.checkpoints.save(updates, run)
        self._saved_at = monotonic()

    def overdue(self, minutes: float) -> bool:
        """Whether the last save (or the opening) is so many minutes ago; never for 0."""
        return minutes > 0 and monotonic() - self._saved_at >= 60 * minutes

    def close(self) -> None:
        """Returns when everything is on the disk."""
        for name in ("checkpoints", "snapshots"):
            if name in vars(self):
                getattr(self, name).close()
