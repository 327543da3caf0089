"""The paper's Table 3: one demonstration, five MuJoCo tasks, online, against GAIL, DAC and ValueDICE.

    python -m experiments.tables.table3 [--list] [--only=NAME,...]

gymnasium's v5 on the host (2 seeds), and brax's `mjx` on the device (5 seeds, meant for a GPU; GAIL runs only
there). Demonstrations are the shared ones where they fit, else those of an expert that is trained first.
Runs of other tables are read from there. --list ends with what runs all tasks on a device.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from experiments.lib.demonstrations import SHARED, own_demos
from experiments.lib.markdown import markdown_table, rows_done, score
from experiments.lib.table import RUNS, Row, Table, borrowed, main
from experiments.tables import control, table1

FOLDER = RUNS / "table3"
FIRST_SEED, EPISODES = 6000, 10
TASKS = ("hopper", "halfcheetah", "walker2d", "ant", "humanoid")
HOST = {"dac": "dac", "value_dice": "value_dice", "iq": "online"}
HOURS = {"dac": 1.1, "value_dice": 1.0, "iq": 1.0}  # on the host
EXPERT_HOURS = 4.3  # a million steps at 64 a second: benchmarks' "loop: gymnasium Hopper", 2 cores
DEVICE_COMMANDS = """all five tasks on a device, four methods, five seeds each as one program:
  python -m experiments.tables.table3 --only='*_mjx_*'
memory and time of one of them on the machine at hand, before it runs:
  iqlearn sweep --dry-run --config=mujoco:hopper_mjx --demos=FILE"""
DEVICE = {"gail": "mjx_gail", "dac": "mjx_dac", "value_dice": "mjx_value_dice", "iq": "mjx"}
ELSEWHERE = {
    "hopper_iq": borrowed(control.TABLE, "hopper"),
    "halfcheetah_iq": borrowed(control.TABLE, "halfcheetah"),
    "hopper_dac": borrowed(table1.TABLE, "hopper_online_dac"),
    "hopper_value_dice": borrowed(table1.TABLE, "hopper_online_value_dice"),
}
PAPER = {  # MuJoCo v2: GAIL, DAC, ValueDICE, IQ, expert
    "hopper": (3252.5, 3305.1, 3312.1, 3546.4, 3532.7),
    "halfcheetah": (3080.0, 4080.6, 3835.6, 5076.6, 5098.3),
    "walker2d": (4013.7, 4107.9, 3842.6, 5134.0, 5274.5),
    "ant": (2299.1, 1437.5, 1806.3, 4362.9, 4700.0),
    "humanoid": (232.6, 380.5, 644.5, 5227.1, 5312.8),
}


def own_file(task: str, expert: str) -> Path:
    """Where demonstrations lie whose expert is trained here, on the host ("expert") or the device."""
    return FOLDER / ("{}_mjx.npz" if expert == "mjx_expert" else "{}.npz").format(task)


def make_row(task: str, config: str, expert: str, hours: float | None) -> Row:
    """One line; `expert` is the configuration that makes demonstrations where none are shared."""
    host = expert == "expert"
    changes: dict[str, Any] = {"first_seed": FIRST_SEED} | (control.THIRD if host else {})
    prepare: Callable[[Path], str] | None = None
    if task not in SHARED:
        path = own_file(task, expert)
        prepare = partial(own_demos, f"mujoco:{task}_{expert}", path, EPISODES, False)
        changes["demos.path"] = str(path)
    source = f"mujoco:{task}_{config}"
    note = control.THIRD_NOTE if host else ""
    return Row(source, SHARED.get(task), changes, note, prepare=prepare, hours=hours)


def host_hours(task: str, method: str) -> float:
    """A row's time; the first of a task whose demonstrations are not shared trains the expert, too."""
    trains_expert = task not in SHARED and method == next(iter(HOST))
    return HOURS[method] + (EXPERT_HOURS if trains_expert else 0.0)


OWN = {
    f"{task}_{method}": make_row(task, config, "expert", host_hours(task, method))
    for task in TASKS
    for method, config in HOST.items()
} | {
    f"{task}_mjx_{method}": make_row(task, config, "mjx_expert", None)
    for task in TASKS
    for method, config in DEVICE.items()
}
ROWS = OWN | ELSEWHERE
PREFACE = f"""# Table 3: MuJoCo from one demonstration

`python -m experiments.tables.table3` (shared demonstrations of Hopper and HalfCheetah beside the checkout; an
expert for each other task is trained first, a million steps of SAC). Interquartile means [95 % bootstrap from
5 seeds on] of final policies, 10 deterministic episodes each, 300,000 steps, on the host with one update to
three of them; 0 is the uniform policy, 1 the mean of all episodes of the file; nothing is clipped. "paper" is
its return over its expert's: versions differ, and the uniform policy's return there is not given, so it
stands beside ours only as that share. Baselines are untuned here, with their papers' choices, but learning
rates that fall to 0 over the run and, but for GAIL, the mean of the actors playing, for all methods.
Hardware: {{hardware}}. Every row with returns, commit, command and, where pending, time:
[table3.json](table3.json). IQ-Learn ran on other seeds, too, Hopper's on one pair of them twice, with other
scores: [control.md](control.md).

Times are estimates for 2 cores: Hopper's and HalfCheetah's from runs cut short, the other tasks' taken from
theirs, and the first row of each other task (`TASK_dac`) with {EXPERT_HOURS} h for its expert, at the 64
steps a second of the benchmark "loop: gymnasium Hopper". Device rows have none: mjx was not run on a GPU.
IQ-Learn's program of five seeds needs 0.23 GiB on Hopper and 0.31 on HalfCheetah (XLA's own account; replay,
networks, scratch), Ant and Humanoid at least 0.36 and 2.8 for the replay's rows alone. Hopper's would take
13.8 h on one CPU core (the piece that `--dry-run` measures).

```text
{DEVICE_COMMANDS}
```

"""


def markdown(results: list[dict[str, Any]]) -> str:
    """gymnasium on the host, then mjx on the device."""
    done = {row["name"]: row for row in results if "method" in row}
    page = "## gymnasium v5\n\n" + score_table(done, "{}_{}", HOST)
    page += "\n## brax, mjx\n\n" + score_table(done, "{}_mjx_{}", DEVICE)
    return page + rows_done(done, results)


def score_table(done: Mapping[str, Any], names: str, methods: Mapping[str, str]) -> str:
    """Tasks by methods, the paper's share of the expert in brackets."""
    lines = []
    for task in TASKS:
        theirs = dict(zip(("gail", "dac", "value_dice", "iq"), PAPER[task][:4], strict=True))
        rows = {method: done.get(names.format(task, method)) for method in methods}
        cells = (
            f"{score(row) if row else 'pending'} (paper {theirs[method] / PAPER[task][4]:.2f})"
            for method, row in rows.items()
        )
        lines.append((task, *cells))
    return markdown_table(("task", *methods), lines)


PANELS = {task: tuple(f"{task}_{method}" for method in HOST) for task in TASKS}
TABLE = Table("tables.table3", ROWS, PREFACE, markdown, PANELS, DEVICE_COMMANDS)

if __name__ == "__main__":
    main(TABLE, __doc__)
