"""Replay, compilation, devices and memory."""

import json
import os
import re
import subprocess
import sys
import tempfile
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Row, alternate, at_most, between, row
from benchmarks.updates import SAC, make_updates, random_rows, spec_of
from iqlearn_jax.data.replay import make_replay

SIZES, ROUNDS = (1_000, 1_000_000), 200
PROBE = [sys.executable, "-m", "benchmarks.probe"]


def replay() -> list[Row]:
    """Adding one transition and sampling 256: a million entries beside a thousand, and beside the update."""
    update, _ = make_updates("iq", SAC)
    made = {size: _rounds(size) for size in SIZES}
    times = alternate({str(size): call for size, (call, _) in made.items()} | {"update": update}, 9)
    small, large = (times[str(size)] / ROUNDS for size in SIZES)
    share = large / (times["update"] / SAC.steps)
    copies = _whole_buffers(made[SIZES[1]][1], SIZES[1])
    return [
        row(
            "replay: 1e6 ÷ 1e3 entries",
            large / small,
            "time ratio",
            at_most(3),
            microseconds=1e6 * np.median(large),
        ),
        row("replay: share of the SAC-IQ update", share, "share", at_most(0.05)),
        row("replay: results of its size in the step", [copies], "count", at_most(0)),
    ]


def _rounds(size: int):
    """(call of `ROUNDS` additions and samples in a donated scan, its compiled text)."""
    buffer = make_replay(spec_of(SAC), size, SAC.batch, 1)
    one = random_rows(SAC, 1)

    def body(carry, key):
        state, total = carry
        state = buffer.add(state, one)
        return (state, total + jnp.sum(buffer.sample(state, key).reward)), None

    def rounds(state, key):
        return jax.lax.scan(body, (state, 0.0), jax.random.split(key, ROUNDS))[0]

    held, key = {"state": buffer.init()}, jax.random.key(0)
    compiled = jax.jit(rounds, donate_argnums=0).lower(held["state"], key).compile()

    def call():
        held["state"], total = compiled(held["state"], key)
        return total

    return call, compiled.as_text()


def _whole_buffers(text: str, size: int) -> int:
    """Copies, selects and broadcasts of the whole buffer inside the loop's body."""
    body = text[text.find("%region") :]
    wide = rf"= \S*\[(?:1,)?{size}(?:,\d+)*\]\S* (copy|select|broadcast)\("
    return len(re.findall(wide, body))


def compilation() -> list[Row]:
    """Seconds to compile a whole loop in a fresh process, with an empty and with a filled cache."""
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = (_probe("compile", JAX_COMPILATION_CACHE_DIR=cache) for _ in range(2))
    share = warm["compile"] / cold["compile"]
    return [row("compile: warm ÷ cold", [share], "time ratio", at_most(0.25), cold=cold, warm=warm)]


def scaling() -> list[Row]:
    """Collectives in the loop's HLO on 8 simulated devices, and its time beside one device's of 8 runs."""
    times = {n: _probe("devices", XLA_FLAGS=f"--xla_force_host_platform_device_count={n}") for n in (1, 8)}
    kinds = times[8]["collectives"]
    ratio = times[8]["seconds"] / times[1]["seconds"]
    return [
        row("scaling: collectives on 8 devices", [kinds], "kinds", at_most(0), time_8_devices_over_1=ratio)
    ]


def memory() -> list[Row]:
    """What `--dry-run` predicts over the growth of the peak of a process that trains."""
    predicted, measured = ([_probe(what)["bytes"] for _ in range(3)] for what in ("predict", "memory"))
    ratios = np.array(predicted) / np.array(measured)
    return [
        row(
            "memory: predicted ÷ measured",
            ratios,
            "ratio",
            between(0.8, 1.25),
            gigabytes=measured[0] / 1e9,
        )
    ]


def _probe(what: str, **env: str) -> dict:
    """Figures of a fresh process (`benchmarks.probe`)."""
    settings = {
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    run = partial(subprocess.run, capture_output=True, text=True, check=True)
    return json.loads(run([*PROBE, what], env=os.environ | settings | env).stdout.splitlines()[-1])
