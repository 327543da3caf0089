"""The search behind Table 1: on each task every method has the same number of points, seeds and updates.

    python -m experiments.tables.tuning [--list] [--only=TASK_SETTING_METHOD,...]

Seeds below 1000, one demonstration, another one for each seed. On the double pendulum, whose simulation takes
most of the time, there are half the points, half the seeds and 20,000 steps. Chosen is the point with the
best IQM of the final policies, then the best mean, then the first; configs/table1.json holds it for
configs/table1.py. Stopped searches go on.
"""

import json
from itertools import product
from pathlib import Path
from typing import Any

from experiments.lib import command
from experiments.lib.demonstrations import SHARED
from experiments.lib.markdown import markdown_table, origin
from experiments.lib.table import RESULTS, RUNS, about
from iqlearn_jax.config.files import load_config
from iqlearn_jax.runs.files import read_json, write_json
from iqlearn_jax.sweeps.grid import plan
from iqlearn_jax.sweeps.sweep import run_sweep

AGAIN = "python -m experiments.tables.tuning --only={}"
CHOSEN = Path("configs/table1.json")  # the best points by name, which come with the library
DEMOS = (1, 3, 7, 10, 15)
CLASSIC = ("cartpole", "acrobot", "lunarlander")
RATES = (1e-4, 1e-3)
OFFLINE: dict[str, dict[str, tuple]] = {
    "iq": {"temperature": (0.01, 0.1, 0.5, 1.0), "critic_lr": RATES},
    "iq_w1": {"temperature": (0.01, 0.1, 0.5, 1.0), "critic_lr": RATES},
    "bc": {"weight_decay": (0.0, 0.01, 0.1, 1.0), "critic_lr": RATES},
    "regularized_bc": {"reward_weight": (0.01, 0.1, 1.0, 10.0), "critic_lr": RATES},
    "value_dice": {"value_term": ("v0_all", "expert"), "gradient_penalty": (0.1, 1.0), "actor_lr": RATES},
    "avril": {"reward_weight": (0.1, 1.0), "temperature": (0.1, 1.0), "critic_lr": RATES},
    "edm": {"chain_step_size": (0.01, 0.1), "chain_noise": (0.01, 0.1), "critic_lr": RATES},
    "lstd_mu": {"bandwidth": (1.0, 2.0, 3.0, 4.0), "ridge": (1e-4, 1e-3)},
    "dsfn": {"transition_weight": (0.1, 1.0), "actor_lr": RATES, "critic_lr": RATES},
}
SPARSE = OFFLINE | {  # docs/research/09-what-few-rows-cannot-tell.md says why these differ
    "iq": {"temperature": (0.1, 1.0), "alpha": (0.5, 5.0), "critic_lr": RATES},
    "value_dice": {"actor_lr": RATES, "gradient_penalty": (0.01, 0.1, 1.0, 10.0)},  # "v0_all" has no minimum
}
SCALED = {"normalize_obs": (True, False), "actor_lr": RATES, "gradient_penalty": (0.01, 10.0)}
NEXT = {f"{method}_next": SPARSE[method] for method in ("iq", "bc")}  # with the expert's next action
NORM = {"layer_norm": (True, False)}  # as presets first: the first counts where points are equal
CRITICS = {"temperature": (0.01, 0.1), "critic_lr": (3e-4, 1e-3), **NORM}
ROLLOUTS = {"actor_lr": (3e-4, 1e-3), "discriminator_lr": (1e-3, 3e-3), **NORM}
ONLINE: dict[str, dict[str, tuple]] = {
    **dict.fromkeys(("iq", "sqil", "adril", "dac", "max_entropy_deep"), CRITICS),
    **dict.fromkeys(("gail", "airl"), ROLLOUTS),
    "asaf": {"actor_lr": (1e-4, 3e-4, 1e-3, 3e-3), **NORM},
}
PENDULUM: dict[str, dict[str, tuple]] = {
    "iq": {"temperature": (0.01, 0.1), "actor_lr": (3e-4, 1e-3)},
    "dac": {"temperature": (0.01, 0.1), "discriminator_lr": (3e-4, 1e-3)},
    "value_dice": {"actor_lr": (1e-5, 3e-5), "gradient_penalty": (0.1, 10.0)},
}
WHOLE = ("iq", "iq_w1", "bc", "regularized_bc", "value_dice", "avril", "lstd_mu")
Numbers = dict[str, tuple[int, ...]]
EDM: Numbers = {"edm": (1, 3)}  # its chains take ten minutes a row
NUMBERS: dict[str, Numbers] = {  # of demonstrations, offline; what is not asked is no row
    "cartpole_full": dict.fromkeys((*WHOLE, "dsfn"), DEMOS),
    "acrobot_full": dict.fromkeys(WHOLE, DEMOS),
    "lunarlander_full": dict.fromkeys(("iq", "bc"), DEMOS),
    "cartpole_sparse": {**dict.fromkeys(WHOLE[:-1], DEMOS), **EDM},
    "acrobot_sparse": {**dict.fromkeys(WHOLE[:-1], DEMOS), **EDM},
    "lunarlander_sparse": {**dict.fromkeys(("iq", "bc", "avril"), DEMOS), "value_dice": (1, 3, 7)},
}
SEARCHES = (
    {
        f"{where}_{method}": (
            where.partition("_")[0],
            (OFFLINE if where.endswith("full") else SPARSE)[method],
        )
        for where, methods in NUMBERS.items()
        for method in methods
    }
    | {f"{task}_sparse_{method}": (task, grid) for task in CLASSIC for method, grid in NEXT.items()}
    | {
        f"{task}_online_{method}": (task, grid)
        for task in ("cartpole", "acrobot")
        for method, grid in ONLINE.items()
    }
    | {
        f"inverted_double_pendulum_online_{method}": ("inverted_double_pendulum", grid)
        for method, grid in PENDULUM.items()
    }
    | {f"{task}_sparse_value_dice": (task, SCALED) for task in ("cartpole", "lunarlander")}
)
SEARCH_DEMOS = {"cartpole_sparse_value_dice": 7}  # of one it learns nothing by which points differ
OFFLINE_HOURS = {  # of a search on one core, from those whose time was kept, the others from their rows'
    "iq": 0.05, "iq_w1": 0.1, "bc": 0.03, "regularized_bc": 0.03, "value_dice": 0.15, "avril": 0.05,
    "edm": 0.35, "lstd_mu": 0.01, "dsfn": 0.7,
}  # fmt: skip
ONLINE_HOURS = {"inverted_double_pendulum": 0.17}  # those of classic control took 0.02 to 0.16
PREFACE = """# How Table 1's settings were found

For each method, task and setting: 8 points × 8 seeds from 0 on (double pendulum 4 × 4, 20,000 steps where
the table has 60,000), one demonstration, final policies, 10 episodes each. The best score of several is an
optimistic one: reports use other seeds. What the grids span was narrowed by looking at seeds below 1000
before, most of all for ValueDICE (whose search on CartPole's thinned-out rows has seven demonstrations and
leaves those of one and three raw, as from one no point of it learns), for the inputs on the double pendulum
and, after cloning had beaten them, for IQ-Learn's α on thinned-out demonstrations and ValueDICE's value
term on whole ones; online, for the critic's rate of DAC and deep maximum entropy and for the actor's of
GAIL and AIRL: what an earlier search varied in their place stands where it was best. What was chosen:
[configs/table1.json](../../configs/table1.json). Below, over a method's searches, the lowest and the
highest normalised IQM of the best and of the worst point: how much hangs on the settings.

"""
HEAD = ("method", "setting", "searched", "searches", "best points", "worst points")


