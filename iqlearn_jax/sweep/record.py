"""Demonstrations from a trained run's policy."""

from pathlib import Path

from iqlearn_jax.data.demos import Demos
from iqlearn_jax.errors import InputError
from iqlearn_jax.settings import from_flat
from iqlearn_jax.sweep.evaluation import record
from iqlearn_jax.sweep.moment import FINAL, check_moment, state_at
from iqlearn_jax.sweep.run import load_run
from iqlearn_jax.sweep.workdir import provenance, read_config
from iqlearn_jax.train.recover import join_episodes
from iqlearn_jax.train.state import runs_of


def record_demos(workdir: Path, run: int, episodes: int, stochastic: bool = False, at: str = FINAL) -> Demos:
    """Whole episodes of one run's policy, with who acted in the metadata.

    Args:
      stochastic: the policy acts as it was trained, by drawing; else it takes its most likely action.
      at: which of the run's policies; see `sweep.moment`.
    Raises:
      InputError: no trained run in the folder, no such run, policy or snapshot, or fewer than one episode.
    """
    check_moment(at)
    config = from_flat(read_config(workdir))
    last = len(runs_of(config).seeds) - 1
    if not 0 <= run <= last:
        raise InputError(f"--run is {run}; {workdir} holds runs 0..{last}")
    if episodes < 1:
        raise InputError(f"--episodes is {episodes}; expected at least 1")
    problem, trained = load_run(workdir, config)
    play = "sampled" if stochastic else "greedy"
    state, counts = state_at(workdir, problem, trained, run, at)
    rows, _ = join_episodes(record(problem, state, run, episodes, play))
    policy = {
        "method": config.method,
        "seed": int(problem.seeds[run]),
        "actions": play,
        "updates": counts["updates"],
        "commit": provenance(None)["commit"],
    }
    return Demos(
        observations=rows.obs,
        actions=rows.action,
        rewards=rows.reward,
        next_observations=rows.next_obs,
        terminals=rows.terminated,
        truncations=rows.truncated,
        metadata={"env": config.env.id, "backend": config.env.backend, "policy": policy},
    )
