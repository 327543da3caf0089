"""`iqlearn demos ...`: look at demonstration files, check them, bring foreign ones into the format."""

import argparse
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from iqlearn_jax.cli.common import Parser, Subcommand, add_at, add_import, add_workdir, run_group

if TYPE_CHECKING:
    from iqlearn_jax.data.demos import Demos
    from iqlearn_jax.types import EnvSpec

HELP = "inspect, validate, convert or record demonstrations"


def env_spec(env_id: str, backend: str = "auto") -> "EnvSpec":
    """Spaces of an environment; it is made once, neither stepped nor drawn.

    Raises:
      InputError: unknown id or backend, a missing package, or unusable spaces.
    """
    from iqlearn_jax.envs.registry import open_by_name  # here: a look at a file must not pay for physics

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an older version is a choice: the file is of that version
        return open_by_name(env_id, backend).spec


def _inspect(arguments: list[str]) -> int:
    parser = Parser("iqlearn demos inspect", description=COMMANDS["inspect"].help)
    _add_file(parser)
    options = parser.parse_args(arguments)
    from iqlearn_jax.cli.describe import inspect_demos

    print(inspect_demos(options.file, options.observation_only))
    return 0


def _validate(arguments: list[str]) -> int:
    parser = Parser("iqlearn demos validate", description=COMMANDS["validate"].help)
    _add_file(parser)
    _add_env(parser)
    add_import(parser)
    options = parser.parse_args(arguments)
    from iqlearn_jax.config.files import import_modules
    from iqlearn_jax.data.demos import load_demos

    import_modules(options.modules)
    demos = load_demos(options.file, _spec(options), options.observation_only)
    fits = f", fits {options.env}" if options.env else ""
    print(
        f"ok: {options.file}: {demos.num_episodes} episodes, {len(demos)} steps{fits}, digest {demos.digest}"
    )
    return 0


def _convert(arguments: list[str]) -> int:
    parser = Parser("iqlearn demos convert", description=COMMANDS["convert"].help)
    parser.add_argument("source", help="npz, the authors' pickle, or the folder of a Minari data set")
    parser.add_argument("target", help="npz to write")
    _add_env(parser)
    parser.add_argument("--policy", help="who acted, for the metadata")
    parser.add_argument("--clip-actions", action="store_true", help="clip actions to the bounds of --env")
    parser.add_argument("--max-episode-steps", type=int, help="pickles: a done at this step is a truncation")
    parser.add_argument("--max-episodes", type=int, help="keep only so many episodes, from the first")
    options = parser.parse_args(arguments)
    from iqlearn_jax.cli.describe import describe_demos
    from iqlearn_jax.data.convert.convert import convert
    from iqlearn_jax.data.save import save

    spec = _spec(options)
    demos = convert(
        options.source,
        spec=spec,
        clip_actions=options.clip_actions,
        max_episode_steps=options.max_episode_steps,
        max_episodes=options.max_episodes,
        policy=options.policy,
    )
    saved = save(options.target, demos)
    print(describe_demos(saved, options.target))
    if spec is not None and options.max_episode_steps is None:
        _warn_of_limits(saved, spec)
    return 0


def _record(arguments: list[str]) -> int:
    parser = Parser("iqlearn demos record", description=COMMANDS["record"].help)
    add_workdir(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="npz to write")
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--run", type=int, default=0, help="which of the folder's runs acts (0: the first)")
    parser.add_argument("--stochastic", action="store_true", help="draw actions instead of the likeliest")
    add_at(parser)
    add_import(parser)
    options = parser.parse_args(arguments)
    # imported here: a look at a file must not pay for jax
    from iqlearn_jax.cli.describe import describe_demos
    from iqlearn_jax.config.files import import_modules
    from iqlearn_jax.data.save import save
    from iqlearn_jax.trained.record import record_demos

    import_modules(options.modules)
    demos = record_demos(options.workdir, options.run, options.episodes, options.stochastic, options.at)
    print(describe_demos(save(options.out, demos), options.out))
    return 0


def _warn_of_limits(demos: "Demos", spec: "EnvSpec") -> None:
    """Old recordings mark the time limit as done, which would teach that the task ends there."""
    from absl import logging

    ends = demos.episode_starts + demos.episode_lengths - 1
    at_limit = int((demos.terminals[ends] & (demos.episode_lengths == spec.max_episode_steps)).sum())
    if at_limit:
        logging.warning(
            "%d of %d episodes terminate exactly at the time limit of %s; if that was the clock, convert "
            "with --max-episode-steps %d",
            at_limit,
            demos.num_episodes,
            spec.id,
            spec.max_episode_steps,
        )


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file")
    parser.add_argument("--observation-only", action="store_true", help="the file may lack actions")


def _add_env(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", help="environment whose spaces the file must fit, e.g. Hopper-v5")
    parser.add_argument("--backend", default="auto", help="where --env is found (default: auto)")


def _spec(options: argparse.Namespace) -> "EnvSpec | None":
    return env_spec(options.env, options.backend) if options.env else None


# A further subcommand is one more entry.
COMMANDS = {
    "inspect": Subcommand("show what is in a demonstration file", _inspect),
    "validate": Subcommand("check a demonstration file, and whether it fits an environment", _validate),
    "record": Subcommand("roll out the policy of a trained run", _record),
    "convert": Subcommand("bring foreign demonstrations into the format", _convert),
}


def main(arguments: list[str]) -> int:
    """Runs `iqlearn demos ARGUMENTS`; returns the exit code.

    Raises:
      InputError: whatever cannot be used.
    """
    return run_group("demos", COMMANDS, arguments)
