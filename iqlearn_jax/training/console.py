"""What a person sees and presses while training runs."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import numpy as np
from absl import logging

from iqlearn_jax.data.demos import suspicious
from iqlearn_jax.data.suspect import warn
from iqlearn_jax.devices.placement import is_main
from iqlearn_jax.envs.spaces import DEFAULT_MAX_STEPS, is_atari
from iqlearn_jax.errors import printable
from iqlearn_jax.training.problem import Problem

INTERVAL = 10.0  # seconds between lines where there is no terminal
RETURNS = ("eval/return", "train/return")  # the first that a chunk has is shown

Show = Callable[[int, Mapping[str, np.ndarray]], None]


@contextmanager
def progress_bar(title: str, total: int, done: int) -> Iterator[Show]:
    """Shows how far training is; the first of several processes speaks for all.

    A bar on standard error in a terminal; elsewhere (log files, notebooks) lines on standard output, at most
    one each ten seconds, and the last one.

    Args:
      total: updates at the end.
      done: updates before the start.
    Yields:
      show(done, metrics), where metrics are {name: [R]} of the chunk that has just ended.
    """
    if not is_main():
        yield lambda done, metrics: None
        return
    with (_bar if _in_terminal() else _lines)(title, total, done) as show:
        yield show


def _in_terminal() -> bool:
    """Whether standard error is a terminal that bars can be drawn in."""
    python = sys.modules.get("IPython")
    notebook = python is not None and hasattr(python.get_ipython(), "kernel")
    return not notebook and sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def _bar(title: str, total: int, done: int) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    names = TextColumn("{task.description}"), TextColumn("{task.fields[score]}")
    columns = names[0], BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), names[1]
    known: dict[str, float] = {}
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done, score="")

        def show(done: int, metrics: Mapping[str, np.ndarray]) -> None:
            known.update(highlights(metrics))
            bar.update(task, completed=done, score=_score_text(known))

        yield show


@contextmanager
def _lines(title: str, total: int, done: int) -> Iterator[Show]:
    lines = _Lines(title, total)
    try:
        yield lines.show
    finally:
        lines.close()


class _Lines:
    """Progress as lines of text.

    The time that is left follows from the updates after the first chunk, which compiles.
    """

    def __init__(self, title: str, total: int):
        """Nothing is printed before the first chunk has ended."""
        self._title, self._total = title, total
        self._begun = time.monotonic()
        self._first: tuple[float, int] | None = None  # when the first chunk ended, and after which update
        self._printed = -INTERVAL  # seconds after the start
        self._waiting = ""
        self._known: dict[str, float] = {}

    def show(self, done: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Notes a chunk's end; prints it if the last line is old enough."""
        seconds = time.monotonic() - self._begun
        self._known |= highlights(metrics)
        self._first = self._first or (seconds, done)
        self._waiting = self._text(done, seconds)
        if done >= self._total or seconds - self._printed >= INTERVAL:
            self._printed = seconds
            self.close()

    def close(self) -> None:
        """Prints what has not been printed yet."""
        if self._waiting:
            say(self._waiting)
        self._waiting = ""

    def _text(self, done: int, seconds: float) -> str:
        parts = [f"{self._title}: {done}/{self._total} updates ({done / self._total:.0%})"]
        parts += [_score_text(self._known)] if self._known else []
        parts.append(f"{_clock(seconds)} elapsed")
        begun, first = self._first or (seconds, done)
        if done > first:
            parts.append(f"{_clock((self._total - done) * (seconds - begun) / (done - first))} left")
        return ", ".join(parts)


