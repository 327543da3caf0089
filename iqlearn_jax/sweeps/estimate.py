"""What a program will need before it runs: memory of each device and seconds, measured on a short piece."""

import time
from pathlib import Path
from typing import NamedTuple

import jax

from iqlearn_jax.training.problem import Problem, make_loop, make_problem

PROBE_UPDATES = 20


class Estimate(NamedTuple):
    """Of one program.

    Attributes:
      runs_per_device: with padding.
      bytes: peak on one device; on the CPU with what building and compiling take there.
      free: what the device has, None where it does not say.
      seconds: of training, without compiling and evaluating; None where it would not fit.
    """

    runs_per_device: int
    bytes: int
    free: int | None
    seconds: float | None

    @property
    def fits(self) -> bool:
        """Whether the device's memory is enough, as far as it says."""
        return self.free is None or self.bytes <= self.free


def estimate(config) -> Estimate:
    """Compiles a program and runs a short piece of it, if it fits.

    Raises:
      InputError: whatever is wrong with the configuration.
    """
    free, before = memory_free(), resident()
    problem = make_problem(config)
    need = memory_needed(problem)
    if jax.local_devices()[0].platform == "cpu":  # devices share the host's memory
        need += max(0, resident() - before) // problem.placement.devices
        free = free and free // max(1, problem.placement.devices // jax.process_count())
    fits = free is None or need <= free
    seconds = seconds_per_update(problem) * config.updates if fits else None
    return Estimate(problem.placement.slots // problem.placement.devices, need, free, seconds)


def memory_needed(problem: Problem) -> int:
    """Bytes on one device while a chunk runs: arguments (state, replay, demonstrations), results, scratch.

    The run's state is donated, so it counts once. Environments on the host are compiled step by step: there
    it is the size of the arguments.
    """
    loop = make_loop(problem)
    run = with_sharding(loop.like(*problem.inputs), problem)
    arguments = (problem.hparams, problem.rows, problem.demo_indices, run)
    if not hasattr(loop.chunk, "lower"):
        return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(arguments))
    analysis = loop.chunk.lower(*arguments).compile().memory_analysis()
    kept = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return int(analysis.argument_size_in_bytes + analysis.temp_size_in_bytes + kept)


def with_sharding(like, problem: Problem):
    """Shapes and dtypes of arrays [R', ...] with the placement that they will have."""
    sharding = problem.placement.sharding
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), like)


def memory_free() -> int | None:
    """Bytes free on this process's fullest device; on the CPU what is available on the host."""
    devices = jax.local_devices()
    if devices[0].platform == "cpu":
        return _available_memory()
    stats = [device.memory_stats() for device in devices]
    if not all(stats):
        return None
    return min(usage["bytes_limit"] - usage["bytes_in_use"] for usage in stats)


def seconds_per_update(problem: Problem) -> float:
    """Seconds of one update of all runs, from the second of two short chunks; the first compiles."""
    short = problem.config.copy_and_resolve_references()
    steps = short.online.updates_per_step
    short.log_every = -(-PROBE_UPDATES // steps) * steps
    short.updates = 2 * short.log_every
    short.eval_every = short.checkpoint_every = short.snapshot_every = 0
    short.online.learning_starts = min(short.online.learning_starts, short.batch_size)
    problem = problem._replace(config=short)
    loop, (hparams, _, rows, demo_indices) = make_loop(problem), problem.inputs
    run = loop.init(*problem.inputs)
    for _ in range(2):
        begun = time.perf_counter()
        run, metrics = loop.chunk(hparams, rows, demo_indices, run)
        problem.placement.get(metrics)
        seconds = time.perf_counter() - begun
    return seconds / short.log_every


def resident() -> int:
    """Bytes of memory that this process holds; 0 where the system does not say (not Linux)."""
    return _kibibytes("/proc/self/status", "VmRSS") or 0


def _available_memory() -> int | None:
    return _kibibytes("/proc/meminfo", "MemAvailable")


def _kibibytes(file: str, name: str) -> int | None:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")]
    return sizes[0] if sizes else None
