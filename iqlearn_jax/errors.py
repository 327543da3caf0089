"""Errors that a user can mend."""

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
CONTROL = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode: control, direction of text, half characters, other breaks


class InputError(ValueError):
    """Input that cannot be used; the command line prints it in one line and exits with code 2.

    The message names the field, the value found, what was expected and the remedy.
    """


class StorageError(InputError):
    """A disk that cannot be written (full, quota, limit); what was saved before is still whole."""


class SimulatorError(InputError):
    """An environment that raised, ended the program or did not come back; names it, the step and its words.

    Attributes:
      run: the state of training at that step, where there is one.
    """

    run: Any = None


def printable(text: str) -> str:
    """The text with control characters written out, but for tabs and line breaks.

    Names and metadata of foreign files may hold some that move the cursor or write to the clipboard.
    """
    return "".join(
        x if x in "\n\t" or unicodedata.category(x) not in CONTROL else repr(x)[1:-1] for x in text
    )


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
