"""What the commands share: parsers with errors in one line, exit codes, options that several of them have.

Imports nothing that takes time: `iqlearn --help` and shell completion read it.
"""

import argparse
import functools
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from iqlearn_jax.cli.text import pairs, terminal_width, wrapped
from iqlearn_jax.errors import InputError, unknown

REFUSED = 2  # what cannot be used or written
INTERRUPTED = 130  # what shells expect after Ctrl-C
PREEMPTED = 75  # EX_TEMPFAIL: saved after SIGTERM; schedulers may start the command again with --resume


class Parser(argparse.ArgumentParser):
    """argparse with the project's errors in one line, and options that must be written out."""

    def __init__(self, prog: str, description: str, **more: Any) -> None:
        """The description is wrapped; an epilog stays as it is."""
        lines = wrapped(" ".join(description.split()), terminal_width())
        kept = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, description="\n".join(lines), formatter_class=kept, allow_abbrev=False, **more)

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
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return REFUSED


def say_stopped(number: int, command: str) -> int:
    """Says how to go on after a signal; returns the exit code."""
    print(f"\nstopped and saved; go on with: {command}")
    return PREEMPTED if number == signal.SIGTERM else INTERRUPTED