def size(name: str) -> tuple[int, int]:
    """How many points and how many seeds the search of that name has."""
    return (4, 4) if name.startswith("inverted_double_pendulum") else (8, 8)


def search_hours(name: str) -> float:
    """About how long that search takes on one core."""
    task, method = SEARCHES[name][0], name.split("_full_")[-1].split("_sparse_")[-1]
    if "_online_" in name:
        return ONLINE_HOURS.get(task, 0.1)
    return OFFLINE_HOURS[method.removesuffix("_next")] * (1 if task in ("cartpole", "acrobot") else 2)


def search(name: str, shared: Path, force: bool = False) -> None:
    """Runs one search to its end; one that was stopped goes on, of one that is done nothing is run again.

    Raises:
      InputError: no such file of demonstrations, or whatever training raises.
    """
    task, grid = SEARCHES[name]
    config = load_config(f"table1:{name}")
    config.seeds, config.first_seed = size(name)[1], 0
    config.demos.trajectories = SEARCH_DEMOS.get(name, 1)
    if task in CLASSIC:
        config.demos.path = str(shared / SHARED[task])
    else:
        config.updates //= 3
    run_sweep(plan(config, grid), grid, RUNS / "tuning" / name, force=force)


def search_row(name: str, known: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """A search's row of tuning.json; as it is `known` if it was run elsewhere on this grid; else None."""
    path = RUNS / "tuning" / name / "sweep.json"
    row: dict[str, Any] = {"name": name, "grid": SEARCHES[name][1]}
    sweep = read_json(path) if path.exists() else {"rows": []}
    if not sweep["rows"]:
        return known.get(name)
    keep = ("point", "seeds", "returns", "normalized_iqm", "ci95", "failed")
    points = [{key: point[key] for key in keep} for point in sweep["rows"]]
    config = read_json(path.parent / "program-0" / "config.json")
    return row | {
        "points": points, "best": sweep["best"] and sweep["best"]["point"], "updates": config["updates"],
        "provenance": command.publishable(sweep["provenance"]), "wall_seconds": seconds(path.parent),
    }  # fmt: skip


def seconds(folder: Path) -> float:
    """How long a search's programs ran."""
    logs = sorted(folder.glob("program-*/metrics.jsonl"))
    return sum(json.loads(log.read_text().splitlines()[-1])["wall_seconds"] for log in logs)


def searched(name: str, shared: Path) -> str:
    """What a row with these settings lacks: the search, unless configs/table1.py knows what it found."""
    done = published().get(name, {}).get("best")
    return "" if done else f"search for its settings: {AGAIN.format(name)}"


def published() -> dict[str, dict[str, Any]]:
    """The searches of docs/results/tuning.json by name, but those of another grid than now asked for."""
    path = RESULTS / "tuning.json"
    rows = read_json(path)["rows"] if path.exists() else []
    return {row["name"]: row for row in rows if row["best"] and _same_grid(row)}


def _same_grid(row: dict[str, Any]) -> bool:
    """Whether a search's grid is still that of its name."""
    _, grid = SEARCHES.get(row["name"], ("", {}))
    return row["grid"] == {key: list(values) for key, values in grid.items()}


def write() -> None:
    """docs/results/tuning.{json,md} and configs/table1.json from what has been run."""
    known = published()
    rows = [row for name in SEARCHES if (row := search_row(name, known))]
    write_json(RESULTS / "tuning.json", {"name": "tuning", "rows": rows})
    write_json(CHOSEN, {row["name"]: row["best"] for row in rows if row["best"]})
    write_page()


def write_page() -> None:
    """docs/results/tuning.md from the file beside it."""
    rows = list(published().values())
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        setting = next(word for word in ("full", "sparse", "online") if f"_{word}_" in row["name"])
        method = row["name"].split(f"_{setting}_")[1]
        groups.setdefault((method, "online" if setting == "online" else "offline"), []).append(row)
    lines = [(*key, *_cells(group)) for key, group in groups.items()]
    page = PREFACE + origin("tables.tuning", rows) + markdown_table(HEAD, lines)
    (RESULTS / "tuning.md").write_text(page)


def _cells(rows: list[dict[str, Any]]) -> tuple:
    """Of one method's searches."""
    keys = dict.fromkeys(key for row in rows for key in row["grid"])
    scores = [sorted(row["points"][i]["normalized_iqm"] for row in rows) for i in (0, -1)]
    return ", ".join(keys), len(rows), *(f"{of[0]:.2f} … {of[-1]:.2f}" for of in scores)


def main() -> None:
    """The command line."""
    options = command.parse(__doc__, "list", "only", "shared", "force")
    for name in command.chosen(options.only, SEARCHES):
        grid = SEARCHES[name][1]
        if options.list:
            points = (dict(zip(grid, point, strict=True)) for point in product(*grid.values()))
            print(f"{name}, {about(search_hours(name))}", *points, sep="\n  ")
            continue
        search(name, options.shared, options.force)
        write()


if __name__ == "__main__":
    command.run("tables.tuning", main)
