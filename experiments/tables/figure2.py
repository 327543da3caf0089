"""The paper's Figure 2: offline classic control over numbers of demonstrations, in two settings never mixed.

    python -m experiments.tables.figure2 [--list] [--only=NAME,...]

Runs of shared demonstrations are those of experiments/tables/table1.py (same folders, 20 seeds, settings
found by experiments/tables/tuning.py). Rows of bundled demonstrations, by experts trained here, are added at
1 and 10.
"""

from collections.abc import Mapping
from functools import partial
from itertools import product
from typing import Any

from experiments.lib.comparison import compare, verdicts
from experiments.lib.demonstrations import SHARED
from experiments.lib.figures import write_scores
from experiments.lib.markdown import markdown_table, score
from experiments.lib.table import Row, Table, borrowed, main
from experiments.tables.table1 import FIGURE2, FIRST_SEED, OFFLINE_HOURS, SETTINGS, SLOWER, label, panels
from experiments.tables.table1 import TABLE as TABLE1
from experiments.tables.tuning import CLASSIC, DEMOS, NEXT, searched

OWN = {
    "cartpole": "iqlearn_jax/data/bundled/CartPole-v1.npz",
    "acrobot": "iqlearn_jax/data/bundled/Acrobot-v1.npz",
}
OWN_METHODS = ("iq", "iq_w1", "bc", "avril")
PAPER = {  # returns at one subsampled demonstration, read off the plot (5 % of the axis)
    "cartpole": {"iq": 460, "iq_w1": 400, "avril": 380, "edm": 220, "bc": 170, "value_dice": 170},
    "acrobot": {"iq": -80, "edm": -125, "bc": -160, "avril": -300},
    "lunarlander": {"iq_w1": 155, "iq": 130, "edm": 0, "bc": -50, "avril": -115, "value_dice": -190},
}
PAPER_EXPERT = {"cartpole": 500, "acrobot": -75, "lunarlander": 280}
PAPER_RANDOM = {"cartpole": 24, "acrobot": -500}  # not given for LunarLander-v2


def shared_rows() -> dict[str, Row]:
    """Table 1's runs, where they are."""
    names = (
        f"{task}_{setting}_{method}_{demos}"
        for task, setting, method, demos in product(CLASSIC, SETTINGS, FIGURE2, DEMOS)
    )
    return {name: borrowed(TABLE1, name) for name in names if name in TABLE1.rows}


def next_rows() -> dict[str, Row]:
    """IQ-Learn and cloning on thinned-out demonstrations that also show the action after each kept step."""
    return {
        f"{task}_sparse_{method}_{demos}": Row(
            f"table1:{task}_sparse_{method}",
            SHARED[task],
            {"demos.trajectories": demos, "seeds": 20, "first_seed": FIRST_SEED},
            label=label(method),
            prepare=partial(searched, f"{task}_sparse_{method}"),
            hours=SLOWER[task] * OFFLINE_HOURS[method.removesuffix("_next")],
        )
        for task, method, demos in product(CLASSIC, NEXT, DEMOS)
    }


def own_rows() -> dict[str, Row]:
    """The same from experts trained here."""
    return {
        f"own_{task}_{setting}_{method}_{demos}": Row(
            f"table1:{task}_{setting}_{method}",
            changes={
                "demos.path": OWN[task], "demos.trajectories": demos, "seeds": 20, "first_seed": FIRST_SEED,
            },
            label=f"{label(method)}, own demonstrations",
            prepare=partial(searched, f"{task}_{setting}_{method}"),
            hours=OFFLINE_HOURS[method],
        )
        for task, setting, method, demos in product(OWN, SETTINGS, OWN_METHODS, (1, 10))
    }  # fmt: skip


PREFACE = """# Figure 2: offline, over numbers of demonstrations

Interquartile means over 20 seeds (from 8000 on) [95 % bootstrap] of final policies, 10 deterministic episodes
each; 0 is the uniform policy, 1 the mean of all episodes of the file; nothing is clipped. The table holds
thinned-out demonstrations (every 20th step on CartPole, every 5th elsewhere) by their number; on whole ones
nearly all methods are at the expert's level ([table1.md](table1.md)). "paper": its plot at one subsampled
demonstration, read to 5 % of the axis, normalised by its own expert and the uniform policy; LunarLander's is
left out, since the uniform policy's return in its version is not given. –: not run, or not in the paper.

"""
BOTH = """
## With both actions of a row

AVRIL's objective reads what the expert did after each kept step, twice as many actions as the others see on
thinned-out demonstrations. `next_actions` shows them to IQ-Learn and to cloning as well
([iq.md](../methods/iq.md)); their settings were searched like all others'. Among these three:

"""


def markdown(results: list[dict[str, Any]]) -> str:
    """The table, then what the comparisons say."""
    done = {row["name"]: row for row in results}
    page = score_table(done)
    if write_scores("figure2", panels(done, FIGURE2), DEMOS):
        page += "\n![Scores over demonstrations](../images/figure2_scores.png)\n"
    shared, made_here, both = compared(done)
    page += "\n## Comparisons, whole and thinned out\n\n" + verdicts(compare(shared))
    page += BOTH + verdicts(compare(both))
    return page + "\n## From experts trained here\n\n" + verdicts(compare(made_here))


def compared(done: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Rows that may be compared with each other: of shared demonstrations, of those made here, and those that
    see a row's next action.
    """
    one_action = {name: row for name, row in done.items() if "_next_" not in name}
    made_here = {name: row for name, row in one_action.items() if name.startswith("own")}
    shared = {name: row for name, row in one_action.items() if name not in made_here}
    both = {name.replace("_next_", "_"): row for name, row in done.items() if "_next_" in name}
    both |= {name: row for name, row in shared.items() if "_sparse_avril_" in name}
    return shared, made_here, both


def comparisons(results: list[dict[str, Any]]) -> dict[str, list]:
    """Every pair, for the result file."""
    names = ("comparisons", "comparisons_made_here", "comparisons_both_actions")
    groups = compared({row["name"]: row for row in results})
    return {
        name: [pair._asdict() for pair in compare(rows)] for name, rows in zip(names, groups, strict=True)
    }


def paper(task: str, setting: str) -> dict[str, float]:
    """The paper's scores at one demonstration, normalised; none where its setting is another."""
    if setting != "sparse" or task not in PAPER_RANDOM:
        return {}
    low, high = PAPER_RANDOM[task], PAPER_EXPERT[task]
    return {method: (value - low) / (high - low) for method, value in PAPER[task].items()}


def score_table(done: Mapping[str, Any]) -> str:
    """Tasks and methods by numbers of demonstrations, thinned out, the paper's figure behind."""
    lines = []
    for task, method in product(CLASSIC, (*FIGURE2, *NEXT)):
        rows = [done.get(f"{task}_sparse_{method}_{count}") for count in DEMOS]
        theirs = paper(task, "sparse").get(method)
        if any(rows):
            last = "–" if theirs is None else f"{theirs:.2f}"
            lines.append((task, label(method), *map(score, rows), last))
    return markdown_table(("task", "method", *map(str, DEMOS), "paper, at 1"), lines)


TABLE = Table("tables.figure2", shared_rows() | own_rows() | next_rows(), PREFACE, markdown, more=comparisons)

if __name__ == "__main__":
    main(TABLE, __doc__)
