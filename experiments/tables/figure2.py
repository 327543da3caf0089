"""The paper's Figure 2: offline classic control over numbers of demonstrations, in two settings never mixed.

    python -m experiments.tables.figure2 [--list] [--only=NAME,...]

Runs of shared demonstrations are those of experiments/tables/table1.py (same folders, 20 seeds, settings
found by experiments/tables/tuning.py). Rows from our own experts are added at 1 and 10: bundled
demonstrations, and for LunarLander those of an expert that is trained first.
"""

from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from experiments.lib.comparison import compare, compare_table
from experiments.lib.demonstrations import SHARED, own_demos
from experiments.lib.figures import write_scores
from experiments.lib.markdown import markdown_table, rows_done, score
from experiments.lib.table import RUNS, Row, Table, borrowed, main
from experiments.tables.table1 import (
    DEMOS,
    FIGURE2,
    FIRST_SEED,
    OFFLINE_HOURS,
    SETTINGS,
    SLOWER,
    label,
    panels,
)
from experiments.tables.table1 import TABLE as TABLE1
from experiments.tables.tuning import CLASSIC, NEXT, searched

OWN = {
    "cartpole": Path("iqlearn_jax/data/bundled/CartPole-v1.npz"),
    "acrobot": Path("iqlearn_jax/data/bundled/Acrobot-v1.npz"),
    "lunarlander": RUNS / "figure2/lunarlander.npz",
}
EXPERT, EXPERT_EPISODES, EXPERT_HOURS = "lunarlander:expert", 20, 0.5
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
    return {name: borrowed(TABLE1, name) for name in names}


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
    rows = {
        f"own_{task}_{setting}_{method}_{demos}": Row(
            f"table1:{task}_{setting}_{method}",
            changes={
                "demos.path": str(OWN[task]), "demos.trajectories": demos, "seeds": 20,
                "first_seed": FIRST_SEED,
            },
            label=f"{label(method)}, own demonstrations",
            prepare=partial(lacking, task, f"{task}_{setting}_{method}"),
            hours=SLOWER[task] * OFFLINE_HOURS[method],
        )
        for task, setting, method, demos in product(OWN, SETTINGS, FIGURE2, (1, 10))
    }  # fmt: skip
    first = "own_lunarlander_full_iq_1"  # trains the expert, too
    return rows | {first: rows[first]._replace(hours=(rows[first].hours or 0.0) + EXPERT_HOURS)}


def lacking(task: str, search: str, shared: Path) -> str:
    """What a row of ours has not got: its search, or demonstrations, which are made unless they are there."""
    if missing := searched(search, shared):
        return missing
    made_here = OWN[task].is_relative_to(RUNS)
    return own_demos(EXPERT, OWN[task], EXPERT_EPISODES, False, shared) if made_here else ""


PREFACE = """# Figure 2: offline, over numbers of demonstrations

`python -m experiments.tables.figure2` (shared demonstrations beside the checkout). Interquartile means over
20 seeds [95 % bootstrap] of final policies, 10 deterministic episodes each, seeds from 8000 on; 0 is the
uniform policy, 1 the mean of all episodes of the file; nothing is clipped. "paper": its plot at one
subsampled demonstration, read to 5 % of the axis, normalised by its own expert and the uniform policy;
LunarLander's is left out, since the uniform policy's return in its version is not given. On thinned-out
demonstrations AVRIL sees two actions to a row, the others one: hence the tables
[with both](#with-both-actions-of-a-row). Hardware: {hardware}.
Every row with returns, commit and command: [figure2.json](figure2.json).

"""
BOTH = """
## With both actions of a row

AVRIL's objective reads what the expert did after each kept step, twice as many actions as the others see on
thinned-out demonstrations. `next_actions` shows them to IQ-Learn and to cloning as well
([iq.md](../methods/iq.md)); their settings were searched like all others'. On CartPole others had been run on
these seeds before ([other data](../research/10-other-kinds-of-data.md)).

"""


def markdown(results: list[dict[str, Any]]) -> str:
    """Comparisons first, then one table for each task and setting."""
    done = {row["name"]: row for row in results if "method" in row}
    one_action = {name: row for name, row in done.items() if "_next_" not in name}
    made_here = {name: row for name, row in one_action.items() if name.startswith("own")}
    shared = {name: row for name, row in one_action.items() if name not in made_here}
    picture = write_scores("figure2", panels(done, FIGURE2), DEMOS)
    page = "![Scores over demonstrations](../images/figure2_scores.png)\n" if picture else ""
    page += both_actions(done) + "\n## Every comparison\n\n" + compare_table(compare(shared))
    for task, (setting, words) in product(CLASSIC, SETTINGS.items()):
        page += f"\n## {task}, {words}\n\n" + score_table(
            done, f"{task}_{setting}", DEMOS, paper(task, setting)
        )
    if pairs := compare(made_here):
        page += "\n## Every comparison on demonstrations made here\n\n" + compare_table(pairs)
    for task, (setting, words) in product(OWN, SETTINGS.items()):
        page += f"\n## {task}, {words}, demonstrations made here\n\n"
        page += score_table(done, f"own_{task}_{setting}", (1, 10), {})
    return page + rows_done(done, results)


def both_actions(done: Mapping[str, Any]) -> str:
    """Those that see a row's next action, beside each other."""
    names = {name.replace("_next_", "_"): name for name in done if "_next_" in name}
    names |= {name: name for name in done if "_sparse_avril_" in name and not name.startswith("own")}
    rows = {name: done[source] for name, source in names.items()}
    page = BOTH + compare_table(compare(rows))
    for task in CLASSIC:
        page += f"\n### {task}, {SETTINGS['sparse']}, both actions\n\n"
        page += score_table(done, f"{task}_sparse", DEMOS, {}, (*NEXT, "avril"))
    return page


def paper(task: str, setting: str) -> dict[str, float]:
    """The paper's scores at one demonstration, normalised; none where its setting is another."""
    if setting != "sparse" or task not in PAPER_RANDOM:
        return {}
    low, high = PAPER_RANDOM[task], PAPER_EXPERT[task]
    return {method: (value - low) / (high - low) for method, value in PAPER[task].items()}


def score_table(
    done: Mapping[str, Any],
    stem: str,
    demos: tuple[int, ...],
    theirs: dict[str, float],
    methods: tuple[str, ...] = FIGURE2,
) -> str:
    """Methods by numbers of demonstrations, the paper's figure behind the first."""
    lines = []
    for method in methods:
        cells = [done.get(f"{stem}_{method}_{count}") for count in demos]
        words = [score(cell) if cell else "pending" for cell in cells]
        paper_says = [f"{theirs[method]:.2f}" if method in theirs else "–"] if theirs else []
        lines.append((method, *words, *paper_says))
    return markdown_table(("method", *map(str, demos), *(["paper, at 1"] if theirs else [])), lines)


TABLE = Table("tables.figure2", shared_rows() | own_rows() | next_rows(), PREFACE, markdown)

if __name__ == "__main__":
    main(TABLE, __doc__)
