"""Orbax checkpoints of the whole run state."""

import logging
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from iqlearn_jax.errors import InputError
from iqlearn_jax.train.state import RunState

KEEP = 2


class Checkpoints:
    """Complete, atomic, rotated checkpoints in `workdir/checkpoints`, numbered by updates."""

    def __init__(self, workdir: Path):
        logging.getLogger("absl").setLevel(logging.ERROR)  # orbax reports every save otherwise
        options = ocp.CheckpointManagerOptions(max_to_keep=KEEP)
        self._manager = ocp.CheckpointManager((workdir / "checkpoints").absolute(), options=options)

    @property
    def latest(self) -> int | None:
        """Number of updates of the newest checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, updates: int, run: RunState) -> None:
        """Saves in the background; the state may be donated at once, since orbax copies it first."""
        if updates != self.latest:
            self._manager.save(updates, args=ocp.args.StandardSave(run))

    def restore(self, like: RunState) -> RunState:
        """The newest state, in the structure, shapes and dtypes of `like`."""
        abstract: Any = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        return self._manager.restore(self.latest, args=ocp.args.StandardRestore(abstract))

    def require(self, workdir: Path) -> None:
        """Raises InputError unless there is a checkpoint."""
        if self.latest is None:
            raise InputError(f"{workdir}/checkpoints: no checkpoint; train first, or add --resume to go on")

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()
