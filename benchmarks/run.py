"""make bench: the IQ update's time over the plain RL update's, beside the ratio of their counted FLOPs.

Both updates have the same agent and the same total batch, run in one scan of `STEPS` updates, and alternate
`REPEATS` times; ratios are of medians. FLOPs are those that XLA counts for the compiled update. Writes
benchmarks/results/latest.json.
"""

import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from iqlearn_jax.config import base_config
from iqlearn_jax.methods import make_method
from iqlearn_jax.sweep.workdir import provenance, write_json
from iqlearn_jax.train.state import identity_normalization, make_hparams
from iqlearn_jax.types import Batch, EnvSpec, Transition

STEPS, REPEATS, BAR = 100, 15, 1.25
RESULTS = Path("benchmarks/results/latest.json")


class Case(NamedTuple):
    """An agent's sizes: observation, actions, network, batch of each kind, critics."""

    obs: int
    actions: int
    discrete: bool
    hidden: tuple[int, ...]
    batch: int
    critics: int


CASES = {
    "soft-Q 64-64, 32+32": Case(4, 2, True, (64, 64), 32, 1),
    "SAC 256-256, one critic, 256+256": Case(11, 3, False, (256, 256), 256, 1),
    "SAC 256-256, two critics, 256+256": Case(11, 3, False, (256, 256), 256, 2),
}


def spec_of(case: Case) -> EnvSpec:
    """An environment's facts without an environment."""
    bound = None if case.discrete else np.ones(case.actions, np.float32)
    low = None if bound is None else -bound
    count = case.actions if case.discrete else None
    return EnvSpec("bench", (case.obs,), np.dtype(np.float32), count, low, bound, 1000)


def random_rows(case: Case, size: int) -> Transition:
    """Made-up transitions [size]."""
    rng = np.random.default_rng(0)
    obs, following = rng.normal(size=(2, size, case.obs)).astype(np.float32)
    action = rng.uniform(-1, 1, (size, case.actions)).astype(np.float32)
    if case.discrete:
        action = rng.integers(0, case.actions, size).astype(np.int32)
    end = rng.random(size) < 0.01
    reward = rng.normal(size=size).astype(np.float32)
    rows = (obs, action, reward, following, end, np.zeros(size, bool))
    names = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
    return Transition(**{name: jnp.asarray(row) for name, row in zip(names, rows, strict=True)})


def compile_updates(method_name: str, case: Case) -> tuple[Any, tuple, float]:
    """Compiled scan of STEPS updates, its arguments, and the FLOPs of one update."""
    config = base_config()
    config.update({"method": method_name, "feed": "replay", "seeds": 1, "hidden": case.hidden})
    config.update({"critics": case.critics, "target_network": True, "value_term": "policy"})
    config.regularize = "both"
    method = make_method(config, spec_of(case))
    hparams = jax.tree.map(lambda x: x[0], make_hparams(config, identity_normalization(1, (case.obs,))))
    half, whole = random_rows(case, case.batch), random_rows(case, 2 * case.batch)
    batch = Batch(policy=half, expert=half) if method_name == "iq" else Batch(policy=whole)
    state = method.init(jax.random.key(0), hparams)

    def update(hparams, state, batch, key):
        return method.update(hparams, state, batch, key)[0]

    def scan(hparams, state, batch, key):
        def body(state, step):
            return update(hparams, state, batch, jax.random.fold_in(key, step)), None

        return jax.lax.scan(body, state, jnp.arange(STEPS))[0]

    arguments = (hparams, state, batch, jax.random.key(1))
    cost = jax.jit(update).lower(*arguments).compile().cost_analysis()
    return jax.jit(scan).lower(*arguments).compile(), arguments, float(cost["flops"])


def seconds(function, arguments) -> float:
    """Seconds of one call."""
    begun = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - begun


def measure(name: str, case: Case) -> dict[str, Any]:
    """One row: time ratio ÷ FLOP ratio, alternating the two programs."""
    programs = {method: compile_updates(method, case) for method in ("iq", "rl")}
    times: dict[str, list[float]] = {method: [] for method in programs}
    for repeat in range(REPEATS + 1):
        for method, (function, arguments, _) in programs.items():
            spent = seconds(function, arguments)
            times[method] += [spent] if repeat else []  # the first is a warm-up
    ratios = np.array(times["iq"]) / np.array(times["rl"])
    flops = programs["iq"][2] / programs["rl"][2]
    value = float(np.median(times["iq"]) / np.median(times["rl"]) / flops)
    return {
        "name": name,
        "value": value,
        "spread": [float(x) for x in np.percentile(ratios / flops, [25, 75])],
        "bar": BAR,
        "holds": value <= BAR,
        "unit": "time ratio / FLOP ratio",
        "flop_ratio": flops,
        "rl_updates_per_second": STEPS / float(np.median(times["rl"])),
        "iq_updates_per_second": STEPS / float(np.median(times["iq"])),
        "command": "python -m benchmarks.run",
    }


def main() -> int:
    """Measures every case, prints the table, writes the file; 1 if a bar does not hold."""
    rows = [measure(name, case) for name, case in CASES.items()]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS, {"name": "bench", "provenance": provenance(None), "rows": rows})
    table = Table(
        "update", "IQ ÷ RL ÷ FLOPs", "quartiles", "bar", "FLOP ratio", "RL updates/s", "IQ updates/s"
    )
    for row in rows:
        quartiles = "–".join(f"{x:.2f}" for x in row["spread"])
        rates = (f"{row['rl_updates_per_second']:.0f}", f"{row['iq_updates_per_second']:.0f}")
        mark = "" if row["holds"] else " (fails)"
        table.add_row(
            row["name"],
            f"{row['value']:.2f}{mark}",
            quartiles,
            f"≤ {BAR}",
            f"{row['flop_ratio']:.2f}",
            *rates,
        )
    Console().print(table)
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
