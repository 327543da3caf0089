"""What a recovered reward is worth: beside the true one, to a policy trained on it, in changed dynamics.

`python -m experiments.studies.rewards [--list] [--only=TASK,...] [--kinds=KIND,...] [--measure]`

The reward is that of a run that another experiment trained (`--list` has its command): the final one of its
first seed, or where it says so that of the first snapshot like the demonstrations (chosen without a reward).
Measured on ten episodes each of random play, of that run's policy (where it kept snapshots, also of those
nearest to 25 % and 50 % of training) and of the expert (`experiments.studies.reward_measures`).
Where a run is soon as good as its expert, those policies say little; so the correlation is also given with
policies of any of its seeds at about 25 % and 50 % of the expert's return in their places. Then, unless
`--measure` is given, policies are trained from scratch: on the recovered reward (SAC or soft Q-learning;
brax's PPO on brax), on the true reward with the same budget, and both again under changed dynamics
(`experiments.studies.changed`); with --kinds only some of these four (`KINDS`). Finished parts stay in
runs/rewards. Writes docs/results/rewards.{json,md} and docs/images/rewards_TASK.png.
"""

import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.lib import command
from experiments.lib.figures import IMAGES
from experiments.lib.table import RESULTS, RUNS
from experiments.studies import changed
from experiments.studies.reward_measures import measures
from experiments.studies.reward_pages import page
from experiments.studies.reward_policies import KINDS, trained
from experiments.tables.control import THIRD
from iqlearn_jax.report.read import read_run
from iqlearn_jax.report.reward_plots import recovered_reward
from iqlearn_jax.rewards.recover import join_episodes
from iqlearn_jax.runs.files import write_json
from iqlearn_jax.runs.folder import SNAPSHOTS, stored_config
from iqlearn_jax.statistics import normalize, pearson, spearman
from iqlearn_jax.trained.export import export_reward
from iqlearn_jax.trained.load import FINAL, LIKENESS
from iqlearn_jax.training.evaluation import record
from iqlearn_jax.training.reopen import load_run, load_snapshot
from iqlearn_jax.training.rewards import EPISODES, expert_episodes

AGAIN = "python -m experiments.studies.rewards --only={}"
FOLDER = RUNS / "rewards"
NEAR = 0.15  # of the way from random play to the expert


class Task(NamedTuple):
    """A finished run, and how policies are trained on its reward.

    Attributes:
      source: the folder of runs under runs/; "table/row" of the module in experiments/tables that makes it.
      config: forward RL, "" for brax's PPO.
      changes: to that configuration.
      changed: further changes, which bring other dynamics.
      dynamics: what is other, in words.
      steps: of PPO, in the environment.
      run, at: whose reward of the folder's runs, and when.
    """

    source: str
    config: str = ""
    changes: Mapping[str, Any] = MappingProxyType({})
    changed: Mapping[str, Any] = MappingProxyType({})
    dynamics: str = ""
    steps: int = 0
    run: int = 0
    at: str = FINAL

    @property
    def command(self) -> str:
        """What trains the run."""
        table, _, row = self.source.partition("/")
        return f"python -m experiments.tables.{table} --only={row}"


def _host(name: str) -> dict[str, Any]:
    return {"env.id": changed.HEAVY[name], "env.backend": "gymnasium"}


