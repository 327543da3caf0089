"""Demonstrations from a trained run's policy."""

from pathlib import Path

from iqlearn_jax.data.demos import Demos, in_own_terms
from iqlearn_jax.errors import InputError
from iqlearn_jax.rewards.recover import join_episodes
from iqlearn_jax.runs.provenance import collect
from iqlearn_jax.trained.load import FINAL, load_state
from iqlearn_jax.training.evaluation import record


def record_demos(workdir: Path, run: int, episodes: int, stochastic: bool = False, at: str = FINAL) -> Demos:
    """Whole episodes of one run's policy, with who acted in the metadata.

    Args:
      stochastic: the policy acts as it was trained, by drawing; else it takes its most likely action.
      at: which of the run's policies; see `trained.load`.
    Raises:
      InputError: no trained run in the folder, no such run, policy or snapshot, or fewer than one episode.
    """
    if episodes < 1:
        raise InputError(f"--episodes is {episodes}; expected at least 1")
    problem, state, counts = load_state(workdir, run, at)
    config, play = problem.config, "sampled" if stochastic else "greedy"
    rows, _ = join_episodes(record(problem, state, run, episodes, play))
    policy = {
        "method": config.method,
        "seed": int(problem.seeds[run]),
        "actions": play,
        "updates": counts["updates"],
        "commit": collect(None)["commit"],
    }
    demos = Demos(
        observations=problem.spec.absolute(rows.obs),
        actions=rows.action,
        rewards=rows.reward,
        next_observations=problem.spec.absolute(rows.next_obs),
        terminals=rows.terminated,
        truncations=rows.truncated,
        metadata={"env": config.env.id, "backend": config.env.backend, "policy": policy},
    )
    return in_own_terms(problem.spec, demos)
