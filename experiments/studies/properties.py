"""The five properties of the paper's Table 1: three as stated by the equations (experiments/lib/stated.py),
two measured on random finite processes where every answer is known.

    python -m experiments.studies.properties [--quick]

Convergence: total variation between the learned policy's occupancy and the one it is compared with, over
updates: IQ-Learn's exact optimum, the expert for all others. Dynamics-awareness: how far the policy moves
when every transition that the method sees (the demonstrations', its own, its model's) leads to where another
pair leads, all random numbers being the same; the processes are deterministic there, so that a method which
does not look at transitions does not move at all. Rows are drawn from the exact discounted occupancies, by
chains that restart with probability 1−γ.
"""

from functools import partial
from time import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.lib import command
from experiments.lib.table import RUNS
from experiments.studies.processes import (
    ALPHA,
    METHODS,
    ROLLOUT,
    STATES,
    TEMPERATURE,
    World,
    configuration,
    learn,
    random_worlds,
    shuffled,
)
from experiments.studies.properties_page import FEW, KINDS, write
from experiments.studies.properties_page import write_page as write_page  # for reproduce.py
from iqlearn_jax.ops.iq.divergences import DIVERGENCES
from iqlearn_jax.ops.iq.soft import soft_policy
from iqlearn_jax.ops.tabular.mdp import occupancy
from iqlearn_jax.ops.tabular.solve import solve
from iqlearn_jax.runs.files import read_json, write_json
from iqlearn_jax.statistics import iqm_and_ci


def targets(name: str, worlds: World) -> np.ndarray:
    """Occupancies [N, S, A] that the method aims at."""
    with jax.enable_x64(True):
        mdp = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), worlds.true)
        expert = jax.vmap(occupancy)(mdp, jnp.asarray(worlds.expert, jnp.float64))
        if not name.startswith("iq"):
            return np.asarray(expert)
        best = jax.jit(jax.vmap(lambda m, e: solve(m, e, DIVERGENCES["chi2"], ALPHA, TEMPERATURE).q))
        return np.asarray(jax.vmap(occupancy)(mdp, soft_policy(best(mdp, expert), TEMPERATURE)))


def total_variation(a, b) -> np.ndarray:
    """½Σ|a − b| over the last two axes."""
    return 0.5 * np.abs(np.asarray(a) - np.asarray(b)).sum(axis=(-2, -1))


def measure(name: str, count: int, marks: tuple[int, ...]) -> dict[str, Any]:
    """One method's row: distances over updates on both kinds of processes, what shuffling changes, and the
    seconds that both took."""
    began, seeds = time(), jnp.arange(count)
    train = jax.jit(jax.vmap(partial(learn, name, marks, 0)))
    row: dict[str, Any] = {"method": name, "updates": list(marks)}
    for kind, deterministic in KINDS.items():
        worlds = random_worlds(count, deterministic)
        visits = jax.vmap(jax.vmap(occupancy, (None, 0)))(worlds.true, train(worlds, seeds))
        distance = total_variation(visits, targets(name, worlds)[:, None])
        row[kind] = [iqm_and_ci(x) for x in distance.T]
    train = jax.jit(jax.vmap(partial(learn, name, marks[-1:], FEW)))
    worlds = random_worlds(count, deterministic=True)  # the same draws: what differs are the transitions
    own, other = (train(seen, seeds)[:, -1] / STATES for seen in (worlds, shuffled(worlds)))
    row["shuffled"] = iqm_and_ci(total_variation(own, other))
    return row | {"wall_seconds": time() - began}


def measured(name: str, count: int, marks: tuple[int, ...]) -> dict[str, Any]:
    """The same, kept in runs/properties until the commit changes, so that a stopped run goes on."""
    if configuration(name).feed == "rollout":  # as many steps of the process
        marks = tuple(mark // ROLLOUT for mark in marks)
    path = RUNS / "properties" / f"{name}-{count}-{marks[-1]}.json"
    commit = command.made()["commit"]
    if path.exists() and (kept := read_json(path))["commit"] == commit:
        return kept["row"]
    row = measure(name, count, marks) | {"commit": commit}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"commit": commit, "row": row})
    return row


def main() -> None:
    """The command line."""
    quick = command.parse(__doc__, "quick").quick
    count, marks = (8, (100, 300)) if quick else (100, (10, 30, 100, 300, 1000))
    rows = []
    for name in METHODS:
        rows.append(measured(name, count, marks))
        print(rows[-1], flush=True)
    write(rows, count, " (--quick)" if quick else "")


if __name__ == "__main__":
    command.run("studies.properties", main)
