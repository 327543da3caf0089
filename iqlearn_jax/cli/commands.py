"""The commands of `iqlearn` and the modules that hold them, imported when they are asked for.

Each module has `HELP`, a line, and `main(arguments) -> exit code`, and imports what takes time inside `main`.
Groups of commands also have `COMMANDS`, their subcommands by name.
"""

from importlib import import_module
from typing import Any

from iqlearn_jax.errors import Catalogue

COMMANDS: Catalogue[str] = Catalogue(
    "command",
    {
        name: f"iqlearn_jax.cli.{name}"
        for name in (
            "train",
            "sweep",
            "evaluate",
            "doctor",
            "demos",
            "reward",
            "policy",
            "report",
            "list",
            "completion",
        )
    },
)


def command(name: str) -> Any:
    """The module of a command.

    Raises:
      InputError: no such command.
    """
    return import_module(COMMANDS[name])


def helps() -> dict[str, str]:
    """The line of help of every command."""
    return {name: command(name).HELP for name in COMMANDS}
