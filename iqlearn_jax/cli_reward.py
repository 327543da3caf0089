"""`iqlearn reward export | inspect`: a trained run's reward as one file, and what such a file is."""

import argparse
from pathlib import Path
from typing import NoReturn

from iqlearn_jax.cli import add_moment
from iqlearn_jax.errors import InputError, unknown


class _Parser(argparse.ArgumentParser):
    """Parser whose complaints are the one-line errors of everything else."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self.prog}: {message}; see '{self.prog} --help'")


def describe(path: Path) -> str:
    """What a reward file holds, a line of text each.

    Raises:
      InputError: it is none.
    """
    from iqlearn_jax.rewards import load_reward

    reward = load_reward(path)
    about, config = reward.metadata, reward.metadata["config"]
    run, origin = about.get("run", {}), about.get("provenance", {})
    ends = "nothing" if reward.end is None else f"{config['terminal']}: see docs/rewards.md"
    lines = {
        "method": config["method"],
        "environment": f"{reward.spec.id} ({config['env.backend']})",
        "observations": f"{reward.spec.obs_dtype} {list(reward.spec.obs_shape)}",
        "actions": "discrete" if reward.spec.discrete else f"continuous [{len(reward.spec.action_low)}]",
        "gamma": f"{float(reward.gamma):.6g}",
        "V(s')": "sampled" if reward.sampled else "exact or absent",
        "behind ends": ends,
        "run": f"seed {run.get('seed')}, {run.get('updates')} updates, commit {origin.get('commit')}",
        "digest": about["digest"],
    }
    return "\n".join([str(path), *(f"  {name:<13} {value}" for name, value in lines.items())])


def _run_export(argv: list[str]) -> None:
    parser = _Parser("iqlearn reward export", description=COMMANDS["export"][1], allow_abbrev=False)
    parser.add_argument("--workdir", required=True, type=Path, help="folder of a trained run")
    parser.add_argument("--out", required=True, type=Path, help="npz to write")
    parser.add_argument("--run", type=int, default=0, help="which of the folder's runs (0: the first)")
    add_moment(parser)
    options = parser.parse_args(argv)
    # imported here: help must not pay for jax
    from iqlearn_jax.sweep.export import export_reward

    export_reward(options.workdir, options.run, options.out, options.at)
    print(describe(options.out))


def _run_inspect(argv: list[str]) -> None:
    parser = _Parser("iqlearn reward inspect", description=COMMANDS["inspect"][1], allow_abbrev=False)
    parser.add_argument("file", type=Path)
    print(describe(parser.parse_args(argv).file))


COMMANDS = {
    "export": (_run_export, "the recovered reward of a trained run as one file"),
    "inspect": (_run_inspect, "check a reward file and show what it holds"),
}


def main(argv: list[str]) -> int:
    """Runs `iqlearn reward ARGV`; returns the exit code.

    Raises:
      InputError: whatever cannot be used.
    """
    if not argv or argv[0] in ("-h", "--help"):
        lines = (f"  {name:8} {text}" for name, (_, text) in COMMANDS.items())
        print("\n".join(["usage: iqlearn reward COMMAND ...", *lines]))
        return 0 if argv else 2
    if argv[0] not in COMMANDS:
        raise unknown("reward command", argv[0], COMMANDS)
    COMMANDS[argv[0]][0](argv[1:])
    return 0
