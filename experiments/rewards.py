"""What the recovered reward of continuous control is worth: its correlation with the true one.

`python -m experiments.rewards` reads the finished runs of `python -m experiments.control` that kept
snapshots. Ten episodes each of random play, of the policies after 25 %, 50 % and all of training, and of the
expert; their starts are fixed by the seed. The reward is the final one, of the first seed. Writes
docs/results/rewards.{json,md} and docs/images/rewards_TASK.png.
"""

import json
import sys
from pathlib import Path
from typing import Any

from experiments.control import TABLE
from experiments.figures import IMAGES
from experiments.table import RESULTS, markdown_table
from iqlearn_jax.report.reward_plots import episode_sums, recovered_reward
from iqlearn_jax.settings import from_flat
from iqlearn_jax.statistics import pearson, spearman
from iqlearn_jax.sweep.evaluation import record
from iqlearn_jax.sweep.hosts import one_device_per_core
from iqlearn_jax.sweep.rewards import EPISODES, expert_episodes, recovered_arrays
from iqlearn_jax.sweep.run import load_run, load_snapshot
from iqlearn_jax.sweep.workdir import read_config, write_json

TASKS = ("hopper", "halfcheetah_mjx")


def compare(folder: Path) -> tuple[dict[str, Any], bytes | None]:
    """Correlations of one run's reward, and their figure."""
    config = from_flat(read_config(folder))
    problem, trained = load_run(folder, config)
    parts = {"after 25 %": config.updates // 4, "after 50 %": config.updates // 2}
    states = {name: load_snapshot(folder, problem, updates) for name, updates in parts.items()}
    sources = {"random": record(problem, trained.state, 0, EPISODES, play="uniform")}
    sources |= {name: record(problem, state, 0, EPISODES) for name, state in states.items()}
    sources |= {"policy": record(problem, trained.state, 0, EPISODES)}
    sources |= {"expert": expert_episodes(problem, EPISODES)}
    arrays = recovered_arrays(problem, trained.state, 0, sources)
    true, recovered, _ = episode_sums(arrays)
    steps = {name: arrays["source"] == name for name in sources}
    found = {
        "task": f"{config.env.id} ({config.env.backend})",
        "seed": int(problem.seeds[0]),
        "updates": config.updates,
        "episodes": EPISODES * len(sources),
        "pearson": pearson(true, recovered),
        "spearman": spearman(true, recovered),
        "steps": {
            name: {
                "pearson": pearson(arrays["true"][mask], arrays["recovered"][mask]),
                "spearman": spearman(arrays["true"][mask], arrays["recovered"][mask]),
                "mean_return": float(arrays["true"][mask].sum() / EPISODES),
            }
            for name, mask in steps.items()
        },
        "provenance": json.loads((folder / "provenance.json").read_text()),
    }
    return found, recovered_reward(arrays)


def markdown(found: dict[str, Any]) -> str:
    """One task's part of the page."""
    lines = [
        (name, f"{part['mean_return']:.0f}", _number(part["pearson"]), _number(part["spearman"]))
        for name, part in found["steps"].items()
    ]
    origin = found["provenance"]
    head = (
        f"## {found['task']}\n\nSeed {found['seed']}, {found['updates']:,} updates, commit "
        f"{origin['commit'][:8]}, {origin['hardware']}. Sums over {found['episodes']} episodes: Pearson "
        f"{_number(found['pearson'])}, Spearman {_number(found['spearman'])}. Single steps in each group:\n\n"
    )
    table = markdown_table(("episodes of", "mean return", "Pearson", "Spearman"), lines)
    return head + table + f"\n![Rewards](../images/{_image(found)})\n\n"


def _image(found: dict[str, Any]) -> str:
    return f"rewards_{found['task'].split(' ')[0]}.png"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def main() -> int:
    """Writes the page from what is there; a task without a finished run stays pending."""
    one_device_per_core()
    rows, page = [], f"# Rewards of continuous control\n\n{__doc__}\n"
    for task in TASKS:
        folder = TABLE.folder(task)
        if not (folder / "summary.json").exists():
            rows.append({"task": task, "note": f"pending: python -m experiments.control --only={task}"})
            page += f"## {task}\n\n{rows[-1]['note']}\n\n"
            continue
        found, figure = compare(folder)
        rows.append(found)
        page += markdown(found)
        if figure is not None:
            (IMAGES / _image(found)).write_bytes(figure)
    write_json(RESULTS / "rewards.json", {"name": "rewards", "rows": rows})
    (RESULTS / "rewards.md").write_text(page)
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
