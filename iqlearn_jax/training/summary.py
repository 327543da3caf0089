"""What trained runs leave: returns of their final policies, recovered rewards, the summary."""

from typing import Any

import jax
import numpy as np
from absl import logging

from iqlearn_jax.data.sampling import relative_demos
from iqlearn_jax.loops.loop import RunState
from iqlearn_jax.runs.files import write_arrays, write_json
from iqlearn_jax.runs.history import History
from iqlearn_jax.statistics import iqm_and_ci, normalize, pearson, spearman
from iqlearn_jax.training.evaluation import random_return
from iqlearn_jax.training.kept import nothing_lost
from iqlearn_jax.training.problem import Problem
from iqlearn_jax.training.rewards import map_arrays, reward_arrays
from iqlearn_jax.training.session import Clock, Session

SCORES = ("expert_return", "normalized", "normalized_iqm", "normalized_ci95")
NOT_CAUSES = {"eval/return", "eval/likeness", "train/return"}  # may well be unknown in a chunk
FINAL_EPISODES = 10  # at least so many of each run enter a reported return


def finish(session: Session, run: RunState, clock: Clock) -> dict[str, Any]:
    """Evaluates the final policies, recovers the reward and sums up; writes it if there is a folder.

    A number that is not finite is None there; runs whose returns are so are among `failed`.

    Raises:
      SimulatorError: the environment failed; everything that was learned is saved.
    """
    problem, config, place = session.problem, session.problem.config, session.problem.placement
    updates, env_steps, failed_at = place.get((run.updates, run.env_steps, run.failed_at))
    rate = clock.warm_updates * place.runs / clock.warm_seconds if clock.warm_seconds else None
    with nothing_lost():
        arrays = recovered(problem, run.state)
        final = final_scores(session, run.state)
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
        "failed": failures(problem, failed_at, session.history),
    }
    summary |= demo_facts(problem) | final
    summary["failed"] += unplayable(problem, summary)
    summary = finite(summary | episode_correlations(arrays.get("rewards")))
    if session.folder is not None:
        for name, content in arrays.items():
            write_arrays(session.folder.workdir / f"{name}.npz", content)
        write_json(session.folder.workdir / "summary.json", summary)
    return summary


def recovered(problem: Problem, state: Any) -> dict[str, dict[str, np.ndarray]]:
    """{"rewards", and on gridworlds "maps"}: the arrays of the files of those names (docs/formats.md)."""
    if problem.method.reward is None or not problem.is_played:
        return {}
    arrays = {"rewards": reward_arrays(problem, state)}
    return arrays | ({"maps": map_arrays(problem, state)} if problem.handle.backend == "gridworld" else {})


def final_scores(session: Session, state: Any) -> dict[str, Any]:
    """Returns of the final policies, how they compare, and how much they are like the demonstrations [R]."""
    problem = session.problem
    if not problem.is_played:
        unknown = (*SCORES, "returns", "random_return", "likeness")
        agreed = agreement(problem, state)
        return dict.fromkeys(unknown) | {"agreement": None if agreed is None else agreed.tolist()}
    played = session.evaluate(state, max(FINAL_EPISODES, problem.config.eval_episodes))
    likeness = session.judge(played)
    return scores(problem, played.returns.mean(axis=1)) | {
        "likeness": None if likeness is None else [None if np.isnan(x) else float(x) for x in likeness]
    }


def agreement(problem: Problem, state: Any, most: int = 10_000) -> np.ndarray | None:
    """How often [R] the policy does as demonstrated, over the first steps of the file; None without actions.

    Discrete actions: the share that is the same; continuous ones: 1 less the mean distance in half-widths of
    the box.
    """
    if problem.demos is None or problem.demos.actions is None or problem.config.state_only:
        return None
    obs = relative_demos(problem.demos, problem.spec).observations[:most]
    actions = problem.demos.actions[:most]

    def one(hparams, run_state):
        return problem.method.act(hparams, run_state, obs, jax.random.key(0), deterministic=True)

    place = problem.placement
    chosen = place.get(jax.jit(place.map_runs(one, in_axes=(0, 0)))(problem.hparams, state))
    if problem.spec.discrete:
        return (chosen == actions).mean(axis=1)
    half = 0.5 * (np.asarray(problem.spec.action_high) - np.asarray(problem.spec.action_low))
    return 1.0 - (np.abs(chosen - actions) / half).mean(axis=(1, 2))


