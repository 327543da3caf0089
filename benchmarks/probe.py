"""Figures that need a process of their own: python -m benchmarks.probe compile|devices|predict|memory."""

import json
import sys
import time
from pathlib import Path

import jax

from iqlearn_jax.config.presets import stable_q
from iqlearn_jax.config.values import base_config
from iqlearn_jax.devices.placement import one_device_per_core
from iqlearn_jax.sweeps.estimate import estimate, with_sharding
from iqlearn_jax.training.problem import make_loop, make_problem

LARGE = (16, 1_000_000)  # runs, replay of each
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")


def config_of(runs: int, capacity: int = 10_000):
    """CartPole online, the whole loop on the device."""
    config = stable_q(base_config())
    config.demos.path = "bundled:CartPole-v1"
    config.feed, config.seeds, config.updates = "replay", runs, max(20_000, capacity)
    config.online.capacity = capacity
    config.log_every = config.eval_every = config.checkpoint_every = 500
    return config


def compiling() -> dict:
    """Seconds of tracing and of compiling the loop."""
    problem = make_problem(config_of(8))
    loop = make_loop(problem)
    run = with_sharding(loop.like(*problem.inputs), problem)
    begun = time.perf_counter()
    lowered = loop.chunk.lower(problem.hparams, problem.rows, problem.demo_indices, run)
    traced = time.perf_counter()
    lowered.compile()
    return {"trace": traced - begun, "compile": time.perf_counter() - traced}


def devices() -> dict:
    """Kinds of collectives in the loop's compiled text, and seconds of a chunk of 8 runs."""
    problem = make_problem(config_of(8))
    loop, (hparams, _, rows, demo_indices) = make_loop(problem), problem.inputs
    run = loop.init(*problem.inputs)
    compiled = loop.chunk.lower(hparams, rows, demo_indices, run).compile()
    seconds = []
    for _ in range(4):
        begun = time.perf_counter()
        run, metrics = compiled(hparams, rows, demo_indices, run)
        jax.block_until_ready(metrics)
        seconds.append(time.perf_counter() - begun)
    return {"collectives": len(collectives_of(compiled)), "seconds": min(seconds[1:])}


def collectives_of(compiled) -> list[str]:
    """Kinds of collectives anywhere in a compiled program's text."""
    text = compiled.as_text()
    return [name for name in COLLECTIVES if name in text]


def memory() -> dict:
    """Growth of the process's peak over itself imported and idle, in bytes."""
    jax.block_until_ready(jax.numpy.zeros(8))
    idle = peak()
    problem = make_problem(config_of(*LARGE))
    loop, (hparams, _, rows, demo_indices) = make_loop(problem), problem.inputs
    run = loop.init(*problem.inputs)
    for _ in range(2):
        run, metrics = loop.chunk(hparams, rows, demo_indices, run)
        jax.block_until_ready(metrics)
    return {"bytes": peak() - idle}


def predict() -> dict:
    """What `iqlearn sweep --dry-run` says of the same program on all devices, in bytes."""
    estimated = estimate(config_of(*LARGE))
    return {"bytes": estimated.bytes * LARGE[0] // estimated.runs_per_device}


def peak() -> int:
    """Largest resident size of this process so far, in bytes (Linux; getrusage would count its parent's)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


if __name__ == "__main__":
    one_device_per_core()
    known = {"compile": compiling, "devices": devices, "predict": predict, "memory": memory}
    print(json.dumps(known[sys.argv[1]]()))
