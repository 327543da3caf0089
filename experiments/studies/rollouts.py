"""Episodes of expert and learner for the site's players: docs/results/rollouts/NAME.json (docs/formats.md).

    python -m experiments.studies.rollouts [--list] [--only=NAME,...] [--shared=DIR]

The learner is the run whose final return is the (lower) median of its seeds, in the first episode of one
recording; the expert's episode is the first of those that this run learned from. No episode is chosen by its
looks. Small runs are trained where they are missing, into runs/rollouts: those of CartPole with the settings,
seeds and (shared) demonstrations of docs/results/core.md, the others with bundled ones. Hopper's is another
experiment's. What has no demonstrations or no run here is left out.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from experiments.lib import command
from experiments.lib.table import RESULTS, RUNS, Row, Table, run_row
from experiments.tables.core import ROWS
from iqlearn_jax.data.sampling import select
from iqlearn_jax.envs.gridworld import to_grid
from iqlearn_jax.report.read import method_name
from iqlearn_jax.report.tables import demos_text
from iqlearn_jax.runs.files import read_json
from iqlearn_jax.runs.folder import stored_config
from iqlearn_jax.training.evaluation import record
from iqlearn_jax.training.problem import Problem
from iqlearn_jax.training.reopen import load_run

FOLDER = RESULTS / "rollouts"
LARGEST = 200_000  # bytes of a file
Draw = Callable[[np.ndarray], np.ndarray]  # observations [T, ...] -> what is drawn of them [T, k]


class Show(NamedTuple):
    """One pair of episodes.

    Attributes:
      row: what it is trained by.
      scene: how the site draws it.
      coordinates: observations [T, ...] to the scene's numbers [T, k].
      step_seconds: seconds of playback between two frames.
      run: folder of another experiment's run; by default one of our own.
      static: what the scene needs besides.
    """

    row: Row
    scene: str
    coordinates: Draw
    step_seconds: float
    run: str = ""
    static: Mapping[str, Any] = MappingProxyType({})


def cartpole(obs: np.ndarray) -> np.ndarray:
    """Cart position in metres and pole angle in radians from upright, [T, 2]."""
    return obs[:, [0, 2]]


def acrobot(obs: np.ndarray) -> np.ndarray:
    """Angle of the first link from hanging, and of the second relative to it, radians, [T, 2]."""
    return np.stack([np.arctan2(obs[:, 1], obs[:, 0]), np.arctan2(obs[:, 3], obs[:, 2])], axis=1)


def hopper(obs: np.ndarray) -> np.ndarray:
    """Torso's way in metres (its speed summed, as observations leave the place out), height, and the angles
    of torso, thigh, leg and foot in radians, each relative to the one before, [T, 6]."""
    way = np.cumsum(obs[:, 5] * HOPPER_SECONDS)
    return np.column_stack([way, obs[:, :5]])


def gridworld(env_id: str) -> Draw:
    """Row and column of a state, [T, 2]."""
    size = int(np.prod([int(side) for side in env_id.removeprefix("Gridworld-").split("x")]))
    places = np.argwhere(~np.isnan(to_grid(env_id, np.arange(size))))
    return lambda obs: places[obs]


GRID = "Gridworld-8x8"
HOPPER_SECONDS = 0.008  # of one step of gymnasium's Hopper
SEEDS = {"seeds": 5, "first_seed": 6000}
SHOWS = {
    "cartpole": Show(ROWS["cartpole_1x20_online"], "cartpole", cartpole, 0.02),
    "cartpole_bc": Show(ROWS["cartpole_1x20_bc"], "cartpole", cartpole, 0.02),
    "acrobot": Show(Row("acrobot:offline", None, SEEDS), "acrobot", acrobot, 0.1),
    "hopper": Show(Row("mujoco:hopper_online"), "hopper", hopper, HOPPER_SECONDS, run="control/hopper"),
    "gridworld": Show(
        Row("gridworld:offline", None, SEEDS),
        "gridworld",
        gridworld(GRID),
        0.25,
        static={"rows": 8, "columns": 8, "goal": [0, 7]},
    ),
}
TABLE = Table("studies.rollouts", {name: show.row for name, show in SHOWS.items()}, "", lambda rows: "")


def find_run(name: str, shared: Path) -> Path | None:
    """Folder of the finished run, trained if it is small and missing; None where something is not there."""
    if other := SHOWS[name].run:
        return RUNS / other if (RUNS / other / "summary.json").exists() else None
    return None if run_row(TABLE, name, shared) else TABLE.folder(name)


def median_run(returns: list[float]) -> int:
    """Index of the lower median: of ten runs the fifth from below; among equals the first."""
    return int(np.argsort(returns, kind="stable")[(len(returns) - 1) // 2])


def episode(draw: Draw, obs, rewards, ended: str) -> dict[str, Any]:
    """What a player needs of T steps: frames [T + 1][k], rewards [T], how it ended."""
    frames = np.round(np.asarray(draw(np.asarray(obs)), float), 3)
    return {"frames": frames.tolist(), "rewards": np.round(rewards, 3).tolist(), "ended": ended}


def expert_episode(show: Show, problem: Problem, run: int) -> dict[str, Any]:
    """The first episode that this run learned from, whole, whatever steps of it were kept."""
    demos, asked = problem.demos, problem.config.demos
    assert demos is not None and demos.rewards is not None
    first = select(demos, asked.trajectories, asked.subsample, int(problem.seeds[run])).initial[0]
    length = demos.episode_lengths[list(demos.episode_starts).index(first)]
    rows = slice(first, first + length)
    obs = np.concatenate([demos.observations[rows], demos.next_observations[rows][-1:]])
    end = bool(demos.terminals[rows][-1])
    return episode(show.coordinates, obs, demos.rewards[rows], "terminated" if end else "time limit")


def learner_episode(show: Show, problem: Problem, state: Any, run: int) -> dict[str, Any]:
    """The first episode of the deterministic policy."""
    rows = record(problem, state, run, 1)[0]
    obs = np.concatenate([rows.obs, rows.next_obs[-1:]])
    return episode(
        show.coordinates, obs, rows.reward, "terminated" if bool(rows.terminated[-1]) else "time limit"
    )


def rollout(name: str, folder: Path) -> dict[str, Any]:
    """One file of docs/results/rollouts from a finished run's folder."""
    show, summary, config = SHOWS[name], read_json(folder / "summary.json"), stored_config(folder)
    problem, trained = load_run(folder, config)
    run = median_run(summary["returns"])
    made = read_json(folder / "provenance.json")
    amount = demos_text(summary["demo_trajectories"], summary["demo_subsample"], summary["demo_transitions"])
    return {
        "name": name,
        "title": f"{summary['env']}, {method_name(summary['method'])} {summary['setting']} from {amount}",
        "scene": show.scene,
        "step_seconds": show.step_seconds,
        "static": dict(show.static),
        "expert": expert_episode(show, problem, run),
        "learner": learner_episode(show, problem, trained.state, run),
        "method": summary["method"],
        "seed": summary["seeds"][run],
        "returns": [round(value, 2) for value in summary["returns"]],
        "expert_return": summary["expert_return"],
        "random_return": summary["random_return"],
        "updates": config.updates,
        "env_steps": summary["env_steps"],
        "provenance": {key: made.get(key) for key in ("commit", "hardware", "demos_digest", "started")}
        | {"recorded_by": command.made()["commit"]},
        "command": f"python -m experiments.studies.rollouts --only={name}",
    }


def write(name: str, shared: Path) -> None:
    """Writes one file, or says why not."""
    folder, show = find_run(name, shared), SHOWS[name]
    if folder is None:
        missing = RUNS / show.run if show.run else f"{show.row.shared} in {shared}"
        print(f"{name}: left out, there is no {missing}", file=sys.stderr)
        return
    text = json.dumps(rollout(name, folder), separators=(",", ":"), ensure_ascii=False)
    size = len(text.encode("utf-8"))
    assert size < LARGEST, f"{name} takes {size} bytes, more than {LARGEST}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(text + "\n", "utf-8")
    print(f"{name}: {size:,} bytes")


def main() -> None:
    """The command line."""
    options = command.parse(__doc__, "list", "only", "shared")
    for name in command.chosen(options.only, SHOWS):
        if options.list:
            print(name)
        else:
            write(name, options.shared)


if __name__ == "__main__":
    command.run("studies.rollouts", main)
