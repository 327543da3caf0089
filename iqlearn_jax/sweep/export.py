"""The reward of a trained run as a file of its own."""

from pathlib import Path

from iqlearn_jax.errors import InputError
from iqlearn_jax.rewards import RecoveredReward, save_reward
from iqlearn_jax.settings import from_flat
from iqlearn_jax.sweep.moment import FINAL, check_moment, state_at
from iqlearn_jax.sweep.resuming import read_provenance
from iqlearn_jax.sweep.run import load_run
from iqlearn_jax.sweep.workdir import as_plain, provenance, read_config
from iqlearn_jax.train.state import runs_of


def export_reward(workdir: Path, run: int, out: Path, at: str = FINAL) -> RecoveredReward:
    """Writes the reward of one run to `out`; returns it as it is read from there.

    Args:
      at: which of the run's states; see `sweep.moment`.
    Raises:
      InputError: no trained run in the folder, no such run, state or snapshot, a method without a reward, or
        numbers that are not finite.
    """
    check_moment(at)
    config = from_flat(read_config(workdir))
    last = len(runs_of(config).seeds) - 1
    if not 0 <= run <= last:
        raise InputError(f"--run is {run}; {workdir} holds runs 0..{last}")
    problem, trained = load_run(workdir, config)
    state, counts = state_at(workdir, problem, trained, run, at)
    hparams, state = problem.placement.one((problem.hparams, state), run)
    about = {
        "run": {"index": run, "seed": int(problem.seeds[run])} | counts,
        "provenance": read_provenance(workdir),
        "exported": provenance(None),
    }
    return save_reward(out, problem.method, problem.spec, hparams, state, as_plain(config), about)
