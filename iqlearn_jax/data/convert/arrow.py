"""Apache Arrow: numbers out of nested lists, and `imitation`'s trajectories as it saves them today."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.convert.columns import Recording, needs, reading
from iqlearn_jax.data.convert.dicts import from_episodes
from iqlearn_jax.data.convert.sizes import check_unpacked

INFO = "dataset_info.json"
ROW = 256  # bytes in memory of a row that holds nothing


def numbers(array: Any) -> np.ndarray:
    """A pyarrow array of numbers [N], or of lists of one length, however deep, as [N, ...].

    Raises:
      ValueError: lists of several lengths.
    """
    shape = [len(array)]
    while hasattr(array.type, "value_type"):
        inner = array.flatten()
        width = len(inner) // max(1, len(array))
        if any(size.as_py() != width for size in array.value_lengths().unique()):
            raise ValueError("lists of several lengths")
        shape.append(width)
        array = inner
    return array.to_numpy(zero_copy_only=False).reshape(shape)


def is_arrow(folder: Source) -> bool:
    """Whether a folder is what Hugging Face's `save_to_disk` writes."""
    return Path(folder, INFO).is_file()


def read_arrow(path: Source) -> Recording:
    """A folder of trajectories, a row for each: `obs` of T + 1 steps, `acts`, `rews`, and one `terminal`.

    Raises:
      InputError: pyarrow is not installed, or a damaged folder.
    """
    try:
        import pyarrow.ipc  # noqa: F401  optional and heavy
    except ImportError as error:
        raise needs(path, "pyarrow", "arrow", error) from error
    with reading(path, "folder of Arrow files"):
        files = sorted(Path(path).glob("*.arrow"))
        rows, size, weight = [], sum(name.stat().st_size for name in files), 0
        for row in _rows(files, size, path):
            weight += ROW + sum(getattr(value, "nbytes", 0) for value in row.values())
            check_unpacked(weight, size, path)  # lists may overlap, and nothing may stand for many rows
            rows.append(row)
    if not rows:
        actual = f"none in {', '.join(name.name for name in files) or 'no *.arrow file'}"
        raise problem(path, "file", "a row for each trajectory", actual, "save the trajectories again")
    return from_episodes(rows, path, "arrow, a row for each episode")


def _rows(files: list[Path], size: int, path: Source) -> Iterator[dict[str, Any]]:
    import pyarrow.ipc as ipc

    for name in files:
        data = name.read_bytes()
        check_packing(data, path)
        for batch in ipc.open_stream(data):
            batch.validate(full=True)  # else lists may reach beyond what is there
            check_unpacked(ROW * batch.num_rows, size, path)
            yield from (_row(batch, i) for i in range(batch.num_rows))


def _row(batch: Any, index: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if not numeric(column.type):
            found[name] = str(column.type)  # not read: objects in memory are many times as large
        elif hasattr(column.type, "value_type"):
            found[name] = numbers(column[index].values)
        else:
            found[name] = column[index].as_py()
    return found


def numeric(kind: Any) -> bool:
    """Whether a pyarrow type is one of numbers or flags, or of lists of them, however deep."""
    import pyarrow.types as types

    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind = kind.value_type
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def check_packing(data: bytes, path: Source) -> None:
    """Refuses compressed record batches: what they become is only known when it is too late.

    Raises:
      InputError: there is one.
      Exception: whatever damage makes pyarrow raise.
    """
    import pyarrow.ipc as ipc

    start = 8 if data[:6] == b"ARROW1" else 0  # a file is a stream with a frame around it
    for message in ipc.MessageReader.open_stream(data[start:]):
        if _is_packed(message.metadata.to_pybytes()):
            remedy = "save it again without compression"
            raise problem(path, "record batch", "Arrow data as it is", "compressed data", remedy)


def check_file(data: bytes, path: Source) -> None:
    """Refuses an Arrow file that is compressed or damaged, over which pyarrow may end the whole program.

    Raises:
      InputError, Exception: as `check_packing`.
    """
    import pyarrow.ipc as ipc

    check_packing(data, path)
    file = ipc.open_file(data)
    for i in range(file.num_record_batches):
        file.get_batch(i).validate(full=True)


def _is_packed(message: bytes) -> bool:
    """Whether the flatbuffer of a message has the field `compression` of a record batch."""
    (root,) = struct.unpack_from("<I", message)
    (kind,) = message[at : at + 1] if (at := _field(message, root, 1)) else b"\0"
    header = _field(message, root, 2)
    if kind not in (2, 3) or not header:  # DictionaryBatch, RecordBatch
        return False
    batch = _follow(message, header)
    if kind == 2:
        inner = _field(message, batch, 1)
        batch = _follow(message, inner) if inner else batch
    return bool(_field(message, batch, 3))


def _follow(message: bytes, place: int) -> int:
    return int(place + struct.unpack_from("<I", message, place)[0])


def _field(message: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffer's table lies, 0 for nowhere."""
    fields = table - struct.unpack_from("<i", message, table)[0]
    (size,) = struct.unpack_from("<H", message, fields)
    if 4 + 2 * number >= size:
        return 0
    (offset,) = struct.unpack_from("<H", message, fields + 4 + 2 * number)
    return int(table + offset) if offset else 0
