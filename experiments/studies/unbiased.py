"""The paper's remark on ValueDICE in numbers: the log of a batch's mean is biased, IQ-Learn's mean is not.

`python -m experiments.studies.unbiased`. Both minimise a reverse KL over the same x = ν(s,a) − γE_π[ν(s',·)]
on the expert's rows: ValueDICE by log E[eˣ] (Donsker and Varadhan), IQ-Learn by E[eˣ] − 1 (φ = 1 − e^{−r},
r = −x). On random deterministic processes with a known occupancy the exact value and gradient are compared
with the mean of many batches'. Writes docs/results/unbiased.{json,md} and docs/images/unbiased.png.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.lib import command
from experiments.lib.figures import IMAGES
from experiments.lib.markdown import markdown_table, origin
from experiments.lib.table import RESULTS
from experiments.studies.processes import ACTIONS, GAMMA, STATES, random_worlds
from iqlearn_jax.ops.baselines.dice import donsker_varadhan
from iqlearn_jax.ops.iq.divergences import DIVERGENCES, guarded_phi
from iqlearn_jax.ops.iq.objectives import iq_loss
from iqlearn_jax.ops.iq.soft import soft_policy
from iqlearn_jax.ops.tabular.mdp import MDP, occupancy
from iqlearn_jax.report import style
from iqlearn_jax.runs.files import read_json, write_json

SIZES, BATCHES, PROCESSES = (1, 4, 16, 64, 256, 1024), 20_000, 10
SPREAD = 1.0  # deviation of ν
NAMES = {"value_dice": "ValueDICE, log of the mean", "iq": "IQ-Learn, mean"}


def log_ratio(mdp: MDP, policy: jax.Array, nu: jax.Array) -> jax.Array:
    """x = ν(s,a) − γE_π[ν(s',·)], [S * A]."""
    return (nu - mdp.gamma * mdp.transition @ jnp.sum(policy * nu, axis=1)).ravel()


def value_dice(mdp: MDP, policy: jax.Array, nu: jax.Array, weight: jax.Array) -> jax.Array:
    """log E[eˣ] with weights [S * A]; the linear term, which no batch biases, is left out."""
    return donsker_varadhan(log_ratio(mdp, policy, nu), weight, jnp.zeros(()))


def iq(mdp: MDP, policy: jax.Array, nu: jax.Array, weight: jax.Array) -> jax.Array:
    """E[eˣ] − 1 with weights [S * A]."""
    phi = partial(guarded_phi, DIVERGENCES["reverse_kl_unbiased"], alpha=1.0)
    return iq_loss(phi, -log_ratio(mdp, policy, nu), jnp.zeros(()), weight)


def biases(loss: Callable, mdp: MDP, expert: jax.Array, seed: int) -> np.ndarray:
    """Of value and gradient for each batch size, with their standard errors: [len(SIZES), 4].

    The gradient's bias is the length of the mean error over the exact gradient's length, its error the
    length that the mean of unbiased batches would be expected to have.
    """
    rng = np.random.default_rng(seed)
    nu = jnp.asarray(SPREAD * rng.standard_normal((STATES, ACTIONS)))
    policy = soft_policy(nu, 1.0)
    density = np.asarray(occupancy(mdp, expert), float).ravel()
    measure = jax.jit(jax.vmap(jax.value_and_grad(partial(loss, mdp, policy)), (None, 0)))
    exact, slope = jax.tree.map(lambda x: np.asarray(x)[0], measure(nu, jnp.asarray(density[None])))
    size = np.linalg.norm(slope)
    rows = []
    for batch in SIZES:
        counts = rng.multinomial(batch, density / density.sum(), BATCHES)
        values, slopes = map(np.asarray, measure(nu, jnp.asarray(counts, float)))
        error = np.sqrt(slopes.var(axis=0).sum() / BATCHES)
        rows.append(
            (
                values.mean() - exact, values.std() / np.sqrt(BATCHES),
                np.linalg.norm(slopes.mean(axis=0) - slope) / size, error / size,
            )
        )  # fmt: skip
    return np.array(rows)


def measure_all() -> list[dict[str, Any]]:
    """Rows of the result: means over processes, float64."""
    with jax.enable_x64(True):
        worlds = random_worlds(PROCESSES, deterministic=True)
        tables = {}
        for name, loss in {"value_dice": value_dice, "iq": iq}.items():
            of_each = [
                jax.tree.map(lambda x, i=i: jnp.asarray(x[i], float), worlds) for i in range(PROCESSES)
            ]
            tables[name] = np.mean([biases(loss, w.true, w.expert, i) for i, w in enumerate(of_each)], axis=0)
    keys = ("value_bias", "value_error", "gradient_bias", "gradient_error")
    return [
        {"method": name, "batch": batch} | dict(zip(keys, map(float, values), strict=True))
        for name, table in tables.items()
        for batch, values in zip(SIZES, table, strict=True)
    ]


def draw(rows: list[dict[str, Any]]) -> None:
    """docs/images/unbiased.png: bias of the gradient over the batch's size; what noise gives is dotted."""
    with style.figure((5.6, 3.6)) as (fig, axes):
        ax = np.ravel(axes)[0]
        for index, (name, words) in enumerate(NAMES.items()):
            own = [row for row in rows if row["method"] == name]
            ax.plot(
                SIZES, [r["gradient_bias"] for r in own], marker="o", label=words, color=style.colour(index)
            )
            ax.plot(SIZES, [r["gradient_error"] for r in own], linestyle=":", color=style.colour(index))
        ax.set_xscale("log")
        ax.set_xticks(SIZES, map(str, SIZES))
        ax.minorticks_off()
        ax.set_yscale("log")
        ax.set_xlabel("rows in a batch")
        ax.set_ylabel("bias of the gradient / its length")
        ax.set_title("Reverse KL from batches")
        style.legend_below(ax, list(NAMES.values()), columns=2)
        (IMAGES / "unbiased.png").write_bytes(style.png(fig))


def main() -> None:
    """Measures, writes, draws."""
    command.parse(__doc__)
    rows, made = measure_all(), command.made()
    facts = {"processes": PROCESSES, "states": STATES, "actions": ACTIONS, "gamma": GAMMA, "batches": BATCHES}
    write_json(RESULTS / "unbiased.json", {"name": "unbiased", "provenance": made} | facts | {"rows": rows})
    write_page()
    draw(rows)


def write_page() -> None:
    """docs/results/unbiased.md from the file beside it."""
    content = read_json(RESULTS / "unbiased.json")
    lines = [
        (NAMES[r["method"]], r["batch"], f"{r['value_bias']:+.4f} ± {r['value_error']:.4f}",
         f"{r['gradient_bias']:.4f}", f"{r['gradient_error']:.4f}")
        for r in content["rows"]
    ]  # fmt: skip
    bias = ("bias of the value ± standard error", "bias of the gradient", "sampling error")
    head = ("objective", "batch", *bias)
    facts = (
        f"{content['processes']} processes of {content['states']} states and {content['actions']} actions, "
        f"γ = {content['gamma']}; {content['batches']:,} batches of each size; means over processes.\n\n"
    )
    about = (__doc__ or "").split("\n\n", 1)[0], (__doc__ or "").split("`. ", 1)[1].rpartition(" Writes")[0]
    page = "# Biased and unbiased reverse KL\n\n" + "\n\n".join((*about, facts))
    page += origin("studies.unbiased", [content]) + markdown_table(head, lines)
    page += "\n![Bias of the gradient over the batch's size](../images/unbiased.png)\n\nDotted: noise.\n"
    (RESULTS / "unbiased.md").write_text(page)


if __name__ == "__main__":
    command.run("studies.unbiased", main)
