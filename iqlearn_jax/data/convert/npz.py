"""npz files, member by member and row by row; nothing is ever unpickled."""

import os
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import IO, Any

import numpy as np

from iqlearn_jax.data.checks import FIELDS, Source, problem
from iqlearn_jax.data.convert.columns import Recording, is_column, read_header, reading
from iqlearn_jax.data.convert.frames import frames_to_arrays
from iqlearn_jax.data.demos import parse_metadata, read_arrays
from iqlearn_jax.disk import Unreadable, check_sizes, open_file

OBJECTS = "an object array, which holds a pickle, can run code and is never read"
PIECE = 1 << 20  # bytes read at once


class Member:
    """An array of an npz file, of which only the rows asked for are held in memory.

    Rows are read on from where the last ones ended; those before mean starting again.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str):
        """Reads the header."""
        self._archive, self._name = archive, f"{name}.npy"
        self._stream: IO[bytes] | None = None
        self._row = 0
        with archive.open(self._name) as stream:
            self.shape, self._fortran, self.dtype = read_header(stream)
        self._row_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        stored = archive.getinfo(self._name).file_size
        if not self.dtype.hasobject and self._row_bytes * (self.shape or (1,))[0] > stored:
            raise ValueError(f"{name} declares {self.shape} and holds {stored} bytes")

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Those rows."""
        if self._fortran and len(self.shape) > 1:
            return self._whole()[rows]
        start, stop, _ = rows.indices(self.shape[0])
        self._go_to(start)
        assert self._stream is not None  # `_go_to`
        array = np.empty((stop - start, *self.shape[1:]), self.dtype)
        buffer = array.reshape(-1).view(np.uint8).data
        for done in range(0, len(buffer), PIECE):
            piece = buffer[done : done + PIECE]
            piece[:] = _exactly(self._stream, len(piece))
        self._row = stop
        return array

    def _whole(self) -> np.ndarray:
        with self._archive.open(self._name) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    def _go_to(self, row: int) -> None:
        if self._stream is None or row < self._row:
            self.close()
            self._stream, self._row = self._archive.open(self._name), 0
            read_header(self._stream)
        over = (row - self._row) * self._row_bytes
        while over:
            over -= len(_exactly(self._stream, min(over, PIECE)))

    def close(self) -> None:
        """Lets go of the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("fewer bytes than its header declares")
    return data


@contextmanager
def open_npz(path: Source, max_episodes: int | None = None) -> Iterator[Recording]:
    """An npz file of any keys.

    `frames` are unfolded as `frames_to_arrays` says, and `imitation`'s trajectories, which have `indices` of
    episodes and a `terminal` for each, get ends. Object arrays are no columns.

    Raises:
      InputError: not an npz, or damaged.
    """
    with ExitStack() as stack:
        stack.enter_context(reading(path, "npz file"))
        file = stack.enter_context(open_file(path))
        archive = stack.enter_context(zipfile.ZipFile(file))
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        if not names and any(name.endswith("data.pkl") for name in archive.namelist()):
            remedy = "load it with torch where you trust it, and save its arrays with numpy.savez"
            raise problem(path, "file", "an npz file", "a PyTorch file, which holds a pickle", remedy)
        if "frames" in names:
            yield _frames(path, max_episodes)
            return
        try:
            check_sizes(archive.infolist(), os.fstat(file.fileno()).st_size)
        except Unreadable as error:
            raise problem(path, error.place, error.expected, error.found, error.remedy) from error
        members = {name: stack.enter_context(closing(Member(archive, name))) for name in names}
        yield _recording(members, path)


def _frames(path: Source, max_episodes: int | None) -> Recording:
    # an object array elsewhere in the file must not matter, so only the known keys are read
    arrays = read_arrays(path, ("frames", "episode_frame_start", "episode_lengths", *FIELDS))
    unfolded = frames_to_arrays(arrays, max_episodes, source=path)
    return Recording("frames", dict(unfolded), notes={"stack": 4})


def _recording(members: dict[str, Member], path: Source) -> Recording:
    columns: dict[str, Any] = {name: member for name, member in members.items() if is_column(member)}
    unread = {
        name: f"{member.dtype} {list(member.shape)}" if not member.dtype.hasobject else OBJECTS
        for name, member in members.items()
        if name not in columns
    }
    metadata = parse_metadata(read_arrays(path, ("metadata",)).get("metadata"), path)
    recording = Recording("npz", columns, unread=unread, metadata=metadata)
    if {"obs", "acts", "indices", "terminal"} <= columns.keys():
        _imitation(recording)
    return recording


def _imitation(recording: Recording) -> None:
    """`indices`: the first step of every episode but the first; `terminal`: of every one."""
    columns = recording.columns
    steps, starts = columns["acts"].shape[0], np.asarray(columns["indices"][:], np.int64)
    recording.format = "imitation npz"
    recording.lengths = np.diff([0, *starts, steps])
    ended = np.zeros(steps, bool)
    if len(columns["terminal"][:]) == len(recording.lengths):
        ended[np.cumsum(recording.lengths) - 1] = np.asarray(columns["terminal"][:], bool)
        columns["terminal"] = ended
