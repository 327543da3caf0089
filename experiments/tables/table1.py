"""The paper's Table 1 as a table one can run: every method on the same data, networks, budget, evaluation.

    python -m experiments.tables.table1 [--list] [--only=NAME,...] [--quick]

Settings come from configs/table1.py (tuned by experiments/tables/tuning.py on other seeds). `--quick` runs a
few rows with 3 seeds and few updates to see that everything works; its scores are worth nothing.
"""

import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from experiments.lib.comparison import Pair, compare, counts, verdicts
from experiments.lib.demonstrations import SHARED
from experiments.lib.figures import write_scores
from experiments.lib.markdown import markdown_table, run_table, score
from experiments.lib.table import Row, Table, borrowed, main
from experiments.tables import control
from experiments.tables.tuning import CLASSIC, DEMOS, NUMBERS, OFFLINE, ONLINE, PENDULUM, SEARCHES, searched
from iqlearn_jax.report.read import method_name

FIRST_SEED = 8000
SETTINGS = {"full": "whole demonstrations", "sparse": "every 20th step (CartPole) or 5th"}
OFFLINE_HOURS = {  # one core, 10,000 updates, from the searches' and rows' times
    "iq": 0.01, "iq_w1": 0.04, "bc": 0.01, "regularized_bc": 0.01, "value_dice": 0.05, "avril": 0.02,
    "edm": 0.1, "lstd_mu": 0.005, "dsfn": 0.045,
}  # fmt: skip
SLOWER = {"cartpole": 1, "acrobot": 1, "lunarlander": 3}
LABELS = {
    "iq_w1": "IQ-Learn, Wasserstein-1", "iq_next": "IQ-Learn, next actions", "bc_next": "BC, next actions",
}  # fmt: skip
DOUBLE = "inverted_double_pendulum"
FIGURE2 = ("iq", "iq_w1", "bc", "edm", "avril", "value_dice")  # 20 seeds; figure2.py shows them, too
RAW = {"cartpole_sparse_value_dice": (1, 3)}  # as few rows say little of their spread; else as searched
GRIDWORLD = ("offline", "bc", "max_entropy", "max_margin", "max_likelihood", "max_entropy_dynamics")


def label(method: str) -> str:
    """What figures and pages call a method's rows."""
    return LABELS.get(method) or method_name(method)


def offline_rows() -> dict[str, Row]:
    """Classic control from demonstrations alone."""
    return {
        f"{where}_{method}_{demos}": Row(
            f"table1:{where}_{method}",
            SHARED[where.partition("_")[0]],
            {"demos.trajectories": demos, "seeds": 20 if method in FIGURE2 else 10}
            | ({"normalize_obs": False} if demos in RAW.get(f"{where}_{method}", ()) else {}),
            label=label(method),
            hours=SLOWER[where.partition("_")[0]] * OFFLINE_HOURS[method],
        )
        for where, methods in NUMBERS.items()
        for method, numbers in methods.items()
        for demos in numbers
    }


def online_rows() -> dict[str, Row]:
    """Classic control from one demonstration and few steps of interaction."""
    return {
        f"{task}_online_{method}": Row(f"table1:{task}_online_{method}", SHARED[task], hours=0.05)
        for task in ("cartpole", "acrobot")
        for method in ONLINE
    }


def pendulum_rows() -> dict[str, Row]:
    """Continuous control on the device, from one bundled demonstration. Two rows have seeds from 8100 on,
    since those from 8000 on had been looked at with former presets.
    """
    later = {"first_seed": FIRST_SEED + 100}
    return {
        f"{DOUBLE}_online_{method}": Row(
            f"table1:{DOUBLE}_online_{method}", changes={} if method == "dac" else later, hours=0.4
        )
        for method in PENDULUM
    }


def hopper_rows() -> dict[str, Row]:
    """Locomotion, online from one demonstration; IQ-Learn's row is that of control.py."""
    changes = {"seeds": 2, **control.THIRD}
    dac = Row("mujoco:hopper_dac", SHARED["hopper"], changes, control.THIRD_NOTE, hours=1.1)
    return {"hopper_online_iq": borrowed(control.TABLE, "hopper"), "hopper_online_dac": dac}


