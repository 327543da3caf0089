"""What nobody foresaw, as a line for people and a file with everything for a report."""

import os
import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence

from iqlearn_jax.errors import InputError

LONGEST = 300  # characters of what a library says
NO_DEVICE = ("Unable to initialize backend", "Unknown backend")  # how jax says it
REPORT = "please report it with this file"


def as_input_error(error: BaseException, arguments: Sequence[str]) -> InputError:
    """The error as one line: what a user can mend as such, else where the whole story is.

    Args:
      error: whatever ended the command.
      arguments: of the command line.
    """
    said = " ".join(str(error).split())[:LONGEST]
    if isinstance(error, OSError) and error.strerror:
        places = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
        return InputError(
            f"{places or 'the system'}: {error.strerror}; check path, permissions and room there"
        )
    if any(words in said for words in NO_DEVICE):
        chosen = os.environ.get("JAX_PLATFORMS", "")
        return InputError(
            f"JAX_PLATFORMS is {chosen!r}, but jax cannot use that here ({said}); unset it, or install what "
            "it needs: pip install 'iqlearn_jax[cuda]'"
        )
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in said:
        return InputError(
            f"out of memory ({said or 'MemoryError'}); fewer --config.seeds or a smaller "
            "--config.online.capacity take less"
        )
    if isinstance(error, SystemExit):
        said = f"something called exit({error.code!r})"
    name = type(error).__name__
    return InputError(f"unforeseen {name}: {said}; {_keep(error, arguments)}")


def _keep(error: BaseException, arguments: Sequence[str]) -> str:
    """Writes the whole story to a file; says where, or on standard error where no file can be written."""
    story = "\n".join(
        (
            f"iqlearn {shlex.join(arguments)}",
            f"Python {platform.python_version()} on {platform.platform()}",
            *_versions(),
            "".join(traceback.format_exception(error)),
        )
    )
    try:
        handle, path = tempfile.mkstemp(prefix="iqlearn-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(story)
    except OSError:
        print(story, file=sys.stderr)
        return "please report it with the lines above"
    return f"{REPORT}: {path}"


def _versions() -> list[str]:
    from importlib.metadata import PackageNotFoundError, version

    lines = []
    for name in ("iqlearn_jax", "jax", "jaxlib", "flax", "numpy", "orbax-checkpoint", "gymnasium"):
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name} is missing")
    return lines
