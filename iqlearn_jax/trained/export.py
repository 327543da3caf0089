"""The reward and the policy of a trained run as files of their own."""

from pathlib import Path
from typing import Any

from iqlearn_jax.config.values import as_plain
from iqlearn_jax.errors import unknown
from iqlearn_jax.rewards import RecoveredReward, save_reward
from iqlearn_jax.runs.provenance import collect, read_provenance
from iqlearn_jax.trained.load import FINAL, load_state
from iqlearn_jax.trained.policy import Policy, make_policy, save_policy
from iqlearn_jax.trained.stablehlo import save_program
from iqlearn_jax.training.problem import Problem

FORMATS = {"npz": save_policy, "stablehlo": save_program}


def export_reward(workdir: Path, run: int, out: Path, at: str = FINAL) -> RecoveredReward:
    """Writes the reward of one run to `out`; returns it as it is read from there.

    Args:
      at: which of the run's states; see `trained.load`.
    Raises:
      InputError: no trained run in the folder, no such run, state or snapshot, a method without a reward, or
        numbers that are not finite.
    """
    problem, hparams, state, about = one_run(workdir, run, at)
    return save_reward(out, problem.method, problem.spec, hparams, state, as_plain(problem.config), about)


def export_policy(workdir: Path, run: int, out: Path, at: str = FINAL, format: str = "npz") -> Policy:
    """Writes the policy of one run to `out`; returns it.

    Args:
      at: which of the run's states; see `trained.load`.
      format: "npz", which `load_policy` and `numpy_policy.load` read; or "stablehlo", the deterministic
        policy as a compiled program that `jax.export.deserialize` reads, with its metadata beside it as JSON.
    Raises:
      InputError: no trained run in the folder, no such run, state, snapshot or format, numbers that are not
        finite, or a package that is missing.
    """
    if format not in FORMATS:
        raise unknown("policy format", format, FORMATS)
    problem, hparams, state, about = one_run(workdir, run, at)
    return FORMATS[format](out, problem.method, problem.spec, hparams, state, as_plain(problem.config), about)


def policy_of(workdir: Path, run: int, at: str = FINAL) -> Policy:
    """The policy of one run in memory.

    Raises:
      InputError: as `export_policy`.
    """
    problem, hparams, state, about = one_run(workdir, run, at)
    return make_policy(problem.method, problem.spec, hparams, state, as_plain(problem.config), about)


def one_run(workdir: Path, run: int, at: str) -> tuple[Problem, Any, Any, dict[str, Any]]:
    """A folder's problem, one run's hyperparameters and state, and what a file says of where they come from.

    Raises:
      InputError: as `load_state`.
    """
    problem, states, counts = load_state(workdir, run, at)
    hparams, state = problem.placement.one((problem.hparams, states), run)
    varied = {name: float(values[run]) for name, values in problem.varied.items()}
    about = {
        "run": {"index": run, "seed": int(problem.seeds[run])}
        | counts
        | ({"varied": varied} if varied else {}),
        "provenance": read_provenance(workdir),
        "exported": collect(None),
    }
    return problem, hparams, state, about
