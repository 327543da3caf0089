"""`iqlearn demos ...`: look at demonstration files, check them, bring foreign ones into the format."""

import argparse
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from iqlearn_jax.cli.common import Parser, Subcommand, add_at, add_import, add_workdir, run_group
from iqlearn_jax.errors import InputError

if TYPE_CHECKING:
    from iqlearn_jax.types import EnvSpec

HELP = "inspect, validate, convert or record demonstrations"


def _inspect(arguments: list[str]) -> int:
    parser = Parser("iqlearn demos inspect", description=COMMANDS["inspect"].help)
    _add_file(parser)
    options = parser.parse_args(arguments)
    from iqlearn_jax.cli.describe import describe_demos
    from iqlearn_jax.data.demos import load_demos, suspicious
    from iqlearn_jax.data.suspect import warn

    demos = load_demos(options.file, observation_only=options.observation_only)
    print(describe_demos(demos, options.file))
    warn(options.file, suspicious(demos))
    return 0


def _validate(arguments: list[str]) -> int:
    parser = Parser("iqlearn demos validate", description=COMMANDS["validate"].help)
    _add_file(parser)
    _add_env(parser)
    add_import(parser)
    options = parser.parse_args(arguments)
    from iqlearn_jax.config.files import import_modules
    from iqlearn_jax.data.demos import load_demos, suspicious
    from iqlearn_jax.data.suspect import warn

    import_modules(options.modules)
    spec = _spec(options)
    demos = load_demos(options.file, spec, options.observation_only)
    fits = f", fits {options.env}" if options.env else ""
    print(
        f"ok: {options.file}: {demos.num_episodes} episodes, {len(demos)} steps{fits}, digest {demos.digest}"
    )
    warn(options.file, suspicious(demos, spec))
    return 0


def _convert(arguments: list[str]) -> int:
    parser = Parser("iqlearn demos convert", description=COMMANDS["convert"].help)
    parser.add_argument(
        "files", nargs="*", metavar="SOURCE TARGET", help="what to read, and the npz to write"
    )
    parser.add_argument(
        "--merge", nargs="+", default=[], metavar="SOURCE", help="one file of the episodes of several"
    )
    _add_env(parser)
    _add_names(parser)
    parser.add_argument("--policy", help="who acted, for the metadata")
    parser.add_argument("--clip-actions", action="store_true", help="clip actions to the bounds of --env")
    parser.add_argument(
        "--rescale-actions", action="store_true", help="bring actions from ±1 to those bounds"
    )
    parser.add_argument("--max-episode-steps", type=int, help="a terminal at this step is a truncation")
    parser.add_argument(
        "--timeouts-win", action="store_true", help="ends marked as both kinds are truncations"
    )
    parser.add_argument(
        "--drop-last",
        action="store_true",
        help="leave out last steps of truncated episodes, where the file has no true successor",
    )
    parser.add_argument(
        "--max-episodes", type=int, help="keep only so many episodes of each source, from the first"
    )
    parser.add_argument("--min-return", type=float, help="keep only episodes of at least this return")
    parser.add_argument("--observation-only", action="store_true", help="leave actions out")
    options = parser.parse_args(arguments)
    sources, target = _sources(options.files, options.merge)
    from iqlearn_jax.cli.describe import describe_demos
    from iqlearn_jax.data.convert.convert import convert
    from iqlearn_jax.data.convert.merge import merge
    from iqlearn_jax.data.convert.names import parse_map
    from iqlearn_jax.data.save import save

    settings = {
        "map": parse_map(options.map),
        "episode_starts": options.episode_starts,
        "episode_ends": options.episode_ends,
        "lengths": options.lengths,
        "timeouts": options.timeouts,
        "observation_only": options.observation_only,
        "spec": _spec(options),
        "clip_actions": options.clip_actions,
        "rescale_actions": options.rescale_actions,
        "timeouts_win": options.timeouts_win,
        "drop_last": options.drop_last,
        "max_episode_steps": options.max_episode_steps,
        "max_episodes": options.max_episodes,
        "min_return": options.min_return,
        "policy": options.policy,
    }
    parts = [convert(source, **settings) for source in sources]
    demos = parts[0] if len(parts) == 1 else merge(parts, sources)
    print(describe_demos(save(target, demos), target))
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


def _sources(files: list[str], merged: list[str]) -> tuple[list[str], str]:
    """What to read and what to write: the last of the files before `--merge`, or else the last after it."""
    if not merged and len(files) != 2:
        raise InputError(
            f"demos convert: expected SOURCE TARGET, found {len(files)} files; several become one with "
            "'iqlearn demos convert TARGET --merge SOURCE SOURCE'"
        )
    if len(files) > 2 or len(files) + len(merged) < 2:
        raise InputError(
            "demos convert: expected TARGET --merge SOURCE SOURCE; see 'iqlearn demos convert --help'"
        )
    every = [*files[:-1], *merged, *files[-1:]]
    return every[:-1], every[-1]


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file")
    parser.add_argument("--observation-only", action="store_true", help="the file may lack actions")


def _add_names(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "names in the source, where they are not the usual ones (docs/demonstrations.md)"
    )
    group.add_argument(
        "--map",
        default="",
        metavar="FIELD=KEY,...",
        help="e.g. observations=obs,actions=acts; A+B puts side by side",
    )
    group.add_argument("--episode-starts", metavar="KEY", help="flags or positions of first steps")
    group.add_argument("--episode-ends", metavar="KEY", help="flags or positions of last steps")
    group.add_argument("--lengths", metavar="KEY", help="steps of each episode")
    group.add_argument(
        "--timeouts", metavar="KEY", help="flags of steps that time cut; other ends are the task's"
    )


def _add_env(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", help="environment whose spaces the file must fit, e.g. Hopper-v5")
    parser.add_argument("--backend", default="auto", help="where --env is found (default: auto)")


def _spec(options: argparse.Namespace) -> "EnvSpec | None":
    """Spaces of the environment that was named; it is tried by one reset and step."""
    from iqlearn_jax.envs.registry import open_by_name  # here: a look at a file must not pay for physics

    if not options.env:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an older version is a choice: the file is of that version
        return open_by_name(options.env, options.backend).spec


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
