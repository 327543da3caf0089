"""docs/results/properties.{json,md}: the paper's ticks beside what equations say and what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.lib import command
from experiments.lib.figures import IMAGES
from experiments.lib.markdown import markdown_table, origin
from experiments.lib.stated import NO_TABLE, PROPERTIES, STATED
from experiments.lib.table import RESULTS
from experiments.studies.processes import ACTIONS, ALPHA, CHAINS, DRAWS, GAMMA, STATES, TEMPERATURE
from iqlearn_jax.report import style
from iqlearn_jax.runs.files import read_json, write_json

KINDS = {"deterministic": True, "stochastic": False}
FEW = 12  # rows of the expert where shuffling is measured
UNMOVED, NEAR = 0.02, 0.05  # below: a policy that hardly moved; an occupancy that is the one compared with
PANELS = {
    "offline": ("iq", "bc", "regularized_bc", "value_dice", "avril", "lstd_mu"),
    "online, replay": ("iq, online", "sqil", "adril", "dac", "max_entropy_deep"),
    "online, rollouts": ("gail", "airl", "asaf"),
    "with the process or a model of it": (
        "max_entropy", "max_margin", "max_likelihood", "max_entropy_dynamics",
    ),
}  # fmt: skip
HEAD = ("method", *PROPERTIES, "distance", "moved by shuffling")
PREFACE = f"""# The five properties of Table 1

Garg et al. tick five properties. Three follow from the equations ([each method's](../methods/README.md));
convergence and dynamics-awareness are measured for every method with a tabular form. The paper's claims
about IQ-Learn itself are: one concave problem in Q (proposition 3.5, which needs a φ that does not fall: χ²
as printed does beyond r = 2α, and TV's constraint is not convex in Q; `tests/ops/test_tabular.py` measures
it), a policy that heeds the dynamics, no game, any reward.

✓ and ✗ are the paper's ("convergence": a proof exists that the method finds the correct policy with enough
data); a * says that equations or measurements say otherwise, as listed below. Measured means: moved by less
than {UNMOVED}, or an occupancy within {NEAR} of the one it is compared with, on both kinds of processes. –:
the paper has no such row, or the method no tabular form. The distance is that on stochastic processes.

"""
MEASURED = """
## How it was measured

{count} random processes{option} of {states} states and {actions} actions, γ = {gamma}; {updates:,} updates
of {chains} rows with falling rates (gail, airl, asaf: a quarter as many, each of four steps of all {chains}
chains). Interquartile means over processes [95 % bootstrap]; {hours:.1f} hours of computing. GAIL's rates
were chosen on other processes (seed 7); no other method's were tuned. A policy is estimated from {draws}
actions in each state, which alone makes a distance of about 0.01. iq is the offline form, with the value term
over the expert's rows; "iq, online" has a replay.

**Distance**: total variation between the learned policy's occupancy and, for IQ-Learn, that of its
objective's exact maximiser (χ², α = {alpha}, τ = {temperature}), for all others that of the expert, who is
stochastic. Where a method's own optimum is not the expert (a margin and a sparse reward in regularized_bc, a
prior in avril, a fixed reward in sqil, a penalty in max_entropy_deep), or its policy is greedy (lstd_mu), the
distance holds that too: it is how far from the correct policy the method ends, which is what the tick is
about.

**Moved by shuffling**: how far the policy moves (total variation, mean over states) when every transition
that the method sees leads to where another pair leads, on deterministic processes, with {few} rows of the
expert and the same random numbers. Exactly 0: the method does not look at transitions. With endless rows
tables fit the expert's actions in all states whatever the dynamics, and hardly anything moves.

