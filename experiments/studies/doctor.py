"""What the reward-free likeness is worth: its rank correlation with the true return, task by task.

python -m experiments.studies.doctor [--list] [--only=NAME,...]

Each task is trained with settings from good to hopeless and evaluated often. Beside it stand the runs of the
other experiments, as docs/results has them: of whatever method, with the settings that were thought best.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from experiments.lib import command
from experiments.lib.demonstrations import SHARED
from experiments.lib.markdown import markdown_table, origin
from experiments.lib.table import RESULTS, RUNS
from iqlearn_jax.config.files import load_config
from iqlearn_jax.config.values import assign
from iqlearn_jax.runs.files import read_json, write_json
from iqlearn_jax.statistics import normalize, pearson, probability_of_improvement, spearman
from iqlearn_jax.training.train import train

FIRST_SEED = 6000
Variant = tuple[str, int, Mapping[str, Any]]  # configuration, updates, changes


def few(name: str, updates: int, **changes: Any) -> Variant:
    """From one demonstration at every 20th step, unless `changes` say otherwise."""
    given = {"demos.trajectories": 1, "demos.subsample": 20} | changes
    return name, updates, given


TASKS: dict[str, dict[str, Variant]] = {
    "cartpole": {
        "offline": few("cartpole:offline", 5000, **{"demos.subsample": 1}),
        "sparse": few("cartpole:sparse", 5000),
        "hot": few("cartpole:offline", 5000, temperature=5.0),
        "online": few("cartpole:online", 5000, layer_norm=False),
        "unbounded": few("cartpole:online", 5000, layer_norm=False, regularize="expert"),
    },
    "acrobot": {
        "offline": few("acrobot:offline", 5000, **{"demos.subsample": 1}),
        "sparse": few("acrobot:offline", 5000),
        "hot": few("acrobot:offline", 5000, temperature=5.0),
    },
    "lunarlander": {
        "offline": few("lunarlander:offline", 10_000, **{"demos.subsample": 1}),
        "three": few("lunarlander:offline", 10_000, **{"demos.trajectories": 3, "demos.subsample": 1}),
        "sparse": few("lunarlander:offline", 10_000, **{"demos.trajectories": 3}),
    },
    "gridworld": {
        "thirty": ("gridworld:offline", 5000, {}),
        "one": ("gridworld:offline", 5000, {"demos.trajectories": 1}),
        "states": ("gridworld:state_only", 5000, {}),
    },
}
EVALUATIONS = 10  # of each run
OTHERS = ("core", "control", "table1", "figure2", "table3", "divergences")
GOOD = 0.9  # of the expert

PREFACE = f"""# What the likeness to the demonstrations is worth

`eval/likeness` reads no reward; here its Spearman correlation with the true return is measured. "Runs": one
point for each run (seeds from {FIRST_SEED} on), its final policy. "Evaluations": one for each of the
{EVALUATIONS} evaluations of each run. Pooled: normalised returns (0 the uniform policy, 1 the demonstrations)
over all tasks. The form of the score was fixed by argument before any correlation was looked at
([doctor.md](../doctor.md)); each variant was run once. Settings go from good to hopeless, so returns are
spread widely; among runs that all do well the ranks are mostly noise.

"""


def folder(task: str, variant: str) -> Path:
    """Where a variant's runs lie."""
    return RUNS / "doctor" / f"{task}_{variant}"


