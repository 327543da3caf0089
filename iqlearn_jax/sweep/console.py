"""What a person sees and presses while training runs."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from iqlearn_jax.findings import Finding, sentence
from iqlearn_jax.sweep.mesh import is_main


@contextmanager
def progress_bar(title: str, total: int, done: int) -> Iterator[Callable]:
    """A bar on standard error; yields show(done, returns [R] or None)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[score]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done, score="")

        def show(done: int, returns: np.ndarray | None) -> None:
            bar.update(task, completed=done)
            if returns is not None:
                bar.update(task, score=f"return {np.mean(returns):.4g}")

        yield show


def warn_of_findings(findings: Sequence[Finding], runs: int) -> None:
    """One line on standard error for each of the doctor's findings; the first process speaks for all."""
    for finding in findings if is_main() else ():
        print(f"warning: {sentence(finding, runs)}", file=sys.stderr)


@contextmanager
def interruptible() -> Iterator[Callable[[], int]]:
    """Turns the first Ctrl-C or SIGTERM into a flag, read between chunks, when the state is whole.

    A second one of the same kind ends the process. Yields a function that returns the number of the signal
    that came first, 0 while there is none.
    """
    noted: list[int] = []

    def note(number, frame):
        if number in noted:
            raise KeyboardInterrupt
        noted.append(number)
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)  # a second one needs no Python to end the process

    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    except ValueError:  # not the main thread: no signal arrives there
        yield lambda: 0
        return
    try:
        yield lambda: noted[0] if noted else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
