"""The reward of a trained run as a file of its own."""

from pathlib import Path

from iqlearn_jax.rewards import RecoveredReward, save_reward
from iqlearn_jax.sweep.moment import FINAL, load_moment
from iqlearn_jax.sweep.resuming import read_provenance
from iqlearn_jax.sweep.workdir import as_plain, provenance


def export_reward(workdir: Path, run: int, out: Path, at: str = FINAL) -> RecoveredReward:
    """Writes the reward of one run to `out`; returns it as it is read from there.

    Args:
      at: which of the run's states; see `sweep.moment`.
    Raises:
      InputError: no trained run in the folder, no such run, state or snapshot, a method without a reward, or
        numbers that are not finite.
    """
    problem, state, counts = load_moment(workdir, run, at)
    hparams, state = problem.placement.one((problem.hparams, state), run)
    about = {
        "run": {"index": run, "seed": int(problem.seeds[run])} | counts,
        "provenance": read_provenance(workdir),
        "exported": provenance(None),
    }
    return save_reward(out, problem.method, problem.spec, hparams, state, as_plain(problem.config), about)
