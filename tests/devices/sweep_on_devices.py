"""Trains a tiny sweep on so many simulated devices, as its own process; test_devices.py starts it.

XLA_FLAGS=--xla_force_host_platform_device_count=8 PYTHONPATH=. DEMOS=FILE \
    python tests/devices/sweep_on_devices.py WORKDIR STOP_AFTER [COORDINATOR PROCESSES PROCESS_ID]
"""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np

from benchmarks.probe import collectives_of
from iqlearn_jax.devices.placement import AXIS
from iqlearn_jax.training import train as run_lib
from iqlearn_jax.training import train as session_lib
from iqlearn_jax.training.problem import make_loop, make_problem
from tests.common import made_up_config, made_up_environments

CONFIG = {"seeds": 3, "grid__temperature": (0.1, 0.2), "terminal": "absorbing", "target_network": True}


def config_of(demos=None):
    """The sweep; every process must read the same file."""
    path = os.environ["DEMOS"] if demos is None else demos
    return made_up_config("iq", "replay", "walk", updates=12, **CONFIG, demos__path=path)


def control(place):
    """What the search finds in a program that sums over the devices."""
    total = jax.jit(place.map_runs(lambda x: jax.lax.psum(x, AXIS), in_axes=(0,)))
    return collectives_of(total.lower(place.put(np.ones(place.runs))).compile())


def stop_after(chunks):
    """Ctrl-C while chunk number `chunks` runs; never for 0."""
    done = []
    original = session_lib.record

    @contextmanager
    def pressed():
        yield lambda: 2 * (len(done) >= chunks > 0)

    def count(*arguments):
        done.append(1)
        original(*arguments)

    session_lib.interruptible, session_lib.record = pressed, count


def main():
    workdir, chunks = Path(sys.argv[1]), int(sys.argv[2])
    if len(sys.argv) > 3:
        coordinator, processes, number = sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
        jax.distributed.initialize(coordinator, processes, number, heartbeat_timeout_seconds=10)
    stop_after(chunks)
    with made_up_environments():
        config = config_of()
        problem = make_problem(config)
        loop, (hparams, _, rows, demo_indices) = make_loop(problem), problem.inputs
        run = loop.init(*problem.inputs)
        collectives = collectives_of(loop.chunk.lower(hparams, rows, demo_indices, run).compile())
        print("devices", jax.device_count(), "slots", problem.placement.slots, "collectives", collectives)
        if jax.device_count() > 1:
            print("control", control(problem.placement))
        print("shards", sorted({len(x.addressable_shards) for x in jax.tree.leaves(run)}))
        del run
        try:
            summary = run_lib.train(config, workdir, resume=(workdir / "config.json").exists())
            print("returns", summary["returns"])
        except run_lib.Stopped:
            print("stopped")


if __name__ == "__main__":
    main()