def run(task: str, variant: str, shared: Path, force: bool = False) -> None:
    """Trains one variant unless it is done.

    Raises:
      InputError: the shared demonstrations are missing, or whatever training raises.
    """
    where = folder(task, variant)
    if (where / "summary.json").exists():
        return
    source, updates, changes = TASKS[task][variant]
    config = load_config(source)
    every = {"eval_every": updates // EVALUATIONS, "checkpoint_every": updates, "updates": updates}
    size: dict[str, Any] = {"seeds": 5, "first_seed": FIRST_SEED, "log_every": 500, "eval_episodes": 10}
    if task in SHARED:
        size["demos.path"] = str(shared / SHARED[task])
    for key, value in (size | every | dict(changes)).items():
        assign(config, key, value)
    train(config, where, resume=(where / "config.json").exists(), force=force)


def points(where: Path) -> dict[str, Any] | None:
    """Normalised returns and likeness, of all evaluations and final [R]; None until it is done."""
    if not (where / "summary.json").exists():
        return None
    summary = read_json(where / "summary.json")
    lines = [json.loads(line) for line in (where / "metrics.jsonl").read_text().splitlines()]
    seen = [line for line in lines if "eval/likeness" in line]
    columns = {name: [line[name] for line in seen] for name in ("eval/return", "eval/likeness")}
    scale = summary["expert_return"], summary["random_return"]
    return {
        "seeds": summary["seeds"],
        "updates": summary["updates"],
        "env_steps": summary["env_steps"],
        "normalized": summary["normalized"],
        "likeness": summary["likeness"],
        "all_normalized": normalize(columns["eval/return"], *scale).tolist(),
        "all_likeness": columns["eval/likeness"],
        "provenance": command.provenance_of(where),
    }


def correlations(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    """Spearman's ρ over final policies and over all evaluations of some variants."""
    return {
        name: spearman(_joined(rows, f"{prefix}likeness"), _joined(rows, f"{prefix}normalized"))
        for name, prefix in (("runs", ""), ("evaluations", "all_"))
    }


def _joined(rows: list[dict[str, Any]], key: str) -> np.ndarray:
    return np.array([value for row in rows for value in row[key]])


def write() -> list[dict[str, Any]]:
    """docs/results/doctor.{json,md} from what has been run; what was run elsewhere stays."""
    path = RESULTS / "doctor.json"
    known = {row["task"]: row["variants"] for row in read_json(path)["rows"]} if path.exists() else {}
    rows: list[dict[str, Any]] = []
    everything: list[dict[str, Any]] = []
    for task, variants in TASKS.items():
        runs = {name: points(folder(task, name)) or known.get(task, {}).get(name) for name in variants}
        done = {name: row for name, row in runs.items() if row}
        everything += done.values()
        if done:
            rows.append({"task": task, **correlations(list(done.values())), "variants": done})
    rows.append({"task": "pooled", **correlations(everything), "variants": {}})
    hardware = ", ".join(sorted({row["provenance"]["hardware"] for row in everything})) or "none yet"
    content = {"name": "doctor", "provenance": {"hardware": hardware}, "rows": rows}
    write_json(path, content | {"others": [dict(zip(OTHERS_HEAD, line, strict=True)) for line in others()]})
    write_page()
    return rows


def write_page() -> None:
    """docs/results/doctor.md from the file beside it."""
    content = read_json(RESULTS / "doctor.json")
    rows = content["rows"]
    everything = [run for row in rows for run in row["variants"].values()]
    page = PREFACE + origin("studies.doctor", everything)
    page += markdown_table(HEAD, [_cells(row, everything) for row in rows])
    page += ABOUT_OTHERS + markdown_table(OTHERS_HEAD, [tuple(line.values()) for line in content["others"]])
    (RESULTS / "doctor.md").write_text(page)


def others() -> list[tuple]:
    """One line for each task of docs/results, two for all: what `OTHERS_HEAD` names."""
    tasks: dict[str, list[np.ndarray]] = {}
    there = [RESULTS / f"{name}.json" for name in OTHERS]
    rows = [row for path in there if path.exists() for row in read_json(path)["rows"]]
    once = {str(row["provenance"]): row for row in rows if row.get("likeness")}
    for row in once.values():  # tables borrow rows of others
        tasks.setdefault(row["task"], []).append(np.array([row["likeness"], row["normalized"]]))
    joined = {task: np.concatenate(pairs, axis=1) for task, pairs in tasks.items()}
    if not joined:
        return []
    everything = np.concatenate(list(joined.values()), axis=1)
    rho = pearson(*np.concatenate([_rank_shares(pairs) for pairs in joined.values()], axis=1))
    within = ("all, ranked within their tasks", everything.shape[1], _shown(rho), *["–"] * 4)
    return [*(_worth(task, *pairs) for task, pairs in joined.items()), _worth("all", *everything), within]


def _rank_shares(pairs: np.ndarray) -> np.ndarray:
    """Likeness and return [2, n] of one task's runs as ranks over n, less their means: the pooled correlation
    of these is what is left of Spearman's where runs are compared with others of their own task only.
    """
    return (rankdata(pairs, axis=1) - 0.5 * (pairs.shape[1] + 1)) / pairs.shape[1]


def _worth(where: str, likeness: np.ndarray, normalized: np.ndarray) -> tuple:
    """Rank correlation over all runs and over those below `GOOD`; how well the good ones are told from them,
    and what the good ones' likeness is.
    """
    good = normalized >= GOOD
    rho = [spearman(likeness[kept], normalized[kept]) for kept in (np.ones_like(good), ~good)]
    told = probability_of_improvement(likeness[good], likeness[~good]) if 0 < good.sum() < good.size else None
    low, middle = np.percentile(likeness[good], [10, 50]) if good.any() else (np.nan, np.nan)
    return (
        where,
        len(likeness),
        *map(_shown, (*rho, told)),
        int(good.sum()),
        f"{middle:.2f}, {low:.2f}" if good.any() else "–",
    )


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


OTHERS_HEAD = (
    "task", "runs", "ρ", f"ρ below {GOOD}", "good above others", f"runs from {GOOD} on",
    "their likeness: median, lowest tenth",
)  # fmt: skip
ABOUT_OTHERS = f"""
## Runs of the other experiments

Final policies of every run of {", ".join(OTHERS)} whose row holds a likeness (older rows do not);
methods, demonstrations and seeds as there. Where most runs are as good as the expert, ranks among them are
noise: hence the column for those below {GOOD} of it, and "good above others", the chance that of a run from
{GOOD} on and one below it the first has the larger likeness (1: always, 0.5: a coin). What likeness a good
run has is another on each task and with other demonstrations (last column), so that runs of several tasks are
not to be ranked by it; the last line ranks each among those of its own task only.

"""


HEAD = ("task", "variants", "runs", "ρ, runs", "ρ, evaluations", "returns")


def _cells(row: dict[str, Any], everything: list[dict[str, Any]]) -> tuple:
    finals = [x for run in row["variants"].values() or everything for x in run["normalized"]]
    spread = f"{min(finals):.2f} … {max(finals):.2f}" if finals else "–"
    numbers = (_shown(row[key]) for key in ("runs", "evaluations"))
    return row["task"], ", ".join(row["variants"]) or "all", len(finals), *numbers, spread


def main() -> None:
    """The command line."""
    options = command.parse(__doc__, "list", "only", "shared", "force")
    names = command.chosen(options.only, TASKS)
    for task, variant in [(name, variant) for name in names for variant in TASKS[name]]:
        print(f"{task} {variant}: {TASKS[task][variant]}", file=sys.stderr)
        if not options.list:
            run(task, variant, options.shared, options.force)
            rows = write()
    for row in [] if options.list else rows:
        print(row["task"], row["runs"], row["evaluations"])


if __name__ == "__main__":
    command.run("studies.doctor", main)