Not measured, having no tabular form: {no_table}.
"""


def write(rows: list[dict[str, Any]], count: int, option: str = "") -> None:
    """docs/results/properties.{json,md} and the figure."""
    made = command.made()
    facts: dict[str, Any] = {
        "count": count,
        "states": STATES,
        "actions": ACTIONS,
        "gamma": GAMMA,
        "chains": CHAINS,
    }
    facts |= {"draws": DRAWS, "few": FEW, "alpha": ALPHA, "temperature": TEMPERATURE}
    facts |= {"updates": rows[0]["updates"][-1], "option": option}
    stated = {name: {**entry._asdict(), "remarks": dict(entry.remarks)} for name, entry in STATED.items()}
    write_json(
        RESULTS / "properties.json",
        {"name": "properties", "provenance": made} | facts | {"rows": rows, "stated": stated},
    )
    draw(rows)
    write_page()


def write_page() -> None:
    """docs/results/properties.md from the file beside it."""
    content = read_json(RESULTS / "properties.json")
    rows, no_table = content["rows"], "; ".join(f"{name} ({why})" for name, why in NO_TABLE.items())
    hours = sum(row["wall_seconds"] for row in rows) / 3600
    page = PREFACE + origin("studies.properties", [content]) + markdown_table(HEAD, lines(rows)) + "\n"
    page += "".join(f"- {remark}.\n" for remark in remarks(rows))
    page += MEASURED.format(**{"option": "", "chains": CHAINS, **content}, no_table=no_table, hours=hours)
    page += "\n![Distance over updates, stochastic processes](../images/properties_distance.png)\n"
    (RESULTS / "properties.md").write_text(page)


def lines(rows: Sequence[Mapping[str, Any]]) -> list[tuple]:
    """A method's ticks in the paper, those that do not hold marked, and what was measured."""
    measured = {row["method"]: (_text(row["stochastic"][-1]), _text(row["shuffled"])) for row in rows}
    cells = []
    for name in dict.fromkeys((*STATED, *measured)):
        ticks = STATED[name].ticks if name in STATED else ""
        wrong = against(rows, name) if ticks else {}
        marked = [t + ("*" if key in wrong else "") for t, key in zip(ticks, PROPERTIES, strict=False)]
        cells.append((name, *(marked or ["–"] * len(PROPERTIES)), *measured.get(name, ("–", "–"))))
    return cells


def remarks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence for each tick that equations or measurements do not bear out."""
    return [
        f"{name}, {key} {entry.ticks[PROPERTIES.index(key)]}: {words}"
        for name, entry in STATED.items()
        for key, words in against(rows, name).items()
    ]


def against(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, str]:
    """{property: what equations or measurements say} where that is not what the paper's tick says."""
    entry = STATED[name]
    return {**entry.remarks, **(contradictions(rows, name) if entry.ticks else {})}


def contradictions(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, str]:
    """{property: what was measured} where that is not what the paper's tick says."""
    aware, _, converges, *_ = (tick == "✓" for tick in STATED[name].ticks)
    measured: dict[str, str] = {}
    for row in rows:
        if row["method"].split(",")[0] != name:
            continue
        moved, ends = row["shuffled"][0], [row[kind][-1][0] for kind in KINDS]
        if aware != (moved >= UNMOVED):
            measured["dynamics-aware"] = f"{row['method']} moves by {moved:.3f} when transitions are shuffled"
        if converges != (max(ends) <= NEAR):
            where = " and ".join(f"{end:.3f} ({kind})" for end, kind in zip(ends, KINDS, strict=True))
            measured["convergence"] = f"after {row['updates'][-1]:,} updates its distance is {where}"
    return measured


def draw(rows: Sequence[Mapping[str, Any]]) -> None:
    """docs/images/properties_distance.png: distance over updates on stochastic processes."""
    by_name = {row["method"]: row for row in rows}
    with style.figure((9.6, 7.2), 2, 2) as (fig, axes):
        for ax, (title, names) in zip(axes.flat, PANELS.items(), strict=True):
            ax.set(title=title, xscale="log", yscale="log", xlabel="updates", ylabel="total variation")
            ax.set_ylim(0.005, 1)
            _panel(ax, [by_name[name] for name in names if name in by_name])
        (IMAGES / "properties_distance.png").write_bytes(style.png(fig))


def _panel(ax, rows: Sequence[Mapping[str, Any]]) -> None:
    for index, row in enumerate(rows):
        colour = style.colour(index)
        values = np.array([value for value, _ in row["stochastic"]])
        low, high = np.array([interval for _, interval in row["stochastic"]]).T
        ax.plot(row["updates"], values, label=row["method"], color=colour)
        ax.fill_between(row["updates"], low, high, color=colour, alpha=0.2, linewidth=0)
    if rows:
        style.legend_below(ax, [row["method"] for row in rows], columns=3)


def _text(estimate: Sequence) -> str:
    value, interval = estimate
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
