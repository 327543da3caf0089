"""What a finished run leaves: returns of its final policies, recovered rewards, the summary."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from iqlearn_jax.statistics import iqm_and_ci, normalize, pearson, spearman
from iqlearn_jax.sweep.evaluation import random_return
from iqlearn_jax.sweep.likeness import make_judge
from iqlearn_jax.sweep.mesh import is_main
from iqlearn_jax.sweep.problem import Problem
from iqlearn_jax.sweep.rewards import map_arrays, reward_arrays
from iqlearn_jax.sweep.workdir import write_arrays, write_json
from iqlearn_jax.train.state import RunState

FINAL_EPISODES = 10  # at least so many per run stand behind a reported return


class Clock(NamedTuple):
    """Seconds of training so far; updates and seconds after the first chunk, which compiles."""

    wall: float = 0.0
    warm_updates: int = 0
    warm_seconds: float = 0.0
    first: bool = True


def finish(
    problem: Problem, evaluate: Callable, run: RunState, clock: Clock, workdir: Path
) -> dict[str, Any]:
    """Evaluates the final policies, recovers the reward and writes the summary."""
    config, place = problem.config, problem.placement
    updates, env_steps, failed_at = place.get((run.updates, run.env_steps, run.failed_at))
    played = evaluate(run.state, max(FINAL_EPISODES, config.eval_episodes))
    likeness = make_judge(problem)(played)
    found = scores(problem, played.returns.mean(axis=1))
    found["likeness"] = None if likeness is None else likeness.tolist()
    correlations: dict[str, float | None] = {"pearson": None, "spearman": None}
    if problem.method.reward is not None:
        arrays = reward_arrays(problem, run.state)
        write_arrays(workdir / "rewards.npz", arrays)
        correlations = episode_correlations(arrays)
    if problem.method.reward is not None and config.env.backend == "gridworld":
        write_arrays(workdir / "maps.npz", map_arrays(problem, run.state))
    rate = clock.warm_updates * place.runs / clock.warm_seconds if clock.warm_seconds else None
    summary = {
        "method": config.method,
        "env": config.env.id,
        "backend": config.env.backend,
        "setting": "offline" if config.feed == "demos" else "online",
        "seeds": problem.seeds.tolist(),
        "varied": {name: values.tolist() for name, values in problem.varied.items()},
        "updates": int(updates[0]),
        "env_steps": int(env_steps[0]),
        "wall_seconds": clock.wall,
        "updates_per_second": rate,
        "status": "done",
        "failed": failures(problem, failed_at, workdir / "metrics.jsonl"),
    }
    summary |= demo_facts(problem) | found | correlations
    write_json(workdir / "summary.json", summary)
    return summary


def failures(problem: Problem, failed_at: np.ndarray, metrics: Path) -> list[dict[str, Any]]:
    """Runs whose metrics were not finite: where, and which they were (metrics that the next line lacks)."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()] if (failed_at >= 0).any() else []
    found = []
    for run in np.flatnonzero(failed_at >= 0).tolist():
        own = [line for line in lines if line["run"] == run]
        after = next(line for line in own if line["update"] > failed_at[run])
        names = {name for line in lines for name in line if "/" in name} - set(after)
        cause = sorted(names - {"eval/return", "train/return"})
        found.append(
            {"run": run, "seed": int(problem.seeds[run]), "update": int(failed_at[run]), "not_finite": cause}
        )
    return found


def warn_of_failures(
    problem: Problem, metrics: dict[str, np.ndarray], failed_at: np.ndarray, done: int
) -> None:
    """Says which runs failed in the chunk that ended after `done` updates."""
    failed = np.flatnonzero(failed_at >= max(0, done - problem.config.log_every))
    for run in failed if is_main() else ():
        names = sorted(name for name, value in metrics.items() if not np.isfinite(value[run]))
        print(
            f"run {run} ({describe(problem, int(run))}): {', '.join(names)} not finite at update "
            f"{failed_at[run]}; its parameters stay as they were before, the other runs go on",
            file=sys.stderr,
        )


def describe(problem: Problem, run: int) -> str:
    """A run by its seed and what the grid gave it."""
    varied = [f"{name} {values[run]:g}" for name, values in problem.varied.items()]
    return ", ".join([f"seed {problem.seeds[run]}", *varied])


def scores(problem: Problem, returns: np.ndarray) -> dict[str, Any]:
    """Returns and normalised scores; no interval below 5 seeds; plain RL has nothing to normalise by."""
    found: dict[str, Any] = {"returns": returns.tolist(), "random_return": random_return(problem)}
    blank = {"expert_return": None, "normalized": None, "normalized_iqm": None, "normalized_ci95": None}
    if problem.demos is None:
        return found | blank
    expert = float(problem.demos.episode_returns.mean())
    if expert == found["random_return"]:
        return found | blank | {"expert_return": expert}
    normalized = normalize(returns, expert, found["random_return"])
    score, interval = iqm_and_ci(normalized)
    return found | {
        "expert_return": expert,
        "normalized": normalized.tolist(),
        "normalized_iqm": score,
        "normalized_ci95": interval,
    }


def demo_facts(problem: Problem) -> dict[str, Any]:
    """Which demonstrations the runs saw."""
    picks, config = problem.picks, problem.config
    if picks is None:
        return {"demos": None, "demo_trajectories": 0, "demo_subsample": 1, "demo_transitions": 0}
    return {
        "demos": config.demos.path,
        "demo_trajectories": config.demos.trajectories,
        "demo_subsample": config.demos.subsample,
        "demo_transitions": int(np.mean(problem.placement.get(picks.count))),
    }


def episode_correlations(arrays: dict[str, np.ndarray]) -> dict[str, float | None]:
    """Pearson and Spearman correlation of episode sums of recovered and true reward."""
    sums = [np.bincount(arrays["episode"], arrays[name]) for name in ("recovered", "true")]
    return {"pearson": pearson(*sums), "spearman": spearman(*sums)}
