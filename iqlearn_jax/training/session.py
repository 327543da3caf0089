"""What one training is while it lasts: the problem, its compiled loop, what watches it, the clock."""

import signal
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from iqlearn_jax.loops.loop import Loop, RunState
from iqlearn_jax.runs.folder import RunFolder
from iqlearn_jax.runs.history import History
from iqlearn_jax.training.problem import Problem, make_loop


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, after the state was saved; `number` is the signal's."""

    def __init__(self, number: int = signal.SIGINT):
        super().__init__()
        self.number = number


class Clock(NamedTuple):
    """Seconds of training so far; updates and seconds after the first chunk, which compiles."""

    wall: float = 0.0
    warm_updates: int = 0
    warm_seconds: float = 0.0
    first: bool = True


class Chunk(NamedTuple):
    """What the host sees of a chunk: metrics [R], steps of a run's environments, `RunState.failed_at` [R]."""

    metrics: dict[str, np.ndarray]
    env_steps: int
    failed_at: np.ndarray


class Session:
    """What stays the same while one problem is trained; what looks at it is made when first needed.

    Attributes:
      folder: where it is written, None: nowhere.
      callback: (update, metrics [R]) -> None, called after each chunk.
      progress: whether to show how far it is.
      latest: the newest state and the clock, for whoever stops it.
    """

    def __init__(
        self,
        problem: Problem,
        folder: RunFolder | None = None,
        callback: Callable | None = None,
        progress: bool = True,
    ):
        self.problem, self.folder, self.callback, self.progress = problem, folder, callback, progress
        self.latest: tuple[RunState, Clock] | None = None

    @cached_property
    def loop(self) -> Loop:
        """What trains; on the host it opens the simulators."""
        return make_loop(self.problem)

    @cached_property
    def history(self) -> History:
        """Metrics so far."""
        return History(len(self.problem.seeds))

    @cached_property
    def evaluate(self) -> Callable:
        """(state, episodes) -> Played [R, episodes]."""
        from iqlearn_jax.training.evaluation import make_evaluator

        return make_evaluator(self.problem)

    @cached_property
    def initial_value(self) -> Callable:
        """(state) -> {"iq/initial_value": [R]}."""
        from iqlearn_jax.training.evaluation import make_initial_value

        return make_initial_value(self.problem)

    @cached_property
    def judge(self) -> Callable:
        """(Played) -> likeness [R], or None."""
        from iqlearn_jax.training.judging import make_judge

        return make_judge(self.problem)

    @cached_property
    def doctor(self):
        """Watches the metrics; goes on from those that a resumed folder holds."""
        from iqlearn_jax.doctor.doctor import Doctor
        from iqlearn_jax.doctor.rules import make_case

        problem, workdir = self.problem, None if self.folder is None else self.folder.workdir
        return Doctor(make_case(problem.config, problem.spec), self.history, workdir)


def begin(session: Session) -> RunState:
    """A fresh state of all runs, or one with the networks of `config.init_from`."""
    run = session.loop.init(*session.problem.inputs)
    if not session.problem.config.init_from:
        return run
    from iqlearn_jax.training.warm_start import warm_start

    return warm_start(session.problem, run)
