"""Files on a disk that anything may have written to: opened only where they are files, read with one line
for whatever is wrong with them, and written whole or not at all.

This is the one opener of npz files: demonstrations, rewards, policies, statistics of observations. Nothing is
unpickled, and nothing is unpacked that the size of the file does not account for: a zip archive says how
large its members are, each member how large its array is, and all of it is compared first.
"""

import hashlib
import json
import math
import os
import secrets
import stat
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.errors import InputError

MOST_UNPACKED = 256  # bytes in memory for each byte of the file; images compress by less than 100
ALWAYS = 2**26  # bytes that may be unpacked of any file
SEAL = "digest"  # member with the digest of all others
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
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


class Unreadable(ValueError):
    """Why an npz file cannot be read: what was expected where, what was found, what helps."""

    def __init__(self, place: str, expected: str, found: str, remedy: str):
        super().__init__(f"{place}: expected {expected}, found {found}")
        self.place, self.expected, self.found, self.remedy = place, expected, found, remedy


def read_npz(path: str | os.PathLike, keys: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an npz file.

    Args:
      path: file to read.
      keys: the arrays wanted; those that the file lacks are left out. None reads all.
    Raises:
      Unreadable: no such file, not an npz, damaged, larger than its size allows, or an object array.
    """
    try:
        with open_file(path) as stream, _archive(stream) as archive:
            return _read_members(archive, keys, os.fstat(stream.fileno()).st_size)
    except Unreadable:
        raise
    except OSError as error:
        raise Unreadable("file", "a readable npz file", reason(error), "check the path") from error
    except Exception as error:  # foreign bytes can make zipfile raise anything
        raise _damaged("file", error) from error


def _archive(stream: Any) -> zipfile.ZipFile:
    magic = stream.read(4)
    stream.seek(0)
    if not magic.startswith(b"PK"):
        remedy = "'iqlearn demos convert SRC DST' reads HDF5, pickles, npy, CSV, Minari and LeRobot"
        raise Unreadable("file", "an npz file (a zip archive)", f"the first bytes {magic!r}", remedy)
    return zipfile.ZipFile(stream)


def _read_members(archive: zipfile.ZipFile, keys: Iterable[str] | None, size: int) -> dict[str, np.ndarray]:
    members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    if keys is not None:
        members = {name: member for name, member in members.items() if name in set(keys)}
    check_sizes(members.values(), size)
    return {name: _read_member(archive, member, name) for name, member in members.items()}


def array_names(path: str | os.PathLike) -> list[str]:
    """The names of all arrays in an npz file.

    Raises:
      Unreadable, OSError: as `read_npz`.
    """
    with open_file(path) as stream, _archive(stream) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def check_sizes(members: Collection[zipfile.ZipInfo], size: int) -> None:
    """Refuses members that declare more than a file of `size` bytes accounts for.

    Raises:
      Unreadable: they do.
    """
    packed = sum(member.compress_size for member in members)
    unpacked = sum(member.file_size for member in members)
    most = MOST_UNPACKED * size + ALWAYS
    if packed > size or unpacked > most:
        found = f"{unpacked} declared in a file of {size}"
        remedy = (
            "do not trust this file; arrays of your own fit if numpy.savez, without compression, writes them"
        )
        raise Unreadable("file", f"at most {most} bytes of arrays", found, remedy)


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> np.ndarray:
    try:
        with archive.open(member) as stream:
            _check_header(stream, member.file_size, name)
        with archive.open(member) as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
            stream.read(1)  # past the end: only there zipfile compares the checksum
            return array
    except Unreadable:
        raise
    except Exception as error:  # as above
        raise _damaged(name, error) from error


def _check_header(stream: Any, size: int, name: str) -> None:
    """Refuses a member that is no plain array of exactly the bytes that the archive declares."""
    other = Unreadable(name, "an array in npy format", "other bytes", "write the file again with numpy.savez")
    if size < 10:  # less than any header
        raise other
    magic = stream.read(8)
    if magic[:6] != b"\x93NUMPY" or tuple(magic[6:]) not in HEADERS:
        raise other
    shape, _, dtype = HEADERS[tuple(magic[6:])](stream)
    if dtype.hasobject:
        remedy = (
            "store plain numeric arrays: object arrays hold pickles, which can run code, and are never read"
        )
        raise Unreadable(name, "a plain array", "an object array", remedy)
    declared = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or declared != size - stream.tell():
        found = f"{dtype} {list(shape)} in {size - stream.tell()} bytes"
        raise Unreadable(name, f"{declared} bytes", found, "copy or record it again")


def _damaged(place: str, error: Exception) -> Unreadable:
    said = "not a zip archive" if isinstance(error, zipfile.BadZipFile) else reason(error)
    return Unreadable(place, "a whole npz file", f"damaged data ({said})", "copy or record it again")


def hash_arrays(arrays: Mapping[str, Any]) -> "hashlib._Hash":
    """SHA-256 over name, dtype, shape and bytes of every array, in the order given; None is passed over."""
    sha = hashlib.sha256()
    for name, array in arrays.items():
        if array is not None:
            sha.update(f"{name} {array.dtype.str} {array.shape};".encode())
            whole = np.ascontiguousarray(array)
            sha.update(
                whole.data if whole.dtype.kind in "biuf" else whole.tobytes()
            )  # text has no plain buffer
    return sha


def sealed(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of a file of ours with one more, which tells `unsealed` whether they changed."""
    whole = {name: np.asarray(array) for name, array in arrays.items()}
    return whole | {SEAL: np.array(digest_of(whole))}


def unsealed(arrays: Mapping[str, np.ndarray], required: bool) -> dict[str, np.ndarray]:
    """The arrays that `sealed` was given.

    Args:
      required: refuses arrays without a seal; those of earlier versions have none.
    Raises:
      Unreadable: they are others.
    """
    rest = {name: array for name, array in arrays.items() if name != SEAL}
    found, stated = digest_of(rest), str(arrays.get(SEAL, "" if required else digest_of(rest)))
    if found != stated:
        raise Unreadable(SEAL, stated[:12] or "one", f"{found[:12]} of what is there", "restore the file")
    return rest


def digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """What identifies arrays by name (hex), whatever their order in a file."""
    return hash_arrays(dict(sorted(arrays.items()))).hexdigest()
