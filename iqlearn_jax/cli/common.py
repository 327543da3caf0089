"""What the commands share: parsers with errors in one line, exit codes, options that several of them have.

Imports nothing that takes time: `iqlearn --help` and shell completion read it.
"""

import argparse
import functools
import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from iqlearn_jax.cli.text import pairs, terminal_width, wrapped
from iqlearn_jax.errors import InputError, printable, unknown

if TYPE_CHECKING:
    from ml_collections import ConfigDict

OVERRIDES = "overrides: --config.KEY=VALUE, e.g. --config.gamma=0.95 --config.hidden=(64,)"
REFUSED = 2  # what cannot be used or written
INTERRUPTED = 130  # what shells expect after Ctrl-C
PREEMPTED = 75  # EX_TEMPFAIL: saved after SIGTERM; schedulers may start the command again with --resume


class _Stderr(logging.Handler):
    """Writes to whatever `sys.stderr` is at that time, as progress bars and notebooks replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one line."""
        print(printable(f"{record.levelname.lower()}: {record.getMessage()}"), file=sys.stderr)


class HelpShown(SystemExit):
    """--help has been printed."""


class Parser(argparse.ArgumentParser):
    """argparse with the project's errors in one line, and options that must be written out."""

    def __init__(self, prog: str, **more: Any) -> None:
        """An epilog may be a function, which is called where help is asked for."""
        self._epilog = more.pop("epilog", None)
        super().__init__(
            prog, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **more
        )

    def format_help(self) -> str:
        """The help, its description wrapped as wide as the terminal is."""
        self.description = "\n".join(wrapped(" ".join((self.description or "").split()), terminal_width()))
        self.epilog = self._epilog() if callable(self._epilog) else self._epilog
        return super().format_help()

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Ends the command after --help, in a way that no other exit looks like."""
        raise HelpShown(status)

    def error(self, message: str) -> NoReturn:
        """Raises InputError instead of printing the usage and leaving the program."""
        raise InputError(f"{message}; see '{self.prog} --help'")


class Subcommand(NamedTuple):
    """One command of a group such as `iqlearn demos`: a line of help, and what runs its arguments."""

    help: str
    run: Callable[[list[str]], int]


def run_group(group: str, commands: Mapping[str, Subcommand], arguments: Sequence[str]) -> int:
    """Runs one of a group's commands, or names them all.

    Args:
      group: what precedes a command's name, e.g. "demos".
      arguments: its name and its own arguments.
    Returns:
      exit code.
    Raises:
      InputError: an unknown command, or whatever the command refuses.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        helps = {name: command.help for name, command in commands.items()}
        print(usage(f"iqlearn {group}", helps), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else REFUSED
    if arguments[0] not in commands:
        raise unknown(f"{group} command", arguments[0], commands)
    return commands[arguments[0]].run(list(arguments[1:]))


def usage(program: str, helps: Mapping[str, str]) -> str:
    """The usage of a program with commands, and what each of them does."""
    return f"usage: {program} COMMAND ...\n{pairs(list(helps.items()))}"


def add_at(parser: argparse.ArgumentParser) -> None:
    """The option --at of everything that reads a trained folder; `iqlearn_jax.trained` reads its value."""
    meaning = "final (the default), likeness (the first snapshot like the demonstrations), or updates of one"
    parser.add_argument("--at", default="final", help=meaning)


def add_workdir(parser: argparse.ArgumentParser, meaning: str = "folder of a trained run") -> None:
    """The option --workdir of everything that cannot do without a folder."""
    parser.add_argument("--workdir", required=True, type=Path, metavar="DIR", help=meaning)


def add_import(parser: argparse.ArgumentParser) -> None:
    """The option --import; its values are `options.modules`."""
    meaning = "Python file or module that registers environments or methods; repeatable"
    parser.add_argument(
        "--import", action="append", default=[], dest="modules", metavar="MODULE", help=meaning
    )


@functools.cache
def several_hosts() -> argparse.ArgumentParser:
    """Parent parser with the flags of several processes, which `iqlearn_jax.devices.hosts.join` reads.

    All processes get the same flags but --process-id.
    """
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("several hosts (docs/devices.md)")
    group.add_argument("--distributed", action="store_true", help="join the other processes")
    group.add_argument("--coordinator", help="ADDRESS:PORT of process 0; TPUs, SLURM and MPI know it")
    group.add_argument("--processes", type=int, help="number of processes")
    group.add_argument("--process-id", type=int, help="0 to processes - 1")
    group.add_argument("--heartbeat", type=int, default=100, help="seconds after which a silent one is lost")
    return parser


def one_line(error: InputError) -> int:
    """Prints an error in one line on standard error; returns the exit code."""
    print(printable(f"error: {' '.join(str(error).split())}"), file=sys.stderr)
    return REFUSED


def say_stopped(number: int, command: str) -> int:
    """Says how to go on after a signal; returns the exit code."""
    print(f"\nstopped and saved; go on with: {command}")
    return PREEMPTED if number == signal.SIGTERM else INTERRUPTED


def add_settings(parser: argparse.ArgumentParser, config_required: bool) -> None:
    """The options that make a configuration, beside overrides."""
    parser.add_argument(
        "--config",
        required=config_required,
        metavar="NAME",
        help="cartpole:offline (iqlearn list configs), or FILE.py:NAME",
    )
    parser.add_argument("--demos", metavar="FILE", help="demonstrations, the same as --config.demos.path")
    parser.add_argument("--data", metavar="FILE", help="other transitions beside them, as --config.data.path")
    parser.add_argument(
        "--init-from", metavar="DIR", help="start from a run's networks, as --config.init_from"
    )
    add_import(parser)


def make_config(options: argparse.Namespace, overrides: Sequence[str]) -> tuple["ConfigDict", list[str]]:
    """The configuration of --config, or of the folder that goes on, with everything that was set on purpose.

    Args:
      options: of `add_settings`, and `workdir`, whose configuration is taken where --config is not given.
      overrides: `--config.key=value` arguments.
    Returns:
      the configuration and the keys that were set on purpose.
    Raises:
      InputError: an unknown config, key or module, or a value of another type.
    """
    from iqlearn_jax.config.files import import_modules, load_config
    from iqlearn_jax.config.values import assign, override
    from iqlearn_jax.runs.folder import stored_config

    modules = import_modules(options.modules)  # first: a configuration may name what they register
    config = load_config(options.config) if options.config else stored_config(options.workdir)
    names = []
    files = {"demos.path": options.demos, "data.path": options.data, "init_from": options.init_from}
    for name, value in files.items():
        if value is not None:
            assign(config, name, value)
            names.append(name)
    names += override(config, overrides)
    if modules:
        config.imports = tuple(dict.fromkeys((*config.imports, *modules)))
    return config, names


def join_hosts(options: argparse.Namespace) -> None:
    """Joins the other processes where one of the flags of `several_hosts` asks for it."""
    if options.distributed or any((options.coordinator, options.processes, options.process_id is not None)):
        from iqlearn_jax.devices.hosts import join

        join(options)


def print_diagnostics() -> None:
    """Prints our warnings as one line each on standard error, once; for programs, not for libraries."""
    from absl import logging as absl_logging

    logger = absl_logging.get_absl_logger()
    if not any(isinstance(handler, _Stderr) for handler in logger.handlers):
        logger.addHandler(_Stderr())
    logger.propagate = False
