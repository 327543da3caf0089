"""Files on a disk that anything may have written to: opened only where they are files, read with one line
for whatever is wrong with them, and written whole or not at all.
"""

import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from iqlearn_jax.errors import InputError

RESTORE = "restore it or start a new folder"
KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def other_kind(path: str | os.PathLike) -> str | None:
    """What a path names in place of a file, e.g. "a pipe"; None for a file, or where nothing is.

    A pipe would be waited for, a device read for ever; a device that is replaced is gone.

    Raises:
      OSError, ValueError: the path cannot be looked up.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    return None if stat.S_ISREG(mode) else KINDS.get(stat.S_IFMT(mode), "no file")


@contextmanager
def open_file(path: str | os.PathLike) -> Iterator[Any]:
    """As open(path, "rb"), of files only.

    Raises:
      OSError: there is none, or another kind of thing.
    """
    try:
        kind = other_kind(path)
    except ValueError as error:  # a zero byte in the name
        raise OSError(str(error)) from error
    if kind is not None:
        raise IsADirectoryError(0, f"it is {kind}, not a file", os.fspath(path))
    with open(path, "rb") as stream:
        yield stream


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, which then takes the place of `path` at once.

    Raises:
      InputError: `path` is a device, a pipe or a folder.
      OSError: whatever the system refuses; what was there before is whole.
    """
    kind = other_kind(path)
    if kind is not None:
        raise InputError(f"{path} is {kind}; name a file to write")
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def reason(error: BaseException, most: int = 120) -> str:
    """Why a file cannot be used, in a few words."""
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return " ".join(f"{type(error).__name__}: {error}".split())[:most]


@contextmanager
def interpreting(path: Path, remedy: str = RESTORE) -> Iterator[None]:
    """Whatever goes wrong while the content of a file is read or taken apart is the file's fault.

    Raises:
      InputError: one line.
    """
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError) as error:
        raise damaged(path, error, remedy) from error
    except RecursionError as error:
        raise damaged(path, "nested too deeply", remedy) from error


def damaged(path: str | os.PathLike, why: BaseException | str, remedy: str = RESTORE) -> InputError:
    """The error of a file of ours that is missing or no longer what was written."""
    said = why if isinstance(why, str) else reason(why)
    return InputError(f"{os.fspath(path)}: missing or damaged ({said}); {remedy}")


def read_json(path: Path, remedy: str = RESTORE) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
      InputError: it is missing, no file, not JSON, or another value than an object.
    """
    with interpreting(path, remedy), open_file(path) as stream:
        content = json.loads(stream.read())
        if not isinstance(content, dict):
            raise ValueError(f"expected a JSON object, found a {type(content).__name__}")
        return content


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one in each line, without a last one that a crash cut off.

    None where there is no file.

    Raises:
      InputError: a line is no JSON object.
    """
    if not path.exists():
        return []
    with interpreting(path), open_file(path) as stream:
        lines = stream.read().split(b"\n")
    rows = [_row(path, number, line, last=number == len(lines)) for number, line in enumerate(lines, 1)]
    return [row for row in rows if row]


def _row(path: Path, number: int, line: bytes, last: bool) -> dict[str, Any]:
    try:
        row = json.loads(line) if line.strip() else {}
        if not isinstance(row, dict):
            raise ValueError(f"it is a {type(row).__name__}")
    except (ValueError, RecursionError) as error:
        if last:
            return {}
        raise InputError(f"{path}: line {number} is not JSON ({reason(error)}); remove it") from error
    return row