PENDULUM = "core/inverted_double_pendulum_again"
SAC = {"method": "rl", "seeds": 2, "first_seed": 6000, "snapshot_every": 0, "learn_temperature": True}
TASKS = {
    "acrobot": Task(
        "core/acrobot_1_iq",
        "acrobot:expert",
        {"seeds": 3, "first_seed": 6000},
        _host("Acrobot"),
        changed.DYNAMICS["AcrobotHeavy-v1"],
    ),
    "lunarlander": Task(
        "core/lunarlander_3_iq",
        "lunarlander:expert",
        {"first_seed": 6000},
        _host("LunarLander"),
        changed.DYNAMICS["LunarLanderLight-v3"],
    ),
    "hopper": Task("control/hopper"),
    "hopper_again": Task("control/hopper_again"),
    "hopper_likeness": Task("control/hopper_again", at=LIKENESS),
    "hopper_likeness_second": Task("control/hopper_again", run=1, at=LIKENESS),
    "hopper_rerun_final": Task("control/hopper_rerun"),
    "hopper_rerun": Task(
        "control/hopper_rerun",
        "mujoco:hopper_online",
        {**THIRD, **SAC, "target_entropy": -3.0},
        _host("Hopper"),
        changed.DYNAMICS["HopperHeavy-v5"],
        at=LIKENESS,
    ),
    "hopper_rerun_second": Task("control/hopper_rerun", run=1, at=LIKENESS),
    "halfcheetah": Task("control/halfcheetah"),
    "halfcheetah_likeness": Task("control/halfcheetah", at=LIKENESS),
    "inverted_pendulum": Task(
        "core/inverted_pendulum", dynamics="gravity 1.5 times as strong", steps=300_000
    ),
    "inverted_double_pendulum": Task(PENDULUM, dynamics="gravity 1.5 times as strong", steps=2_000_000),
    "inverted_double_pendulum_likeness": Task(PENDULUM, at=LIKENESS),
}


def measure(name: str, source: Path, number: int, at: str) -> dict[str, Any]:
    """The reward of run `number`, exported, and what it has to do with the true one; kept in runs/rewards."""
    path = FOLDER / name / "measures.json"
    if path.exists():
        return json.loads(path.read_text())
    reward = export_reward(source, number, FOLDER / f"{name}.npz", at)
    config = stored_config(source)
    problem, run = load_run(source, config)
    sources = episodes_of(source, problem, run, number)
    levels = levels_of(source, problem)
    rows, episode, recovered = judged(reward, sources)
    labels = np.array([label for label, group in sources.items() for part in group for _ in part.reward])
    draw(name, {"recovered": recovered, "true": rows.reward, "episode": episode, "source": labels})
    summary = json.loads((source / "summary.json").read_text())
    content = {
        "task": f"{config.env.id} ({config.env.backend})",
        "seed": int(problem.seeds[number]),
        "at": at,
        "updates": reward.metadata["run"]["updates"],
        "episodes": EPISODES * len(sources),
        "steps": len(rows.reward),
        "policy_return": summary["returns"][number],
        "measures": measures(reward, rows, episode),
        "groups": {
            label: {
                "pearson": pearson(recovered[labels == label], rows.reward[labels == label]),
                "spearman": spearman(recovered[labels == label], rows.reward[labels == label]),
                "mean_return": float(rows.reward[labels == label].sum() / len(group)),
            }
            for label, group in sources.items()
        },
        "levels": by_level(reward, sources, levels),
        "provenance": command.provenance_of(source),
        "measured": command.made(),
    } | {key: summary[key] for key in ("expert_return", "random_return")}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)
    return content


def episodes_of(source: Path, problem, run, number: int) -> dict[str, list]:
    """Ten episodes of each kind of player, by name; policies are those of run `number`."""
    sources = {"random": record(problem, run.state, number, EPISODES, play="uniform")}
    updates, there = problem.config.updates, kept(source)
    for share in (0.25, 0.5) if there else ():
        part = min(there, key=lambda n: abs(n - share * updates))
        label = f"after {100 * part / updates:.0f} %"
        sources[label] = record(problem, load_snapshot(source, problem, part), number, EPISODES)
    sources["policy"] = record(problem, run.state, number, EPISODES)
    return sources | {"expert": expert_episodes(problem, EPISODES)}


def kept(source: Path) -> list[int]:
    """After how many updates there is a snapshot."""
    return sorted(int(folder.name) for folder in (source / SNAPSHOTS).glob("[0-9]*"))


def judged(reward, groups: dict[str, list]):
    """All groups' transitions [N], the number of the episode of each, and their recovered rewards [N]."""
    rows, episode = join_episodes([part for group in groups.values() for part in group])
    recovered = jax.jit(reward.with_ends)(rows.obs, rows.action, rows.next_obs, rows.terminated)
    return rows, episode, np.asarray(recovered)


