"""The paper's Table 3: five MuJoCo tasks from one demonstration, offline, whole and thinned out.

    python -m experiments.tables.table3 [--list] [--only=NAME,...]

gymnasium's v5 on the host, the shared demonstrations. Online runs of 300,000 steps are those of other tables.
"""

from collections.abc import Mapping
from typing import Any

from experiments.lib.demonstrations import SHARED
from experiments.lib.markdown import markdown_table, score, seeds
from experiments.lib.table import Row, Table, borrowed, main
from experiments.tables import control, table1

TASKS = ("hopper", "halfcheetah", "walker2d", "ant", "humanoid")
METHODS = {"iq": "offline", "bc": "bc"}  # method -> kind of configuration
FEW = {"seeds": 5, "first_seed": 5000, "eval_every": 10_000, "eval_episodes": 100}
THINNED = {**FEW, "demos.subsample": 20}
ANCHORED = {"seeds": 3, "first_seed": 6100, "eval_episodes": 100}


def anchored(task: str, setting: str, changes: Mapping[str, Any], *methods: str) -> dict[str, Row]:
    """Rows of one task, online with an actor held near the demonstration; IQ-Learn has a split critic."""
    kinds = {"iq": "few", "dac": "few_dac", "pwil": "few_pwil"}
    return {
        f"{task}_{setting}_{method}": Row(f"mujoco:{task}_{kinds[method]}", SHARED[task], changes, hours=1.2)
        for method in methods
    }


THINNED_ONLINE = {**ANCHORED, "demos.subsample": 20}
HELD = {
    **anchored("hopper", "few", THINNED_ONLINE, "iq", "dac", "pwil"),
    "hopper_few_unnormed_dac": Row(
        "mujoco:hopper_few_dac",
        SHARED["hopper"],
        {**THINNED_ONLINE, "layer_norm": False},
        label="DAC, no layer norm",
        hours=0.7,
    ),
    **anchored("halfcheetah", "few", THINNED_ONLINE, "iq", "dac"),
    **anchored("walker2d", "anchored", ANCHORED, "iq", "dac"),
}
ONLINE = HELD | {
    "hopper_iq": borrowed(control.TABLE, "hopper"),
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
    f"{task}_{setting}_{method}": Row(f"mujoco:{task}_{METHODS[method]}", SHARED[task], changes, hours=0.1)
    for setting, changes, pairs in (
        ("whole", FEW, [(task, method) for task in TASKS for method in METHODS]),
        ("every_20th", THINNED, [("hopper", "iq"), *((task, "bc") for task in TASKS if task != "humanoid")]),
    )
    for task, method in pairs
} | ONLINE
PREFACE = """# Table 3: MuJoCo from one demonstration

Interquartile means [95 % bootstrap over seeds] of final policies, below five seeds (the lowest … the highest
seed), of 100 episodes (of ten for the 300,000 steps); 0 is the uniform policy, 1 the mean of all episodes of
the file; nothing is clipped. "paper" is its return over its expert's, online, MuJoCo v2, every 20th step:
versions and settings differ. "Anchor": 65,000 steps with an actor held near the demonstrated actions, critics
with layer norm, and for IQ-Learn a split critic ([why](../research/12-a-smooth-reward.md)); other online
rows: 300,000 steps.

**One whole demonstration does not separate the methods offline on three of the five tasks.** Cloning by
regression, ten thousand updates of one small network, is at the expert's level on Hopper, HalfCheetah and
Ant, and so is IQ-Learn. On Walker2d and Humanoid, where neither is, and on every 20th step of a demonstration
(50 rows, the setting of the paper's own table) their intervals lie upon each other, too: offline, what
IQ-Learn knows of the dynamics does not show in the returns here. What separates methods is learning online.

"""


COLUMN = {"dac": 1, "iq": 3}  # of PAPER, which has no other online method of these rows


def markdown(results: list[dict[str, Any]]) -> str:
    """One table: what was learned offline, then the online runs of other tables beside the paper."""
    lines = []
    for row in results:
        task, *_, method = row["name"].split("_")
        thinned = f", every {row['subsample']}th step" if row["subsample"] > 1 else ""
        setting = f"{'online' if row['name'] in ONLINE else 'offline'}, one demonstration{thinned}"
        setting += ", anchor" * (row["name"] in HELD)
        online = row["name"] in ONLINE and method in COLUMN
        share = PAPER[task][COLUMN[method]] / PAPER[task][4] if online else None
        theirs = "–" if share is None else f"{share:.2f}"
        lines.append((task, row["label"], setting, seeds(row), score(row), theirs))
    head = ("task", "method", "setting", "seeds", "score [95 %]", "paper")
    return markdown_table(head, lines)


PANELS = {
    "Hopper, every 20th step, anchor": (
        "hopper_few_iq", "hopper_few_dac", "hopper_few_pwil", "hopper_few_unnormed_dac"
    ),
    "HalfCheetah, every 20th step, anchor": ("halfcheetah_few_iq", "halfcheetah_few_dac"),
    "Walker2d, whole demonstration, anchor": ("walker2d_anchored_iq", "walker2d_anchored_dac"),
}  # fmt: skip
TABLE = Table("tables.table3", ROWS, PREFACE, markdown, PANELS)

if __name__ == "__main__":
    main(TABLE, __doc__)