def failures(problem: Problem, failed_at: np.ndarray, history: History) -> list[dict[str, Any]]:
    """Runs whose metrics were not finite: at which update, and which metrics were not finite afterwards."""
    failed = []
    updates = np.array(history.clocks["update"])
    for run in np.flatnonzero(failed_at >= 0).tolist():
        chunk = int(np.argmax(updates > failed_at[run]))
        measured = {name for name, column in history.metrics.items() if np.isfinite(np.array(column)).any()}
        missing = {name for name in measured if not np.isfinite(history.metrics[name][chunk][run])}
        entry = {"run": run, "seed": int(problem.seeds[run]), "update": int(failed_at[run])}
        failed.append(entry | {"not_finite": sorted(missing - NOT_CAUSES)})
    return failed


def unplayable(problem: Problem, summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Entries of `failed` for runs whose last evaluation met a return or observation that is not finite."""
    before = {entry["run"] for entry in summary["failed"]}
    runs = [n for n, value in enumerate(summary["returns"] or ()) if not np.isfinite(value)]
    for run in runs:
        logging.warning(
            "run %d (seed %d): a return or an observation of its last evaluation is not finite; its return "
            "is null in the summary", run, problem.seeds[run],
        )  # fmt: skip
    facts = {"update": summary["updates"], "not_finite": ["eval/return"]}
    return [{"run": n, "seed": int(problem.seeds[n])} | facts for n in runs if n not in before]


def finite(content: Any) -> Any:
    """What JSON can hold: None for each number that is not finite."""
    if isinstance(content, dict):
        return {name: finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not np.isfinite(content) else content


def scores(problem: Problem, returns: np.ndarray) -> dict[str, Any]:
    """Returns and normalised scores; no interval below 5 seeds.

    Plain RL has nothing to normalise by, nor have demonstrations whose rewards are not known, or that are no
    better than random play: their scale would stand on its head.
    """
    known: dict[str, Any] = {"returns": returns.tolist(), "random_return": random_return(problem)}
    blank = dict.fromkeys(SCORES)
    if problem.demos is None or problem.demos.episode_returns is None:
        return known | blank
    expert = float(problem.demos.episode_returns.mean())
    if not expert > known["random_return"]:
        return known | blank | {"expert_return": expert}
    normalized = normalize(returns, expert, known["random_return"])
    score, interval = iqm_and_ci(normalized)
    return known | {
        "expert_return": expert,
        "normalized": normalized.tolist(),
        "normalized_iqm": score,
        "normalized_ci95": interval,
    }


def demo_facts(problem: Problem) -> dict[str, Any]:
    """Which demonstrations the runs saw."""
    demo_indices, config = problem.demo_indices, problem.config
    if demo_indices is None or problem.demos is None:
        return {"demos": None, "demo_trajectories": 0, "demo_subsample": 1, "demo_transitions": 0}
    return {
        "demos": config.demos.path,
        "demo_trajectories": config.demos.trajectories or problem.demos.num_episodes,
        "demo_subsample": config.demos.subsample,
        "demo_transitions": int(np.mean(problem.placement.get(demo_indices.count))),
    }


def episode_correlations(arrays: dict[str, np.ndarray] | None) -> dict[str, float | None]:
    """Pearson and Spearman correlation of episode sums of recovered and true reward, None where not known."""
    if arrays is None or not all(np.isfinite(arrays[name]).all() for name in ("recovered", "true")):
        return {"pearson": None, "spearman": None}
    sums = [np.bincount(arrays["episode"], arrays[name]) for name in ("recovered", "true")]
    return {"pearson": pearson(*sums), "spearman": spearman(*sums)}
