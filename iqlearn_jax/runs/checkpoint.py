"""Orbax checkpoints: of the whole run state, to resume from, and snapshots of what was learned so far."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging

from iqlearn_jax.devices.placement import Placement, is_main, wait_for_all
from iqlearn_jax.errors import InputError, StorageError
from iqlearn_jax.runs.files import REMEDY, removed
from iqlearn_jax.runs.identity import another_run
from iqlearn_jax.runs.manifest import (
    MANIFEST,
    damage,
    describe,
    misfit,
    saved_by,
    saved_slots,
    write_manifest,
)

KEEP = 2


class Checkpoints:
    """Complete, atomic checkpoints of a pytree in a folder, numbered by updates.

    `workdir/checkpoints` holds the newest run states, `workdir/snapshots` the method's states that
    `config.snapshot_every` asks for, all of them. Each carries a manifest of its bytes; a damaged one is
    passed over and moved to `workdir/checkpoints-damaged`.
    """

    def __init__(
        self,
        folder: Path,
        keep: int | None = KEEP,
        reading: bool = False,
        run: dict[str, Any] | None = None,
    ):
        """Opens a folder.

        Args:
          keep: number of the newest checkpoints that stay; None keeps all.
          reading: for use after or beside training: nothing is saved, moved or cleaned up.
          run: `identity.identity` of the run; what another one saved is refused.
        """
        hush_orbax()
        hush_closed_loops()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            read_only=reading,
            cleanup_tmp_directories=not reading,  # what a killed process left half saved
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                barrier_sync_key_prefix=folder.name  # two managers of one process may not share barriers
            ),
            async_options=ocp.options.AsyncOptions(post_finalization_callback=self._seal),
        )
        self._folder, self._reading, self._run = folder, reading, run
        self._aside = folder.with_name(folder.name + "-damaged")
        self._saving: tuple[int, dict[str, str]] | None = None
        with self._one_line():
            self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    @property
    def latest(self) -> int | None:
        """Number of updates of the newest checkpoint, or None."""
        return self._manager.latest_step()

    @property
    def empty(self) -> bool:
        """Whether nothing was ever saved here, damaged checkpoints included."""
        return self.latest is None and not self._aside.exists()

    def save(self, updates: int, state: Any) -> None:
        """Saves in the background; the state may be donated at once, since orbax copies it first.

        What is there already stays, if it is whole: a resumed run comes by it again and would write the same.

        Raises:
          StorageError: this save, or the one before, which went on in the background, could not be written.
        """
        self.wait()
        if updates in self._manager.all_steps():
            fault = damage(self._path(updates))
            if fault is None:
                return
            self._set_aside({updates: fault})
        self._saving = updates, describe(state)
        with self._one_line():
            self._manager.save(updates, args=ocp.args.StandardSave(state))

    def wait(self) -> None:
        """Returns when everything is on the disk.

        Raises:
          StorageError: a save in the background failed.
        """
        with self._one_line():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """As `wait`, and ends orbax's threads."""
        with self._one_line():
            self._manager.close()

    def restore(self, like: Any, updates: int, placement: Placement) -> Any:
        """The state after so many updates, as `like` in structure, shapes and dtypes.

        Saved by another number of devices, arrays have another number of slots: those of the runs are kept.

        Raises:
          InputError: it is damaged, or other arrays were saved.
        """
        fault = damage(self._path(updates))
        if fault is not None:
            raise InputError(f"{self._path(updates)} is damaged ({fault}); restore it, or train anew")
        self._require_own(updates)
        slots = saved_slots(self._path(updates)) or placement.slots
        same = slots == placement.slots
        saved: Any = like if same else jax.tree.map(lambda x: x.update(shape=(slots, *x.shape[1:])), like)
        different = misfit(self._path(updates), saved)
        if different is not None:
            raise InputError(
                f"{self._path(updates)} was saved by another configuration or code: {different}; "
                "go back to those, or start a new folder"
            )
        sharding = placement.sharding if same else placement.everywhere
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), saved)
        state = self._manager.restore(updates, args=ocp.args.StandardRestore(abstract))
        return state if same else placement.put(state)

    def restore_newest(self, like: Any, placement: Placement) -> Any:
        """The newest state that is whole. Those after it are named on standard error and moved aside.

        Raises:
          InputError: all are damaged, or other arrays were saved.
        """
        faults: dict[int, str] = {}
        for updates in sorted(self._manager.all_steps(), reverse=True):
            state, fault = self._try(like, updates, placement)
            if fault is None:
                self._set_aside(faults)
                return state
            faults[updates] = fault
        details = "; ".join(f"{updates}: {fault}" for updates, fault in faults.items())
        raise InputError(
            f"{self._folder}: no checkpoint is left that can be read "
            f"({details or f'see {self._aside}'}); put one back from a copy, or start a new folder"
        )

    def require(self, updates: int | None = None) -> None:
        """Raises InputError unless there is a checkpoint, or the one after so many updates."""
        if self.empty:
            raise InputError(f"{self._folder}: no checkpoint; train first, or add --resume to go on")
        if updates is not None and updates not in self._manager.all_steps():
            known = ", ".join(map(str, sorted(self._manager.all_steps())))
            raise InputError(f"{self._folder}: nothing saved after {updates} updates; there are {known}")

    def _require_own(self, updates: int) -> None:
        """Raises InputError for a checkpoint that another run saved."""
        if self._run is None:
            return
        difference = another_run(self._folder.parent, saved_by(self._path(updates)), self._run)
        if difference is not None:
            raise InputError(
                f"{self._path(updates)} was saved by another run ({difference}); put this run's back from a "
                "copy, or remove that folder"
            )

    def _path(self, updates: int) -> Path:
        return self._folder / str(updates)

    def _try(self, like: Any, updates: int, placement: Placement) -> tuple[Any, str | None]:
        """(state, None), or (None, what is damaged)."""
        fault = damage(self._path(updates))
        if fault is not None:
            return None, fault
        if (self._path(updates) / MANIFEST).exists():  # its bytes are whole: any refusal has another reason
            return self.restore(like, updates, placement), None
        try:
            return self.restore(like, updates, placement), None
        except Exception as error:  # orbax has no class of its own for what it cannot read
            return None, _first_words(error)

    def _set_aside(self, faults: dict[int, str]) -> None:
        for updates, fault in faults.items():
            place = "left there"
            if not self._reading and is_main():
                place = f"moved to {self._move(updates)}"
            logging.warning("%s is damaged (%s); %s", self._path(updates), fault, place)
        if faults:
            wait_for_all(f"moved {sorted(faults)}")
            self._manager.reload()

    def _move(self, updates: int) -> Path:
        with self._one_line():
            self._aside.mkdir(exist_ok=True)
            numbers = range(len(list(self._aside.iterdir())) + 1)
            free = (self._aside / (f"{updates}.{n}" if n else str(updates)) for n in numbers)
            target = next(path for path in free if not path.exists())
            return self._path(updates).rename(target)

    def _seal(self) -> None:
        """Called by orbax in its thread when all bytes are written, before it renames the folder."""
        if not is_main():
            return
        assert self._saving is not None
        updates, arrays = self._saving
        (temporary,) = self._folder.glob(f"{updates}.orbax-checkpoint-tmp*")
        write_manifest(temporary, arrays, self._run)

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        """Whatever orbax and tensorstore raise while they write, as one line (they have no common class)."""
        try:
            yield
        except Exception as error:
            said = (
                f"{self._folder}: not saved ({_first_words(error)}); what was saved before is whole; {REMEDY}"
            )
            gone = removed(self._folder.parent) if self._run is not None else None
            raise gone or StorageError(said) from error


def hush_closed_loops() -> None:
    """Keeps one message off standard error: where one file fails, tensorstore tells an event loop of the
    others, which orbax has closed by then; Python prints a traceback for each of them.
    """
    before = sys.unraisablehook
    if getattr(before, "hushes", False):
        return

    def hook(details):
        if str(details.exc_value) != "Event loop is closed":
            before(details)

    hook.hushes = True  # type: ignore[attr-defined]
    sys.unraisablehook = hook


def _first_words(error: Exception) -> str:
    """An exception in a line; of tensorstore's long ones the beginning and the end, which says why."""
    text = " ".join(str(error).split(" [tensorstore")[0].split(" [source locations")[0].split())
    if len(text) > 300:
        text = f"{text[:150]} ... {text[-150:]}"
    return f"{type(error).__name__}: {text}"


def hush_orbax() -> None:
    """Drops what orbax writes to the same logger: every save, and tracebacks of what it raises as well."""
    logger = logging.get_absl_logger()
    if _not_orbax not in logger.filters:
        logger.addFilter(_not_orbax)


def _not_orbax(record: Any) -> bool:
    return "orbax" not in record.pathname