def gridworld_rows() -> dict[str, Row]:
    """Finite processes: bundled demonstrations of a soft-optimal expert."""
    return {f"gridworld_{name}": Row(f"gridworld:{name}", None, {"seeds": 10}) for name in GRIDWORLD}


def search_first(row: Row) -> Callable | None:
    """No row may say that its settings were searched before they were."""
    name = row.config.removeprefix("table1:")
    return partial(searched, name) if name in SEARCHES else None


ROWS = gridworld_rows() | offline_rows() | online_rows() | pendulum_rows() | hopper_rows()
ROWS = {
    name: row._replace(changes={"first_seed": FIRST_SEED, **row.changes}, prepare=search_first(row))
    for name, row in ROWS.items()
}
QUICK_NAMES = [f"gridworld_{name}" for name in GRIDWORLD]
QUICK_NAMES += [f"cartpole_full_{method}_1" for method in NUMBERS["cartpole_full"]] + [
    "cartpole_sparse_edm_1"
]
QUICK_NAMES += [f"cartpole_online_{method}" for method in ONLINE]
PREFACE = """# Table 1

Every method on the same data, networks, budget and evaluation. A score is the interquartile mean over seeds
[95 % bootstrap] of final policies, 10 episodes each; 0 is the uniform policy, 1 the mean of all episodes of
the file; nothing is clipped. Each method's settings were found by the same search ([tuning.md](tuning.md));
what a method needs and promises: [properties.md](properties.md). What differs between rows:
[below](#what-differs-between-rows). Scores over 1 to 15 demonstrations are drawn; their table is
[figure2.md](figure2.md). –: not run.

"""
OFFLINE_COLUMNS = {
    f"{task} {n}, {words}": f"{task}_{setting}_{{}}_{n}"
    for setting, n, words in (("full", 1, "whole"), ("sparse", 3, "thinned out"))
    for task in CLASSIC
}
ONLINE_COLUMNS = {
    "cartpole": "cartpole_online_{}",
    "acrobot": "acrobot_online_{}",
    "double pendulum (brax)": f"{DOUBLE}_online_{{}}",
    "Hopper-v5": "hopper_online_{}",
}
ABOUT_OFFLINE = """
## Offline

Columns: task, demonstrations, whole or every 20th step (CartPole) or 5th of them. Last column: in how many of
all comparisons with the method, offline and online, IQ-Learn is better, equal, open, worse.

"""
ABOUT_ONLINE = """
## Online, one demonstration

21,000 steps on classic control (demonstrations thinned out as above), 61,000 on the pendulum, 300,000 on
Hopper, whole demonstrations there.

"""
DIFFERENCES = """
## What differs between rows

- **Seeds**: 20 from 8000 on offline (10 for regularised cloning, LSTD-μ and the successor features), 10
  online, 2 on Hopper; on the double pendulum from 8100 on for IQ-Learn and ValueDICE.
- **Two tasks were not searched.** The gridworld: configs/gridworld.py, 20,000 updates for IQ-Learn and
  cloning, 2,000 for those that know or model the process. Hopper: IQ-Learn has the preset that was
  developed on it (seeds 6030 and 6031), DAC its paper's settings, with falling rates and the mean of the
  actors playing for both; one update to three steps.
- **Layer norm.** Online, on classic control, half of the searched points have it; it decides on CartPole
  ([measured](../research/05-online-from-25-rows.md)). Offline none has it.
- **Hopper.** IQ-Learn has layer norm, DAC has none; with it DAC is level elsewhere
  ([table 3](table3.md)).
- **Inputs on the double pendulum.** IQ-Learn and ValueDICE have whitened inputs, falling rates and the mean
  of the actors, since both are better with them on tuning seeds; DAC learns nothing with them.
- **Labels.** On thinned-out demonstrations AVRIL sees two actions to a row, the others one: its objective
  reads the expert's next action.
- **Knowledge.** On the gridworld max_entropy and max_margin know the transition probabilities, the others
  demonstrations only. Its actions are drawn, as its expert's are; elsewhere the likeliest is taken.
"""


