"""The command line: `iqlearn COMMAND ...`; `iqlearn_jax.cli.commands` has the table of commands."""

import io
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import iqlearn_jax
from iqlearn_jax.cli.commands import COMMANDS, helps
from iqlearn_jax.cli.common import INTERRUPTED, REFUSED, HelpShown, one_line, print_diagnostics, usage
from iqlearn_jax.errors import InputError

CLOSED = 141  # 128 + SIGPIPE, as of any program whose reader went away
SPREAD = ("train", "sweep", "evaluate")  # what is worth a device for each core
HELP_FLAGS = ("-h", "--help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; by default the program's own, with a device for each core of a CPU.

    Returns:
      0; 2 for what cannot be used or written, and for what nobody foresaw; 130 after Ctrl-C, 75 after
      SIGTERM; 141 where nobody reads the output any longer.
    """
    as_program = arguments is None
    if as_program:
        _print_anything()
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments), as_program)
        sys.stdout.flush()  # a closed pipe is noticed here at the latest, not when the interpreter ends
        return code
    except BrokenPipeError:
        _drop_output()
        return CLOSED


def _run(arguments: list[str], as_program: bool) -> int:
    if not arguments or arguments[0] in HELP_FLAGS:
        print(usage("iqlearn", helps() | {"--version": "what is installed"}))
        return 0 if arguments else REFUSED
    if arguments[0] == "--version":
        print(versions())
        return 0
    try:
        return _run_command(arguments[0], arguments[1:], as_program)
    except HelpShown:
        return 0
    except InputError as error:
        return one_line(error)
    except KeyboardInterrupt:
        print("stopped; nothing new was saved since the last checkpoint", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except (Exception, SystemExit) as error:  # the one place for what nobody foresaw
        from iqlearn_jax.cli.unforeseen import as_input_error

        return one_line(as_input_error(error, arguments))


def _run_command(name: str, arguments: list[str], as_program: bool) -> int:
    module = import_module(COMMANDS[name])
    print_diagnostics()
    if as_program and name in SPREAD and not set(HELP_FLAGS) & set(arguments):
        from iqlearn_jax.devices.placement import one_device_per_core

        one_device_per_core()
    return module.main(arguments)


def versions() -> str:
    """The versions of this library, of jax and of Python, in a line."""
    try:
        jax = version("jax")
    except PackageNotFoundError:
        jax = "missing"
    return f"iqlearn_jax {iqlearn_jax.__version__} (jax {jax}, Python {platform.python_version()})"


def _print_anything() -> None:
    """Terminals that know ASCII only get ± as \\xb1 instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Sends what is still to be written nowhere, so that the interpreter ends without a complaint."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a stream without a file of its own
            os.dup2(nowhere, stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
