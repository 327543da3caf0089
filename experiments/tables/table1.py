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

from experiments.lib.comparison import compare, compare_table
from experiments.lib.demonstrations import SHARED
from experiments.lib.figures import normalized_curve, write_scores
from experiments.lib.markdown import full_markdown, markdown_table, rows_done, score
from experiments.lib.table import Row, Table, borrowed, main
from experiments.tables import control
from experiments.tables.tuning import CLASSIC, OFFLINE, ONLINE, PENDULUM, SEARCHES, searched
from iqlearn_jax.report.read import method_name
from iqlearn_jax.statistics import iqm

FIRST_SEED = 8000
DEMOS = (1, 3, 7, 10, 15)
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
HOPPER_HOURS = {"dac": 1.1, "sqil": 0.8, "value_dice": 1.0}  # hosts have no on-policy methods
ENOUGH = 0.9  # of the expert: how many steps and seconds until there
GRIDWORLD = ("offline", "bc", "max_entropy", "max_margin", "max_likelihood", "max_entropy_dynamics")


def label(method: str) -> str:
    """What figures and pages call a method's rows."""
    return LABELS.get(method) or method_name(method)


def offline_rows() -> dict[str, Row]:
    """Classic control from demonstrations alone."""
    return {
        f"{task}_{setting}_{method}_{demos}": Row(
            f"table1:{task}_{setting}_{method}",
            SHARED[task],
            {"demos.trajectories": demos, "seeds": 20 if method in FIGURE2 else 10},
            label=label(method),
            hours=SLOWER[task] * OFFLINE_HOURS[method],
        )
        for task in CLASSIC
        for setting in SETTINGS
        for method in OFFLINE
        for demos in DEMOS
    }


def online_rows() -> dict[str, Row]:
    """Classic control from one demonstration and few steps of interaction."""
    return {
        f"{task}_online_{method}": Row(f"table1:{task}_online_{method}", SHARED[task], hours=0.05)
        for task in ("cartpole", "acrobot")
        for method in ONLINE
    }


def pendulum_rows() -> dict[str, Row]:
    """Continuous control on the device, from one bundled demonstration. Five rows have seeds from 8100 on,
    since those from 8000 on had been looked at with former presets.
    """
    hours = {"full": 0.1, "online": 0.4}
    rows = {
        f"{DOUBLE}_{setting}_{method}": Row(f"table1:{DOUBLE}_{setting}_{method}", hours=hours[setting])
        for setting, methods in PENDULUM.items()
        for method in methods
    }
    again = ("full_iq", "full_bc", "full_value_dice", "online_iq", "online_value_dice")
    seeds = {"first_seed": FIRST_SEED + 100}
    return rows | {f"{DOUBLE}_{name}": rows[f"{DOUBLE}_{name}"]._replace(changes=seeds) for name in again}


def hopper_rows() -> dict[str, Row]:
    """Locomotion, online from one demonstration; IQ-Learn's row is that of control.py."""
    others = {
        f"hopper_online_{method}": Row(
            f"mujoco:hopper_{method}",
            SHARED["hopper"],
            {"seeds": 2, **control.THIRD},
            control.THIRD_NOTE,
            hours=hours,
        )
        for method, hours in HOPPER_HOURS.items()
    }
    return {"hopper_online_iq": borrowed(control.TABLE, "hopper")} | others


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
QUICK_NAMES += [f"cartpole_full_{method}_1" for method in OFFLINE]
QUICK_NAMES += [f"cartpole_online_{method}" for method in ONLINE]
PREFACE = """# Table 1

`python -m experiments.tables.table1` (shared demonstrations beside the checkout). Interquartile means over
seeds [95 % bootstrap] of final policies, 10 episodes each; 0 is the uniform policy, 1 the mean of all
episodes of the file; nothing is clipped. Each method's settings were found by the same search:
[tuning.md](tuning.md). What a method needs and promises: [properties.md](properties.md). What differs between
rows: [below](#what-differs-between-rows). Hardware: {hardware}.
Every row with its returns, commit and command: [table1.json](table1.json).

"""
DIFFERENCES = """
## What differs between rows

- **Seeds** are those from 8000 on, on the double pendulum from 8100 on for all methods offline and for
  IQ-Learn and ValueDICE online: those from 8000 on had been looked at with former presets.
- **Two tasks were not searched.** The gridworld: configs/gridworld.py, 20,000 updates for IQ-Learn and
  cloning, 2,000 for those that know or model the process. Hopper: IQ-Learn has the preset that was
  developed on it (seeds 6030 and 6031; [how it fares](../research/04-why-a-perfect-policy-is-lost.md)), the
  others their papers' settings, with falling rates and the mean of the actors playing for all; 2 seeds, one
  update to three of the 300,000 steps.
- **Inputs on the double pendulum.** Online IQ-Learn and ValueDICE have whitened inputs, falling rates and
  the mean of the actors, since both are better with them on tuning seeds; DAC learns nothing with them, for
  the others it has not been tried ([whitening](../research/07-whitening.md)). Offline all have falling rates
  and the mean of the actors.
- **Labels.** On thinned-out demonstrations AVRIL, LSTD-μ and the successor features see two actions to a
  row, the others one: their objectives read the expert's next action.
- **Knowledge.** On the gridworld max_entropy and max_margin know the transition probabilities, the others
  demonstrations only.
- **Actions** of evaluations are the likeliest ones; on the gridworld, whose expert draws its actions, they
  are drawn.
- **"Steps to 0.9"**: until the first evaluation at which the interquartile mean over seeds was so high.
  Evaluations are 1,000 steps apart on classic control, 5,000 on the pendulum, 15,000 on Hopper; offline
  there is only the last one.
"""

