"""Errors that a user can mend."""

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class InputError(ValueError):
    """Input that cannot be used; the command line prints it in one line and exits with code 2.

    The message names the field, the value found, what was expected and the remedy.
    """


class StorageError(InputError):
    """A disk that cannot be written (full, quota, limit); what was saved before is still whole."""


def in_python(function: F) -> F:
    """The function with errors whose remedies are arguments in Python, not on the command line.

    Messages are written for the command line (`--config.feed=replay`, `--workdir=run`).
    """

    @functools.wraps(function)
    def translated(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except InputError as error:
            error.args = (re.sub(r"--(?:config\.)?([a-z_.]+)", _argument, str(error)),)
            raise

    return translated  # type: ignore[return-value]


def _argument(flag: re.Match[str]) -> str:
    """`--config.online.capacity` -> `online__capacity`; what has no argument stays, as the command it is."""
    name = flag[1].rstrip(".")
    if flag[0].startswith("--config."):
        return name.replace(".", "__") + flag[1][len(name) :]
    return name if name in ("workdir", "demos", "at") else flag[0]


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Error for a name that is in no catalogue, listing the near ones (or all, when none is near)."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known)}"
    return InputError(f"unknown {kind} '{name}'; {hint}")


class Catalogue(dict[str, T]):
    """Things by name; one that is not there is an error that lists the near ones."""

    def __init__(self, kind: str, entries: Mapping[str, T]):
        """Begins with `entries`; `kind` is what messages call one of them."""
        super().__init__(entries)
        self.kind = kind

    def __missing__(self, name: str) -> T:
        raise unknown(self.kind, name, self)

    def register(self, name: str, entry: T) -> None:
        """Adds an entry, or replaces one that was registered before (a notebook's cell that runs again)."""
        self[name] = entry