def levels_of(source: Path, problem) -> dict[str, list]:
    """Ten episodes each of policies at 25 % and 50 % of the way from random play to the expert, by name: of
    all seeds' snapshots that were evaluated within NEAR of it, the nearest one.
    """
    run = read_run(source)
    best, worst = run.summary["expert_return"], run.summary["random_return"]
    there = kept(source)
    scores = {
        (line["update"], line["run"]): float(normalize(line["eval/return"], best, worst))
        for line in run.metrics
        if "eval/return" in line and line["update"] in there
    }
    levels = {}
    for level in (0.25, 0.5):
        off = {policy: abs(score - level) for policy, score in scores.items()}
        updates, number = min(off, key=off.__getitem__, default=(0, 0))
        if off.get((updates, number), NEAR) < NEAR:
            label = f"at {100 * level:.0f} % (seed {run.summary['seeds'][number]}, {updates:,} updates)"
            state = load_snapshot(source, problem, updates)
            levels[label] = record(problem, state, number, EPISODES)
    return levels


def by_level(reward, sources: dict[str, list], levels: dict[str, list]) -> dict[str, Any] | None:
    """Correlations over episodes with `levels` in the places of policies in training; None without both."""
    if len(levels) < 2:
        return None
    groups = levels | {label: sources[label] for label in ("random", "policy", "expert")}
    rows, episode, recovered = judged(reward, groups)
    sums = [np.bincount(episode, values) for values in (recovered, rows.reward)]
    returns = {
        label: float(np.mean([part.reward.sum() for part in group])) for label, group in levels.items()
    }
    return {"pearson": pearson(*sums), "spearman": spearman(*sums), "returns": returns}


def draw(name: str, arrays: dict[str, np.ndarray]) -> None:
    """The figure of recovered against true rewards."""
    figure = recovered_reward(arrays)
    if figure is not None:
        IMAGES.mkdir(parents=True, exist_ok=True)
        (IMAGES / f"rewards_{name}.png").write_bytes(figure)


def result(name: str, train: Collection[str]) -> dict[str, Any] | None:
    """One task's row: measured, and with policies of the kinds that `train` names; None without its run."""
    task = TASKS[name]
    source = RUNS / task.source
    if not (source / "summary.json").exists():
        print(f"{name}: {source} is not there, so its row stays; first {task.command}", file=sys.stderr)
        return None
    row = {"name": name, "dynamics": task.dynamics} | measure(name, source, task.run, task.at)
    if task.config or task.steps:
        policies = {kind: trained(FOLDER, name, task, kind, kind in train) for kind in KINDS}
        row["policies"] = {kind: policy for kind, policy in policies.items() if policy}
    return row


def write(only: list[str], train: Collection[str]) -> None:
    """docs/results/rewards.{json,md}; tasks that are not named or whose run is missing keep their rows."""
    path = RESULTS / "rewards.json"
    rows = {row["name"]: row for row in json.loads(path.read_text())["rows"]} if path.exists() else {}
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in only:
        rows[name] = result(name, train) or rows.get(name, {})
        ordered = [rows[other] for other in TASKS if "measures" in rows.get(other, {})]
        write_json(path, {"name": "rewards", "rows": ordered})
        write_page()


def write_page() -> None:
    """docs/results/rewards.md from the file beside it."""
    rows = json.loads((RESULTS / "rewards.json").read_text())["rows"]
    (RESULTS / "rewards.md").write_text(page(rows))


def main() -> None:
    """The command line."""
    changed.register()
    options = command.parse(__doc__, "list", "only", "kinds", "measure")
    names, kinds = command.chosen(options.only, TASKS), command.chosen(options.kinds, KINDS, "--kinds")
    if options.list:
        print(*(f"{name}: {TASKS[name].command}, then {AGAIN.format(name)}" for name in names), sep="\n")
    else:
        write(names, () if options.measure else kinds)


if __name__ == "__main__":
    command.run("studies.rewards", main)
