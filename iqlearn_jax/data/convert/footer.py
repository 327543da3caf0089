"""The footer of a parquet file in plain Python: pyarrow ends the whole program over some that are damaged."""

import os
from pathlib import Path
from typing import Any

MAGIC = b"PAR1"
DEEPEST = 16  # structures inside each other; parquet's own have 8
WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, 7: 16}  # bytes of a number by parquet's types; 6 is text
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, TEXT, LIST, SET, MAP, STRUCT = range(1, 13)  # of compact Thrift


def unpacked_size(path: Path) -> int:
    """Bytes that the columns of a parquet file become, by what it declares of them.

    Dictionaries and repetitions make a number smaller than its own bytes even where nothing is compressed.

    Raises:
      OSError, ValueError, LookupError, TypeError: damage.
    """
    total, footer = 0, _footer(path)
    for stored in (column[3] for group in footer[4] for column in group[1]):
        numbers, packed = WIDTHS.get(stored[1], 0) * stored[5], stored[6]
        if min(numbers, packed) < 0:
            raise ValueError("a column of fewer than no bytes")
        total += max(numbers, packed)
    return max(total, footer[3])


def _footer(path: Path) -> dict[int, Any]:
    with open(path, "rb") as file:
        file.seek(-8, os.SEEK_END)
        end = file.read()
        size = int.from_bytes(end[:4], "little")
        if end[4:] != MAGIC or size + 8 > file.tell():
            raise ValueError("no parquet file")
        file.seek(-8 - size, os.SEEK_END)
        return Compact(file.read(size)).struct()


class Compact:
    """A reader of Thrift's compact protocol: structures as {number of the field: value}."""

    def __init__(self, data: bytes):
        """Begins at the first byte."""
        self._data, self._place, self._depth = data, 0, 0

    def struct(self) -> dict[int, Any]:
        """The structure that begins here."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} structures inside each other")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            fields[number] = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind)
        self._depth -= 1
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (TRUE, FALSE, BYTE):
            return self._byte()
        if kind in (I16, I32, I64):
            return self._integer()
        if kind in (DOUBLE, TEXT):
            return self._skip(8 if kind == DOUBLE else self._varint())
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            return self._list()
        raise ValueError(f"Thrift type {kind}")  # parquet has no maps

    def _list(self) -> list[Any]:
        head = self._byte()
        count = self._varint() if head >> 4 == 15 else head >> 4
        return [self._value(head & 15) for _ in range(count)]  # each takes a byte at least

    def _byte(self) -> int:
        self._place += 1
        return self._data[self._place - 1]

    def _skip(self, size: int) -> None:
        self._place += size

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
