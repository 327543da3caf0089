"""The search behind Table 1: on each task every method has the same number of points, seeds and updates.

    python -m experiments.tuning [--list] [--only=TASK_SETTING_METHOD,...]

Seeds below 1000, one demonstration, another one for each seed; the double pendulum, whose simulation takes
most of the time, has half the points, half the seeds and 20,000 steps. Chosen is the point with the best IQM
(its mean where equal) of the final policies; configs/table1.py holds it as TUNED. Stopped searches go on.
"""

import argparse
import sys
from itertools import product
from pathlib import Path
from typing import Any

from experiments.table import RESULTS, RUNS, markdown_table
from iqlearn_jax.cli import one_line, say_stopped
from iqlearn_jax.errors import InputError
from iqlearn_jax.report.tables import interval_text
from iqlearn_jax.settings import load_config
from iqlearn_jax.sweep.grid import plan
from iqlearn_jax.sweep.hosts import one_device_per_core
from iqlearn_jax.sweep.run import Stopped
from iqlearn_jax.sweep.sweep import run_sweep
from iqlearn_jax.sweep.workdir import read_json, write_json

DEMOS = 1
SIZES = {"inverted_double_pendulum": {"points": 4, "seeds": 4}}  # of all others: BOTH
BOTH = {"points": 8, "seeds": 8}
SHARED = {
    "cartpole": "CartPole-v1_zoo-dqn_50ep.npz",
    "acrobot": "Acrobot-v1_zoo-dqn_100ep.npz",
    "lunarlander": "LunarLander-v3_zoo-ppo_100ep.npz",
}
RATES = (1e-4, 1e-3)
OFFLINE: dict[str, dict[str, tuple]] = {
    "iq": {"temperature": (0.01, 0.1, 0.5, 1.0), "critic_lr": RATES},
    "iq_w1": {"temperature": (0.01, 0.1, 0.5, 1.0), "critic_lr": RATES},
    "bc": {"weight_decay": (0.0, 0.01, 0.1, 1.0), "critic_lr": RATES},
    "regularized_bc": {"reward_weight": (0.01, 0.1, 1.0, 10.0), "critic_lr": RATES},
    "value_dice": {"actor_lr": (1e-5, 1e-4, 3e-4, 1e-3), "gradient_penalty": (1.0, 10.0)},
    "avril": {"reward_weight": (0.1, 1.0), "temperature": (0.1, 1.0), "critic_lr": RATES},
    "edm": {"chain_step_size": (0.01, 0.1), "chain_noise": (0.01, 0.1), "critic_lr": RATES},
    "lstd_mu": {"bandwidth": (1.0, 2.0, 3.0, 4.0), "ridge": (1e-4, 1e-3)},
    "dsfn": {"transition_weight": (0.1, 1.0), "actor_lr": RATES, "critic_lr": RATES},
}
ONLINE: dict[str, dict[str, tuple]] = {
    "iq": {"temperature": (0.01, 0.1), "alpha": (0.1, 0.5), "critic_lr": (3e-4, 1e-3)},
    "sqil": {"temperature": (0.003, 0.01, 0.03, 0.1), "critic_lr": (3e-4, 1e-3)},
    "adril": {"temperature": (0.003, 0.01, 0.03, 0.1), "critic_lr": (3e-4, 1e-3)},
    "dac": {"temperature": (0.01, 0.1), "discriminator_lr": (3e-4, 1e-3), "gradient_penalty": (1.0, 10.0)},
    "max_entropy_deep": {"temperature": (0.01, 0.1), "alpha": (0.1, 0.5), "discriminator_lr": (3e-4, 1e-3)},
    "gail": {"actor_lr": (3e-4, 1e-3), "discriminator_lr": (3e-4, 1e-3), "gradient_penalty": (1.0, 10.0)},
    "airl": {"actor_lr": (3e-4, 1e-3), "discriminator_lr": (3e-4, 1e-3), "gradient_penalty": (1.0, 10.0)},
    "asaf": {"actor_lr": (3e-5, 1e-4, 2e-4, 3e-4, 6e-4, 1e-3, 3e-3, 1e-2)},
}
PENDULUM: dict[str, dict[str, dict[str, tuple]]] = {
    "full": {
        "iq": {"temperature": (0.001, 0.01, 0.1, 1.0)},
        "bc": {"weight_decay": (0.0, 0.01), "actor_lr": (3e-4, 1e-3)},
        "value_dice": {"actor_lr": (1e-5, 1e-4), "gradient_penalty": (1.0, 10.0)},
    },
    "online": {
        "iq": {"temperature": (0.01, 0.1), "actor_lr": (3e-4, 1e-3)},
        "sqil": {"temperature": (0.01, 0.1), "actor_lr": (3e-4, 1e-3)},
        "adril": {"temperature": (0.01, 0.1), "actor_lr": (3e-4, 1e-3)},
        "dac": {"temperature": (0.01, 0.1), "discriminator_lr": (3e-4, 1e-3)},
        "max_entropy_deep": {"temperature": (0.01, 0.1), "discriminator_lr": (3e-4, 1e-3)},
        "value_dice": {"actor_lr": (1e-5, 1e-4), "replay_share": (0.1, 0.5)},
        "gail": {"actor_lr": (3e-4, 1e-3), "discriminator_lr": (3e-4, 1e-3)},
        "airl": {"actor_lr": (3e-4, 1e-3), "discriminator_lr": (3e-4, 1e-3)},
        "asaf": {"actor_lr": (1e-4, 3e-4, 1e-3, 3e-3)},
    },
}
SEARCHES = (
    {
        f"{task}_{setting}_{method}": (task, grid)
        for task in SHARED
        for setting in ("full", "sparse")
        for method, grid in OFFLINE.items()
    }
    | {
        f"{task}_online_{method}": (task, grid)
        for task in ("cartpole", "acrobot")
        for method, grid in ONLINE.items()
    }
    | {
        f"inverted_double_pendulum_{setting}_{method}": ("inverted_double_pendulum", grid)
        for setting, grids in PENDULUM.items()
        for method, grid in grids.items()
    }
)
PREFACE = f"""# How Table 1's settings were found

`python -m experiments.tuning` (shared demonstrations beside the checkout). For each method, task and
setting: {BOTH["points"]} points × {BOTH["seeds"]} seeds from 0 on (double pendulum: 4 × 4, 20,000 steps where
the table has 60,000), {DEMOS} demonstration, final policies, 10 episodes each; all points in
[tuning.json](tuning.json). The best score of several is an optimistic one: reports use other seeds.

"""
HEAD = ("search", "chosen", "IQM [95 %] here", "worst point", "updates", "commit")