PENDING = """
Pending rows: `python -m experiments.tables.tuning --only=SEARCH`, then
`python -m experiments.tables.table1 --only=ROW`; both go on where they stopped.
"""


def markdown(results: list[dict[str, Any]]) -> str:
    """Where IQ-Learn is beaten, a table of scores for each task and setting, then every pair."""
    done = {row["name"]: row for row in results if "method" in row}
    drawn = write_scores("table1", panels(done, OFFLINE), DEMOS)
    picture = "![Scores over demonstrations](../images/table1_scores.png)\n\n" if drawn else ""
    page = compare_table(compare(done), picture)
    for task in CLASSIC:
        for setting, words in SETTINGS.items():
            page += f"\n## {task}, offline, {words}\n\n" + offline_table(done, task, setting)
        if task != "lunarlander":
            names = {method: f"{task}_online_{method}" for method in ONLINE}
            page += f"\n## {task}, online, one demonstration\n\n" + one_column(done, names)
    for setting, methods in PENDULUM.items():
        names = {method: f"{DOUBLE}_{setting}_{method}" for method in methods}
        words = "offline" if setting == "full" else "online"
        page += f"\n## {DOUBLE} (brax), {words}, one demonstration\n\n" + one_column(done, names)
    names = {method: f"hopper_online_{method}" for method in ("iq", *HOPPER_HOURS)}
    page += "\n## Hopper-v5, online, one demonstration\n\n" + one_column(done, names)
    names = {name.replace("offline", "iq"): f"gridworld_{name}" for name in GRIDWORLD}
    page += "\n## Gridworld, 30 demonstrations\n\n" + one_column(done, names)
    return page + DIFFERENCES + rows_done(done, results) + (PENDING if len(done) < len(results) else "")


def offline_table(done: Mapping[str, Any], task: str, setting: str) -> str:
    """Methods by numbers of demonstrations."""
    lines = []
    for method in OFFLINE:
        cells = (done.get(f"{task}_{setting}_{method}_{demos}") for demos in DEMOS)
        lines.append((method, *(score(cell) if cell else "pending" for cell in cells)))
    return markdown_table(("method", *map(str, DEMOS)), lines)


def one_column(done: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Methods with their score, steps and time, and what it took to come near the expert."""
    lines = []
    for method, name in names.items():
        result = done.get(name)
        cells = (score(result), f"{result['env_steps']:,}", f"{result['wall_seconds']:.0f}") if result else ()
        lines.append((method, *(cells + near_expert(result) if result else ("pending", "", "", "", ""))))
    head = ("method", "score", "environment steps", "seconds", f"steps to {ENOUGH}", f"seconds to {ENOUGH}")
    return markdown_table(head, lines)


def near_expert(result: dict[str, Any]) -> tuple[str, str]:
    """Environment steps and seconds until the first evaluation whose IQM over seeds is `ENOUGH`."""
    curve = result["curve"]
    scores = iqm(normalized_curve(result), axis=1) if curve["returns"] else np.zeros(0)
    reached = np.flatnonzero(scores >= ENOUGH)
    if not reached.size:
        return "never", "never"
    return f"{curve['env_steps'][reached[0]]:,}", f"{curve['seconds'][reached[0]]:.0f}"


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


TABLE = Table("tables.table1", ROWS, PREFACE, markdown)


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


QUICK_TABLE = Table(
    "table1_quick", quick_rows(), "# A quick look that everything runs; {hardware}\n\n", full_markdown
)

if __name__ == "__main__":
    quick = "--quick" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--quick"]
    main(QUICK_TABLE if quick else TABLE, __doc__)