def markdown(results: list[dict[str, Any]]) -> str:
    """Where IQ-Learn is beaten, then scores: offline, online, on the gridworld."""
    done = {row["name"]: row for row in results}
    pairs = compare(done)
    page = verdicts(pairs)
    if write_scores("table1", panels(done, OFFLINE), DEMOS):
        page += "\n![Scores over demonstrations](../images/table1_scores.png)\n"
    page += ABOUT_OFFLINE + score_table(done, OFFLINE, OFFLINE_COLUMNS, pairs)
    online = dict.fromkeys((*ONLINE, *PENDULUM))
    page += ABOUT_ONLINE + score_table(done, online, ONLINE_COLUMNS, ())
    page += "\n## Gridworld, 30 demonstrations\n\n"
    page += score_table(done, GRIDWORLD, {"score [95 %]": "gridworld_{}"}, ())
    return page + DIFFERENCES


def score_table(
    done: Mapping[str, Any], methods: Collection[str], columns: Mapping[str, str], pairs: Collection[Pair]
) -> str:
    """Methods by columns {head: name of the row, {} the method}; methods and columns without a row are left
    out. With pairs, what IQ-Learn is in comparison.
    """
    cells = {method: [done.get(name.format(method)) for name in columns.values()] for method in methods}
    cells = {method: rows for method, rows in cells.items() if any(rows)}
    kept = [i for i in range(len(columns)) if any(rows[i] for rows in cells.values())]
    head = (
        "method",
        *(list(columns)[i] for i in kept),
        *(("IQ-Learn better, equal, open, worse",) if pairs else ()),
    )
    lines = [
        (
            label("iq" if method == "offline" else method),
            *(score(rows[i]) for i in kept),
            *((counts(pairs, method),) if pairs else ()),
        )
        for method, rows in cells.items()
    ]
    return markdown_table(head, lines)


def comparisons(results: list[dict[str, Any]]) -> dict[str, list]:
    """Every pair, for the result file."""
    return {"comparisons": [pair._asdict() for pair in compare({row["name"]: row for row in results})]}


def panels(done: Mapping[str, Any], methods: Collection[str]) -> dict[str, dict[str, list]]:
    """{panel: {method's name: [(demonstrations, score, interval)]}} of the offline rows that are done."""
    points_by_panel: dict[str, dict[str, list]] = {}
    for task, setting, method in product(CLASSIC, SETTINGS, methods):
        rows = {demos: done.get(f"{task}_{setting}_{method}_{demos}") for demos in DEMOS}
        points = [(demos, *_scored(row)) for demos, row in rows.items() if row]
        if points:
            points_by_panel.setdefault(f"{task}, {setting}", {})[label(method)] = points
    return points_by_panel


def _scored(row: dict[str, Any]) -> tuple[float, list[float]]:
    return row["normalized_iqm"], row["ci95"] or [np.nan, np.nan]


TABLE = Table("tables.table1", ROWS, PREFACE, markdown, more=comparisons)


def quick_rows() -> dict[str, Row]:
    """The same configurations from bundled demonstrations, cut short."""
    changes: dict[str, Any] = {"seeds": 3, "first_seed": 100, "updates": 1000, "eval_every": 1000}
    bundled = {"demos.path": "bundled:CartPole-v1"}

    def quick(row: Row) -> Row:
        kept = {"demos.trajectories": 1} | bundled if row.shared else {}
        few = {"updates": 10, "eval_every": 10} if has_long_updates(row) else {}
        return row._replace(shared=None, prepare=None, changes=changes | kept | few | {"checkpoint_every": 0})

    return {name: quick(ROWS[name]) for name in QUICK_NAMES}


def has_long_updates(row: Row) -> bool:
    """Whether an update is a whole rollout, or policy iteration."""
    return row.config.endswith(("gail", "airl", "asaf", "lstd_mu"))


QUICK_TABLE = Table("tables.table1_quick", quick_rows(), "# A quick look that everything runs\n\n", run_table)

if __name__ == "__main__":
    quick = "--quick" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--quick"]
    main(QUICK_TABLE if quick else TABLE, __doc__)