def search(name: str, shared: Path, force: bool = False) -> None:
    """Runs one search to its end unless it is done.

    Raises:
      InputError: no such file of demonstrations, or whatever training raises.
    """
    task, grid = SEARCHES[name]
    config = load_config(f"configs/table1.py:{name}")
    config.seeds, config.first_seed = SIZES.get(task, BOTH)["seeds"], 0
    config.demos.trajectories = DEMOS
    if task in SHARED:
        config.demos.path = str(shared / SHARED[task])
    else:
        config.updates = config.updates // 3 if "online" in name else config.updates
    run_sweep(plan(config, grid), grid, RUNS / "tuning" / name, force=force)


def found(name: str) -> dict[str, Any]:
    """A search's row of tuning.json; only its name and grid where it was not run yet."""
    path = RUNS / "tuning" / name / "sweep.json"
    row: dict[str, Any] = {"name": name, "grid": SEARCHES[name][1], "points": None, "best": None}
    if not path.exists():
        return row
    sweep = read_json(path)
    keep = ("point", "seeds", "returns", "normalized_iqm", "ci95", "failed")
    points = [{key: point[key] for key in keep} for point in sweep["rows"]]
    config = read_json(path.parent / "program-0" / "config.json")
    return row | {
        "points": points, "best": sweep["best"] and sweep["best"]["point"], "updates": config["updates"],
        "provenance": sweep["provenance"],
    }  # fmt: skip


def write() -> None:
    """docs/results/tuning.{json,md} from what has been run."""
    rows = [found(name) for name in SEARCHES]
    write_json(RESULTS / "tuning.json", {"name": "tuning", "rows": rows})
    (RESULTS / "tuning.md").write_text(PREFACE + markdown_table(HEAD, [_cells(row) for row in rows]))


def _cells(row: dict[str, Any]) -> tuple:
    if not row["points"]:
        return (row["name"], f"pending: python -m experiments.tuning --only={row['name']}", "", "", "", "")
    best, worst = row["points"][0], row["points"][-1]
    return (
        row["name"],
        ", ".join(f"{key} {value:g}" for key, value in best["point"].items()),
        interval_text(best["normalized_iqm"], best["ci95"], digits=3),
        f"{worst['normalized_iqm']:.3f}",
        f"{row['updates']:,}",
        row["provenance"]["commit"][:8],
    )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="name the searches and their points")
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--shared", type=Path, default=Path("../shared/demos"), help="folder of shared files")
    parser.add_argument("--force", action="store_true", help="go on with what another commit began")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(SEARCHES)
    for name in names:
        if name not in SEARCHES:
            raise InputError(f"--only names '{name}'; known: {', '.join(SEARCHES)}")
        if options.list:
            print(name, *(dict(zip(SEARCHES[name][1], point, strict=True)) for point in
                          product(*SEARCHES[name][1].values())), sep="\n  ")  # fmt: skip
            continue
        search(name, options.shared, options.force)
        write()
    return 0


if __name__ == "__main__":
    one_device_per_core()
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(one_line(error))
    except Stopped as stopped:
        sys.exit(say_stopped(stopped.number, "python -m experiments.tuning"))
