"""`iqlearn demos ...`: look at demonstration files, check them, bring foreign ones into the format."""

import argparse
import io
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from rich.console import Console
from rich.table import Table

from iqlearn_jax.cli import add_moment
from iqlearn_jax.data.checks import Source
from iqlearn_jax.data.convert import convert
from iqlearn_jax.data.demos import Demos, load, save
from iqlearn_jax.errors import InputError
from iqlearn_jax.train.state import MIN_STD
from iqlearn_jax.types import EnvSpec

UNLIKE = 20.0  # widest over narrowest direction; the double pendulum's is 45


class Command(NamedTuple):
    """A subcommand: one line of help, and what runs it on the arguments after its name."""

    help: str
    run: Callable[[list[str]], int]


class _Parser(argparse.ArgumentParser):
    """Parser whose complaints are the one-line errors of everything else."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self.prog}: {message}; see '{self.prog} --help'")


def inspect(path: Source, observation_only: bool = False) -> str:
    """What is in a demonstration file, as a table of text.

    Args:
      path: `*.npz` of the format.
      observation_only: the file may lack actions.
    Raises:
      InputError: the file cannot be read or is invalid.
    """
    return describe(load(path, observation_only=observation_only), path)


def describe(demos: Demos, path: Source) -> str:
    """Table of text about validated demonstrations; `path` is its title."""
    table = Table(title=os.fspath(path), show_header=False, title_justify="left")
    for name, value in _rows(demos):
        table.add_row(name, value)
    # a fixed width keeps the text the same in terminals, pipes and logs
    text = io.StringIO()
    console = Console(file=text, width=100, highlight=False, markup=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _rows(demos: Demos) -> list[tuple[str, str]]:
    returns, lengths = demos.episode_returns, demos.episode_lengths
    terminated = int(demos.terminals.sum())
    obs = demos.observations
    return [
        ("environment", str(demos.metadata.get("env", "unknown"))),
        ("policy", str(demos.metadata.get("policy", "unknown"))),
        ("episodes", f"{demos.num_episodes}"),
        ("steps", f"{len(demos)}"),
        ("observations", f"{obs.dtype} {list(obs.shape[1:])}, range {obs.min():.4g} .. {obs.max():.4g}"),
        *([("directions", _direction_text(obs))] if obs.dtype.kind == "f" and obs.ndim == 2 else []),
        ("actions", _action_text(demos.actions)),
        ("return", f"{_spread(returns)} (true reward)"),
        ("length", f"{_spread(lengths)} steps"),
        ("ends", f"{terminated} terminated, {demos.num_episodes - terminated} truncated"),
        ("digest", demos.digest),
        *(("conversion", _pairs(record)) for record in demos.metadata.get("conversion", [])),
    ]


def _direction_text(obs: np.ndarray) -> str:
    """How unlike the directions are in which standardised observations vary; narrow ones are learned late."""
    varied = obs[:, obs.std(axis=0) > MIN_STD].astype(np.float64)
    if not varied.size:
        return "none vary"
    variances = np.linalg.eigvalsh(np.atleast_2d(np.corrcoef(varied, rowvar=False)))  # ascending
    deviations = np.sqrt(
        variances[variances > MIN_STD**2]
    )  # narrower ones are relations; they stay as they are
    narrow, wide = deviations[0], deviations[-1]
    hint = "; --config.whiten=True scales them alike" if wide > UNLIKE * narrow else ""
    return f"standardised, deviate by {narrow:.2g} .. {wide:.2g}{hint}"


def _action_text(actions: np.ndarray | None) -> str:
    if actions is None:
        return "none"
    if actions.dtype.kind != "f":
        values, counts = np.unique(actions, return_counts=True)
        shares = ", ".join(
            f"{v}: {c / len(actions):.1%}" for v, c in zip(values[:20], counts[:20], strict=True)
        )
        return f"discrete, {len(values)} seen ({shares}{', ...' if len(values) > 20 else ''})"
    # likelihoods of a squashed policy are infinite at the bounds, so their share matters
    edge = ((actions == actions.min(0)) | (actions == actions.max(0))).mean()
    extent = f"{actions.min():.4g} .. {actions.max():.4g}"
    return (
        f"continuous [{actions.shape[1]}], range {extent}, {edge:.1%} of entries at the ends of their range"
    )


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.1f} ± {values.std():.1f} ({values.min():.1f} .. {values.max():.1f})"


def _pairs(record: Any) -> str:
    if not isinstance(record, dict):
        return str(record)
    return "\n".join(f"{key}: {value}" for key, value in record.items() if value is not None)


def env_spec(env_id: str, backend: str = "gymnasium") -> EnvSpec:
    """Spaces of an environment; it is made once, neither stepped nor drawn.

    Raises:
      InputError: unknown id or backend, a missing package, or unusable spaces.
    """
    # imported here: a look at a file must not pay for physics engines
    from iqlearn_jax.envs import is_host, make_env
    from iqlearn_jax.envs.gymnasium import make_single, read_spec

    if not is_host(backend):
        return make_env(env_id, backend).spec
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an older version is a choice: the file is of that version
        env = make_single(env_id)
    try:
        return read_spec(env_id, env)
    finally:
        env.close()


def _run_inspect(argv: list[str]) -> int:
    parser = _Parser("iqlearn demos inspect", description=COMMANDS["inspect"].help)
    _add_file(parser)
    args = parser.parse_args(argv)
    print(inspect(args.file, args.observation_only))
    return 0


def _run_validate(argv: list[str]) -> int:
    parser = _Parser("iqlearn demos validate", description=COMMANDS["validate"].help)
    _add_file(parser)
    _add_env(parser)
    args = parser.parse_args(argv)
    demos = load(args.file, _spec(args), args.observation_only)
    fits = f", fits {args.env}" if args.env else ""
    print(f"ok: {args.file}: {demos.num_episodes} episodes, {len(demos)} steps{fits}, digest {demos.digest}")
    return 0


def _run_convert(argv: list[str]) -> int:
    parser = _Parser("iqlearn demos convert", description=COMMANDS["convert"].help)
    parser.add_argument("source", help="npz, the authors' pickle, or the folder of a Minari data set")
    parser.add_argument("target", help="npz to write")
    _add_env(parser)
    parser.add_argument("--policy", help="who acted, for the metadata")
    parser.add_argument("--clip-actions", action="store_true", help="clip actions to the bounds of --env")
    parser.add_argument("--max-episode-steps", type=int, help="pickles: a done at this step is a truncation")
    parser.add_argument("--max-episodes", type=int, help="keep only so many episodes, from the first")
    args = parser.parse_args(argv)
    spec = _spec(args)
    demos = convert(
        args.source,
        spec=spec,
        clip_actions=args.clip_actions,
        max_episode_steps=args.max_episode_steps,
        max_episodes=args.max_episodes,
        policy=args.policy,
    )
    saved = save(args.target, demos)
    print(describe(saved, args.target))
    _warn_of_limits(saved, spec, args.max_episode_steps)
    return 0


def _run_record(argv: list[str]) -> int:
    parser = _Parser("iqlearn demos record", description=COMMANDS["record"].help)
    parser.add_argument("--workdir", required=True, type=Path, help="folder of a trained run")
    parser.add_argument("--out", required=True, type=Path, help="npz to write")
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--run", type=int, default=0, help="which of the folder's runs acts (0: the first)")
    parser.add_argument("--stochastic", action="store_true", help="draw actions instead of the likeliest")
    add_moment(parser)
    args = parser.parse_args(argv)
    # imported here: a look at a file must not pay for jax
    from iqlearn_jax.sweep.record import record_demos

    demos = record_demos(args.workdir, args.run, args.episodes, args.stochastic, args.at)
    print(describe(save(args.out, demos), args.out))
    return 0


def _warn_of_limits(demos: Demos, spec: EnvSpec | None, max_episode_steps: int | None) -> None:
    """Old recordings mark the time limit as done, which would teach that the task ends there."""
    if spec is None or max_episode_steps is not None:
        return
    ends = demos.episode_starts + demos.episode_lengths - 1
    at_limit = int((demos.terminals[ends] & (demos.episode_lengths == spec.max_episode_steps)).sum())
    if at_limit:
        print(
            f"warning: {at_limit} of {demos.num_episodes} episodes terminate exactly at the time limit of "
            f"{spec.id}; if that was the clock, convert with --max-episode-steps {spec.max_episode_steps}",
            file=sys.stderr,
        )


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file")
    parser.add_argument("--observation-only", action="store_true", help="the file may lack actions")


def _add_env(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", help="environment whose spaces the file must fit, e.g. Hopper-v5")
    parser.add_argument("--backend", default="gymnasium", help="where --env is found (default: gymnasium)")


def _spec(args: argparse.Namespace) -> EnvSpec | None:
    return env_spec(args.env, args.backend) if args.env else None


# A further subcommand is one more entry.
COMMANDS: dict[str, Command] = {
    "inspect": Command("show what is in a demonstration file", _run_inspect),
    "validate": Command("check a demonstration file, and whether it fits an environment", _run_validate),
    "record": Command("roll out the policy of a trained run", _run_record),
    "convert": Command("bring foreign demonstrations into the format", _run_convert),
}


def main(argv: list[str]) -> int:
    """Runs `iqlearn demos ARGV`.

    Args:
      argv: subcommand and its arguments.
    Returns:
      exit code: 0, or 2 after one line of error on stderr.
    """
    try:
        if not argv or argv[0] in ("-h", "--help"):
            return _usage(sys.stdout if argv else sys.stderr, code=0 if argv else 2)
        if argv[0] not in COMMANDS:
            raise InputError(f"unknown demos command '{argv[0]}'; known: {', '.join(COMMANDS)}")
        return COMMANDS[argv[0]].run(argv[1:])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except SystemExit as stop:  # argparse leaves this way after --help
        return int(stop.code or 0)


def _usage(stream: Any, code: int) -> int:
    print("usage: iqlearn demos COMMAND ...", file=stream)
    for name, command in COMMANDS.items():
        print(f"  {name:10} {command.help}", file=stream)
    return code
