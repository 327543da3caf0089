"""Errors that a user can mend."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that cannot be used; the command line prints it in one line and exits with code 2.

    The message names the field, the value found, what was expected and the remedy.
    """


class StorageError(InputError):
    """A disk that cannot be written (full, quota, limit); what was saved before is still whole."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Error for a name that is in no catalogue, listing the near ones (or all, when none is near)."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known)}"
    return InputError(f"unknown {kind} '{name}'; {hint}")
