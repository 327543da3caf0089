"""The paper's Table 3: five MuJoCo tasks from one demonstration, offline, whole and thinned out.

    python -m experiments.tables.table3 [--list] [--only=NAME,...]

gymnasium's v5 on the host, five seeds, the shared demonstrations. Online runs are those of other tables.
"""

from collections.abc import Mapping
from typing import Any

from experiments.lib.demonstrations import SHARED
from experiments.lib.markdown import markdown_table, rows_done, score
from experiments.lib.table import Row, Table, borrowed, main
from experiments.tables import control, table1

TASKS = ("hopper", "halfcheetah", "walker2d", "ant", "humanoid")
METHODS = {"iq": "offline", "bc": "bc"}  # method -> kind of configuration
FEW = {"seeds": 5, "first_seed": 5000, "eval_every": 10_000, "eval_episodes": 100}
SETTINGS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {  # name -> tasks, changes
    "whole": (TASKS, FEW),
    "every_20th": (("hopper",), {**FEW, "demos.subsample": 20}),
}
ONLINE = {
    "hopper_iq": borrowed(control.TABLE, "hopper"),
    "halfcheetah_iq": borrowed(control.TABLE, "halfcheetah"),
    "hopper_dac": borrowed(table1.TABLE, "hopper_online_dac"),
}
PAPER = {  # MuJoCo v2, online, every 20th step: GAIL, DAC, ValueDICE, IQ, expert
    "hopper": (3252.5, 3305.1, 3312.1, 3546.4, 3532.7),
    "halfcheetah": (3080.0, 4080.6, 3835.6, 5076.6, 5098.3),
    "walker2d": (4013.7, 4107.9, 3842.6, 5134.0, 5274.5),
    "ant": (2299.1, 1437.5, 1806.3, 4362.9, 4700.0),
    "humanoid": (232.6, 380.5, 644.5, 5227.1, 5312.8),
}
ROWS = {
    f"{task}_{setting}_{method}": Row(f"mujoco:{task}_{kind}", SHARED[task], changes, hours=0.1)
    for setting, (tasks, changes) in SETTINGS.items()
    for task in tasks
    for method, kind in METHODS.items()
} | ONLINE
PREFACE = """# Table 3: MuJoCo from one demonstration

`python -m experiments.tables.table3` (shared demonstrations beside the checkout). Interquartile means [95 %
bootstrap over seeds] of final policies; 0 is the uniform policy, 1 the mean of all episodes of the file;
nothing is clipped. Hardware: {hardware}. Every row with returns, commit and command:
[table3.json](table3.json).

**One whole demonstration does not separate the methods on three of the five tasks.** Cloning by regression,
ten thousand updates of one small network, is at the expert's level on Hopper, HalfCheetah and Ant, and so is
IQ-Learn. On Walker2d and Humanoid, where neither is, and on every 20th step of a demonstration (50 rows, the
setting of the paper's own table) their intervals lie upon each other, too: offline, what IQ-Learn knows of
the dynamics does not show in the returns here. What could separate methods is learning online.

"""


def markdown(results: list[dict[str, Any]]) -> str:
    """Offline, whole and thinned out, then the online runs of other tables beside the paper."""
    done = {row["name"]: row for row in results if "method" in row}
    page = "## Offline, one whole demonstration\n\nFive seeds, 100 episodes each.\n\n"
    page += score_table(done, "whole")
    page += "\n## Offline, every 20th step of it\n\n" + score_table(done, "every_20th")
    page += "\n## Online\n\n" + ONLINE_WORDS + online_table(done)
    return page + rows_done(done, results)


ONLINE_WORDS = """From one whole demonstration, 300,000 steps, two seeds of ten episodes; rows of the paper's
own setting (every 20th step) have not been made. "paper" is its return over its expert's, MuJoCo v2: versions
differ.

"""


def score_table(done: Mapping[str, Any], setting: str) -> str:
    """Tasks by methods."""
    lines = []
    for task in SETTINGS[setting][0]:
        rows = [done.get(f"{task}_{setting}_{method}") for method in METHODS]
        lines.append((task, *(score(row) if row else "not run" for row in rows)))
    return markdown_table(("task", *METHODS), lines)


def online_table(done: Mapping[str, Any]) -> str:
    """The runs of other tables, the paper's share of the expert beside them."""
    column = {"dac": 1, "iq": 3}
    lines = []
    for name in ONLINE:
        task, method = name.split("_")
        if name in done:
            share = PAPER[task][column[method]] / PAPER[task][4]
            lines.append((task, method, score(done[name]), f"{share:.2f}"))
    return markdown_table(("task", "method", "score", "paper"), lines)


TABLE = Table("tables.table3", ROWS, PREFACE, markdown)

if __name__ == "__main__":
    main(TABLE, __doc__)
