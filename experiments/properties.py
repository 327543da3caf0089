"""The five properties of the paper's Table 1: three as stated by the equations (experiments/stated.py), two
measured on random finite processes where every answer is known.

    python -m experiments.properties [--quick]

Convergence: total variation between the learned policy's occupancy and the one the method aims at, over
updates: IQ-Learn's exact optimum, the expert for all others. Dynamics-awareness: how far the policy moves
when every transition that the method sees (the demonstrations', its own, its model's) leads to where another
pair leads. Rows are drawn from the exact discounted occupancies, by chains that restart with probability 1−γ.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import command
from experiments.processes import (
    ACTIONS,
    ALPHA,
    CHAINS,
    DRAWS,
    GAMMA,
    METHODS,
    STATES,
    TEMPERATURE,
    World,
    learn,
    random_worlds,
    shuffled,
)
from experiments.stated import STATED
from experiments.table import RESULTS, markdown_table
from iqlearn_jax.ops.divergences import DIVERGENCES
from iqlearn_jax.ops.soft import soft_policy
from iqlearn_jax.ops.tabular import occupancy
from iqlearn_jax.ops.tabular_solve import solve
from iqlearn_jax.statistics import iqm_and_ci
from iqlearn_jax.sweep.workdir import provenance, write_json

KINDS = {"deterministic": True, "stochastic": False}
FEW = 12  # rows of the expert where shuffling is measured


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
    """One method's row: distances over updates on both kinds of processes, and what shuffling changes."""
    seeds = jnp.arange(count)
    train = jax.jit(jax.vmap(partial(learn, name, marks, 0)))
    row: dict[str, Any] = {"method": name, "updates": list(marks)}
    for kind, deterministic in KINDS.items():
        worlds = random_worlds(count, deterministic)
        visits = jax.vmap(jax.vmap(occupancy, (None, 0)))(worlds.true, train(worlds, seeds))
        distance = total_variation(visits, targets(name, worlds)[:, None])
        row[kind] = [iqm_and_ci(x) for x in distance.T]
    train = jax.jit(jax.vmap(partial(learn, name, marks[-1:], FEW)))
    own, other = (train(seen, seeds)[:, -1] / STATES for seen in (worlds, shuffled(worlds)))
    row["shuffled"] = iqm_and_ci(total_variation(own, other))
    return row


STATED_HEAD = ("method", "adversarial", "reward", "directly optimised", "source")
HEAD = ("method", "distance, deterministic", "distance, stochastic", "moved by shuffling")
STATED_PREFACE = """# The five properties of Table 1

The paper gives each method a tick or none. Three properties follow from the equations and are stated here;
convergence and dynamics-awareness are measured below for every method with a tabular form. The paper's
claims about IQ-Learn itself are: one concave problem in Q (proposition 3.5, which needs a φ that does not
fall: χ² as printed does beyond r = 2α, and TV's constraint is not convex in Q; `tests/ops/test_tabular.py`
measures it), a policy that heeds the dynamics, no game, any reward. Equations: each method's
[page](../methods/README.md).

"""
PREFACE = """
## Convergence and dynamics-awareness, measured

`python -m experiments.properties{option}`: {count} random processes of {states} states and {actions} actions,
γ = {gamma}; {updates:,} updates of {rows} rows with falling rates. Interquartile means over processes [95 %
bootstrap]. GAIL's rates were chosen on other processes (seed 7); no other method's were tuned. A
policy is estimated from {draws} actions in each state: differences below 0.01 are noise.

**Distance**: total variation between the learned policy's occupancy and the one that the method aims at.
That is the exact maximiser of the objective for IQ-Learn (χ², α = {alpha}, τ = {temperature}), the expert,
who is stochastic, for all others.

**Moved by shuffling**: how far the policy moves (total variation, mean over states) when every transition
that the method sees leads to where another pair leads, on stochastic processes and with {few} rows of the
expert. With endless rows tables fit the expert's actions in all states whatever the dynamics, and hardly
anything moves. Exactly 0: the method does not look at transitions.

Hardware: {hardware}, commit {commit}.

"""


def write(rows: list[dict[str, Any]], count: int, option: str) -> None:
    """docs/results/properties.{json,md}."""
    made = provenance(None)
    facts = {"count": count, "states": STATES, "actions": ACTIONS, "gamma": GAMMA, "rows": CHAINS}
    facts |= {"draws": DRAWS, "few": FEW, "alpha": ALPHA, "temperature": TEMPERATURE}
    facts |= {"updates": rows[0]["updates"][-1]}
    write_json(
        RESULTS / "properties.json",
        {"name": "properties", "provenance": made}
        | facts
        | {"rows": rows, "stated": {name: found._asdict() for name, found in STATED.items()}},
    )
    lines = [
        (row["method"], *map(_text, (*(row[kind][-1] for kind in KINDS), row["shuffled"]))) for row in rows
    ]
    page = PREFACE.format(**facts, option=option, hardware=made["hardware"], commit=made["commit"][:8])
    stated = STATED_PREFACE + markdown_table(STATED_HEAD, [(name, *STATED[name]) for name in STATED])
    (RESULTS / "properties.md").write_text(stated + page + markdown_table(HEAD, lines))


def _text(found: Sequence) -> str:
    value, interval = found
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def main() -> None:
    """The command line."""
    quick = command.parse(__doc__, "quick").quick
    count, marks = (8, (100, 300)) if quick else (100, (10, 30, 100, 300, 1000, 3000))
    rows = []
    for name in METHODS:
        rows.append(measure(name, count, marks))
        write(rows, count, " --quick" if quick else "")
        print(rows[-1], flush=True)


if __name__ == "__main__":
    command.run("properties", main)
