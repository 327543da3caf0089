"""Orbax checkpoints: of the whole run state, to resume from, and snapshots of what was learned so far."""

import logging
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from iqlearn_jax.errors import InputError

KEEP = 2


class Checkpoints:
    """Complete, atomic checkpoints of a pytree in a folder, numbered by updates.

    `workdir/checkpoints` holds the newest run states, `workdir/snapshots` the method's states that
    `config.snapshot_every` asks for, all of them.
    """

    def __init__(self, folder: Path, keep: int | None = KEEP):
        logging.getLogger("absl").setLevel(logging.ERROR)  # orbax reports every save otherwise
        options = ocp.CheckpointManagerOptions(max_to_keep=keep)
        self._folder = folder
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    @property
    def latest(self) -> int | None:
        """Number of updates of the newest checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, updates: int, state: Any) -> None:
        """Saves in the background; the state may be donated at once, since orbax copies it first.

        What is there already stays: a resumed run comes by it again and would write the same.
        """
        if updates not in self._manager.all_steps():
            self._manager.save(updates, args=ocp.args.StandardSave(state))

    def restore(self, like: Any, updates: int | None = None) -> Any:
        """The newest state, or the one after so many updates, as `like` in structure, shapes and dtypes."""
        abstract: Any = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        number = self.latest if updates is None else updates
        return self._manager.restore(number, args=ocp.args.StandardRestore(abstract))

    def require(self, updates: int | None = None) -> None:
        """Raises InputError unless there is a checkpoint, or the one after so many updates."""
        if self.latest is None:
            raise InputError(f"{self._folder}: no checkpoint; train first, or add --resume to go on")
        if updates is not None and updates not in self._manager.all_steps():
            known = ", ".join(map(str, sorted(self._manager.all_steps())))
            raise InputError(f"{self._folder}: nothing saved after {updates} updates; there are {known}")

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()
