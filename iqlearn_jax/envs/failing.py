"""Simulators that raise, end the program or do not come back, as one error that names them and the step."""

import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from absl import logging

from iqlearn_jax.errors import InputError, SimulatorError

PATIENCE = 600.0  # seconds after which a reset or step counts as hung
_ALARM: int = getattr(signal, "SIGVTALRM", 0)  # nothing else uses it; Windows has none


class Hung(BaseException):
    """The simulator did not come back; no `except Exception` of an environment catches it."""


FAILURES = (Exception, SystemExit, Hung)


def failed(name: str, where: str, error: BaseException) -> InputError:
    """What a simulator raised, in one line: what it was, and in which line of which file.

    Args:
      where: "at step 3 of ...".
    """
    if isinstance(error, InputError):
        return error
    if isinstance(error, Hung):
        return SimulatorError(f"environment '{name}' has not come back {where} for {PATIENCE:.0f} seconds")
    words = " ".join(str(error).split())[:300]
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return SimulatorError(f"environment '{name}' failed {where}: {type(error).__name__}: {words}{place}")


class Watch:
    """Whether a simulator is being waited for. Costs a clock reading a step.

    Attributes:
      since: when the waiting began, seconds of `monotonic`; None while nobody waits.
    """

    since: float | None = None

    def begin(self) -> None:
        """The simulator has been asked for something."""
        self.since = monotonic()

    def end(self) -> None:
        """It has answered."""
        self.since = None


@contextmanager
def watching(watch: Watch, name: str) -> Iterator[None]:
    """Raises `Hung` in the main thread where the simulator has been waited for more than `PATIENCE` seconds.

    Code outside of Python that takes no signals cannot be ended so; then a warning says what to do. Nothing
    is watched where signals cannot be (other threads, Windows).
    """
    if not _ALARM or threading.current_thread() is not threading.main_thread():
        yield
        return

    def wake(number: int, frame: Any) -> None:
        if watch.since is not None:
            raise Hung

    before = signal.signal(_ALARM, wake)
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(watch, name, over, threading.get_ident()), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        signal.signal(_ALARM, before)


@contextmanager
def asked(name: str, where: str) -> Iterator[None]:
    """One thing that a simulator is asked for outside of the loops, watched as `watching` does.

    Args:
      where: as `failed`.
    Raises:
      SimulatorError: it failed, or did not come back.
    """
    watch = Watch()
    with watching(watch, name):
        watch.begin()
        try:
            yield
        except FAILURES as error:
            raise failed(name, where, error) from error
        finally:
            watch.end()


def _watch(watch: Watch, name: str, over: threading.Event, waiting: int) -> None:
    told = False
    while not over.wait(min(PATIENCE / 4, 5.0)):
        since = watch.since
        if since is None or monotonic() - since < PATIENCE:
            continue
        signal.pthread_kill(waiting, _ALARM)
        if over.wait(min(PATIENCE, 5.0)) or told or watch.since != since:
            continue
        told = True
        logging.warning(
            "environment '%s' has not come back for %.0f seconds and takes no signals; end this process and "
            "go on with --resume from the last checkpoint", name, PATIENCE,
        )  # fmt: skip