def highlights(metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The return and the loss of a chunk, each the mean over runs whose value is finite."""
    names = {
        "return": next((name for name in RETURNS if name in metrics), ""),
        "loss": next((name for name in metrics if name.endswith("/loss")), ""),
    }
    values = {label: np.asarray(metrics[name]) for label, name in names.items() if name}
    finite = {label: value[np.isfinite(value)] for label, value in values.items()}
    return {label: float(value.mean()) for label, value in finite.items() if value.size}


def _score_text(known: Mapping[str, float]) -> str:
    return ", ".join(f"{label} {value:.4g}" for label, value in known.items())


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def announce(problem: "Problem") -> None:
    """Says which backend the environment is on and which demonstrations are learned from, a line each.

    All processes make the lines, since some numbers lie on all of them; the first one prints.
    """
    lines = [f"environment: {environment_text(problem)}"]
    if problem.demos is not None:
        lines.append(f"demonstrations: {demos_text(problem)}")
    for line in lines if is_main() else ():
        say(line)


def warn_of_data(problem: "Problem") -> None:
    """One line on standard error for each thing that looks wrong in what is learned from (`data.suspect`)."""
    config = problem.config
    for demos, path in ((problem.demos, config.demos.path or "demos"), (problem.others, config.data.path)):
        if demos is not None and is_main():
            warn(path, suspicious(demos, problem.spec))


def environment_text(problem: "Problem") -> str:
    """`CartPole-v1 on gymnax (device)`"""
    if not problem.has_simulator:
        return f"{problem.spec.id}, no simulator"
    place = "host" if problem.env is None else "device"
    text = f"{problem.spec.id} on {problem.handle.backend} ({place})"
    limit = problem.spec.max_episode_steps
    if limit != DEFAULT_MAX_STEPS or is_atari(problem.spec.id):
        return text
    return (
        f"{text}; it states no time limit: episodes are cut after {limit:,} steps, or as "
        "--config.env.kwargs=\"{'max_episode_steps': N}\" says"
    )


def demos_text(problem: "Problem") -> str:
    """`1 of 10 episodes, 500 of 5000 transitions; all: --config.demos.trajectories=all`"""
    demos, chosen = problem.demos, problem.config.demos
    assert demos is not None and problem.demo_indices is not None
    episodes = chosen.trajectories or demos.num_episodes
    counts = np.asarray(problem.placement.get(problem.demo_indices.count))
    low, high = int(counts.min()), int(counts.max())
    kept = f"{low}" if low == high else f"{low} to {high}"  # seeds may see episodes of other lengths
    text = f"{episodes} of {demos.num_episodes} episodes, {kept} of {len(demos)} transitions"
    remedies = ["--config.demos.trajectories=all"] * (episodes < demos.num_episodes)
    remedies += ["--config.demos.subsample=1"] * (chosen.subsample > 1)
    return f"{text}; all: {' '.join(remedies)}" if remedies else text


def say(line: str) -> None:
    """Prints a line at once; where nobody reads any longer (a closed pipe) training goes on in silence."""
    try:
        print(line if line.isprintable() else printable(line), flush=True)
    except BrokenPipeError:
        with suppress(OSError, ValueError):  # a stream without a file of its own
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def second_ends_at_once() -> Iterator[None]:
    """Lets a second SIGTERM end the process also while native code runs and no Python gets a turn.

    The system's own action is put back by a thread, which learns of the first one through a pipe that the
    interpreter's handler in C writes to. Where somebody else listens there already, nothing is done.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    others = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    if others != -1:
        signal.set_wakeup_fd(others)
    thread = threading.Thread(target=_put_back_at_sigterm, args=(reading,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        if others == -1:
            signal.set_wakeup_fd(-1)
        os.close(writing)  # ends the thread
        thread.join()
        os.close(reading)


def _put_back_at_sigterm(reading: int) -> None:
    while numbers := os.read(reading, 64):
        if signal.SIGTERM in numbers:
            set_action = ctypes.CDLL(None).signal  # Python's own may be called in the main thread only
            set_action.argtypes, set_action.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
            set_action(signal.SIGTERM, None)  # SIG_DFL


@contextmanager
def interruptible() -> Iterator[Callable[[], int]]:
    """Turns the first Ctrl-C or SIGTERM into a flag, read between chunks, when the state is whole.

    A second one of the same kind ends the process. Yields a function that returns the number of the signal
    that came first, 0 while there is none.
    """
    noted: list[int] = []

    def note(number: int, frame: Any) -> None:
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
        with second_ends_at_once():
            yield lambda: noted[0] if noted else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def warn_of_failures(
    problem: Problem, metrics: dict[str, np.ndarray], failed_at: np.ndarray, failed: np.ndarray
) -> None:
    """Says which metrics of the runs `failed` were not finite in their last chunk."""
    for run in failed if is_main() else ():
        names = ", ".join(sorted(name for name, value in metrics.items() if not np.isfinite(value[run])))
        logging.warning(
            f"run {run} ({name_run(problem, int(run))}): {names} not finite at update {failed_at[run]}; its "
            "parameters stay as they were before, the other runs go on"
        )


def name_run(problem: Problem, run: int) -> str:
    """A run by its seed and what the grid gave it."""
    varied = [f"{name} {values[run]:g}" for name, values in problem.varied.items()]
    return ", ".join([f"seed {problem.seeds[run]}", *varied])
