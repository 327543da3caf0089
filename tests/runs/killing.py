"""Kills a training command at random moments and resumes it, over and over, until it has had enough.

    kills = kill_and_resume(Job([first command], [command that resumes], workdir), seed=0, kills=25)

A job is one or several processes (several: a run over hosts); each kill ends all of them with SIGKILL, in a
random order. A third of the kills hit start-up, a third training, a third the middle of a save.
"""

import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

TEMPORARY = "*.orbax-checkpoint-tmp"  # what orbax renames once a save is complete
POLL = 0.0005  # seconds


class Job(NamedTuple):
    """What is killed.

    Attributes:
      first: the command line of each process that starts it; used until the folder is a run's.
      again: the same for going on.
      workdir: folder of the run.
      env: environment of the processes; None for this process's.
      claimed: file whose presence in the folder calls for `again`.
      saves: folder below `workdir` into which checkpoints are saved.
      alone: kill one process only; the others must then end by themselves, and not as if all were well.
    """

    first: Sequence[Sequence[str]]
    again: Sequence[Sequence[str]]
    workdir: Path
    env: Mapping[str, str] | None = None
    claimed: str = "config.json"
    saves: str = "checkpoints"
    alone: bool = False


class Kill(NamedTuple):
    """What one kill was aimed at, how old the processes were, and whether it left a half-finished save."""

    aim: str
    seconds: float
    halved: bool


def kill_and_resume(job: Job, seed: int, kills: int, timeout: float = 300.0) -> list[Kill]:
    """Starts, kills and restarts until so many kills are done, then lets the job end by itself.

    Raises:
      AssertionError: a process failed, was refused or hung, or the job ended before all kills were done.
    """
    rng, done, start = random.Random(seed), [], 0.0
    aims = [AIMS[number % len(AIMS)] for number in range(kills)]
    for aim in [aims[0], *rng.sample(aims[1:], kills - 1)]:  # the first measures how long a start takes
        before = set(half_saved(job))
        with running(job) as life:
            moment = aim(job, rng, start)
            wait_for(moment, life, timeout)
            age = life.age()
            life.kill_one(rng, timeout) if job.alone else life.kill(rng)
            done.append(Kill(aim.__name__, age, bool(set(half_saved(job)) - before)))
            start = start or age
    complete(job, timeout)
    return done


def complete(job: Job, timeout: float = 300.0) -> None:
    """Lets the job run (on) to its end."""
    with running(job) as life:
        life.wait(timeout)


# Moments: each aim looks at the folder as it is now and returns a question that becomes true when to kill ---


def amid_a_save(job: Job, rng: random.Random, start: float) -> Callable[[], bool]:
    """In the n-th save of this life."""
    before, seen, wanted = set(half_saved(job)), set(), rng.randint(1, 3)

    def now() -> bool:
        seen.update(set(half_saved(job)) - before)  # what an earlier kill left is not ours
        return len(seen) >= wanted

    return delayed(now, rng.uniform(0.0, 0.01))


def amid_training(job: Job, rng: random.Random, start: float) -> Callable[[], bool]:
    """When metrics were written some times."""
    path, wanted, changes = job.workdir / "metrics.jsonl", rng.randint(1, 4), [written(job)]

    def now() -> bool:
        if path.exists() and written(job) != changes[-1]:
            changes.append(written(job))
        return len(changes) > wanted

    return delayed(now, rng.uniform(0.0, 0.05))


def amid_start_up(job: Job, rng: random.Random, start: float) -> Callable[[], bool]:
    """Somewhere between the start of the process and its first save."""
    return delayed(lambda: True, rng.uniform(0.0, start))


AIMS = (amid_a_save, amid_training, amid_start_up)


def delayed(now: Callable[[], bool], seconds: float) -> Callable[[], bool]:
    """True so many seconds after `now` first was."""
    since: list[float] = []

    def later() -> bool:
        if not since and now():
            since.append(time.monotonic())
        return bool(since) and time.monotonic() - since[0] >= seconds

    return later


def half_saved(job: Job) -> list[Path]:
    """Saves in progress, or left half by a kill."""
    return list((job.workdir / job.saves).glob(TEMPORARY))


def written(job: Job) -> int:
    """When `metrics.jsonl` was last written, in ns; 0 before there is one."""
    try:
        return (job.workdir / "metrics.jsonl").stat().st_mtime_ns
    except FileNotFoundError:
        return 0


# Processes ------------------------------------------------------------------------------------------------


class Life:
    """The processes of one start."""

    def __init__(self, commands: Sequence[Sequence[str]], env: Mapping[str, str] | None, logs: Path):
        self._logs = [logs / f"{number}.txt" for number in range(len(commands))]
        self._processes = [
            subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT, env=env)
            for command, log in zip(commands, self._logs, strict=True)
        ]
        self._born = time.monotonic()

    def age(self) -> float:
        return time.monotonic() - self._born

    def codes(self) -> list[int | None]:
        """Exit codes; None where a process runs."""
        return [process.poll() for process in self._processes]

    def said(self) -> str:
        return "\n".join(f"--- process {n}\n{log.read_text()[-3000:]}" for n, log in enumerate(self._logs))

    def wait(self, timeout: float) -> None:
        for process in self._processes:
            process.wait(timeout)
        assert not any(self.codes()), f"exit codes {self.codes()}\n{self.said()}"

    def kill(self, rng: random.Random | None = None) -> None:
        order = list(self._processes)
        if rng is not None:
            rng.shuffle(order)
        for process in order:
            process.kill()
        for process in order:
            process.wait()

    def kill_one(self, rng: random.Random, timeout: float) -> None:
        victim = rng.choice(self._processes)
        victim.kill()
        for process in self._processes:
            assert process.wait(timeout) != 0, f"ended well without the one that was killed\n{self.said()}"


@contextmanager
def running(job: Job):
    """Starts the job, or goes on with it; nothing of it outlives the block."""
    commands = job.again if (job.workdir / job.claimed).exists() else job.first
    with tempfile.TemporaryDirectory() as logs:
        life = Life(commands, job.env, Path(logs))
        try:
            yield life
        finally:
            life.kill()


def wait_for(moment: Callable[[], bool], life: Life, timeout: float) -> None:
    while not moment():
        codes = life.codes()
        assert all(code is None for code in codes), f"ended before its kill: {codes}\n{life.said()}"
        assert life.age() < timeout, f"hung\n{life.said()}"
        time.sleep(POLL)
