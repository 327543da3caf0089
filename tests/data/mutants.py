"""Damaged copies of a file: blind ones, and ones that pass the checksums of their layout."""

import io
import json
import struct
import zipfile
from collections.abc import Callable

import numpy as np

NUMBERS = (-1, 0, 1, 2**31 - 1, 2**62)
EXTREME = [struct.pack("<q", number)[:size] for number in NUMBERS for size in (1, 2, 4, 8)]
FLOATS = (float("inf"), float("nan"), 1e-320)
ODD = (None, True, -1, 0, 10**30, *FLOATS, "", "x" * 999, "\x1b[2J", [], {}, [[]], {"a": 1})
DATA_SETS = (
    *(
        {"data": value}
        for value in (*NUMBERS, *FLOATS, True, "text", [[1], [2]], [], [1j], [[np.nan] * 4] * 8)
    ),
    *({"shape": shape, "dtype": "f4"} for shape in (None, (0, 4), (8, 0), (8, 4), (8, 1), (5, 2, 2))),
    *({"shape": (rows, 4), "dtype": "f4", "chunks": (1000, 4)} for rows in (10**6, 10**9, 10**15)),
)  # of an HDF5 file
LONGEST = 200  # bytes that are cut out, put in or copied


def flip_bits(rng, data: bytes) -> bytes:
    spoiled = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 5)):
        spoiled[place] ^= 1 << int(rng.integers(8))
    return bytes(spoiled)


def set_bytes(rng, data: bytes) -> bytes:
    spoiled = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 5)):
        spoiled[place] = rng.integers(256)
    return bytes(spoiled)


def set_number(rng, data: bytes) -> bytes:
    place, number = int(rng.integers(len(data))), EXTREME[rng.integers(len(EXTREME))]
    return data[:place] + number + data[place + len(number) :]


def cut(rng, data: bytes) -> bytes:
    return data[: rng.integers(len(data))]


def cut_out(rng, data: bytes) -> bytes:
    place, size = (int(x) for x in rng.integers(1, (len(data), LONGEST)))
    return data[:place] + data[place + size :]


def put_in(rng, data: bytes) -> bytes:
    place, size = (int(x) for x in rng.integers(1, (len(data), LONGEST)))
    return data[:place] + rng.bytes(size) + data[place:]


def copy_part(rng, data: bytes) -> bytes:
    place, target, size = (int(x) for x in rng.integers(1, (len(data), len(data), LONGEST)))
    return data[:target] + data[place : place + size] + data[target:]


BLIND = (flip_bits, set_bytes, set_number, cut, cut_out, put_in, copy_part)


def blind(rng, data: bytes) -> bytes:
    return BLIND[rng.integers(len(BLIND))](rng, data)


def in_archive(rng, data: bytes) -> bytes:
    """A member is spoiled, most often its header; the archive around it is whole."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[rng.integers(len(members))]
    size = 128 if rng.random() < 0.7 else len(members[name])
    members[name] = blind(rng, members[name][:size]) + members[name][size:]
    if rng.random() < 0.2:
        members.pop(list(members)[rng.integers(len(members))])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def in_json(rng, data: bytes) -> bytes:
    """A value somewhere in the first object is another one, or gone."""
    first, line_break, rest = data.partition(b"\n") if data.startswith(b'{"update"') else (data, b"", b"")
    content = json.loads(first)
    node = content
    while True:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = keys[rng.integers(len(keys))]
        if not isinstance(node[key], dict | list) or not node[key] or rng.random() < 0.3:
            break
        node = node[key]
    if rng.random() < 0.2:
        del node[key]
    else:
        node[key] = ODD[rng.integers(len(ODD))]
    return json.dumps(content).encode() + line_break + rest


def in_table(rng, data: bytes) -> bytes:
    """One entry of a table is another text."""
    lines = [line.split(b",") for line in data.split(b"\n")]
    line = lines[rng.integers(len(lines))]
    line[rng.integers(len(line))] = str(ODD[rng.integers(len(ODD))]).encode()
    return b"\n".join(b",".join(line) for line in lines)


def in_hdf5(rng, data: bytes) -> bytes:
    """A data set is another one, or gone; the file is whole."""
    import h5py

    file, names = io.BytesIO(data), []
    with h5py.File(file, "a") as content:
        content.visititems(lambda name, item: names.append(name) if hasattr(item, "dtype") else None)
        name = names[rng.integers(len(names))]
        del content[name]
        if rng.random() < 0.8:
            content.create_dataset(name, **DATA_SETS[rng.integers(len(DATA_SETS))])
    return file.getvalue()


def mutant(rng, data: bytes, knowing: Callable | None) -> bytes:
    """A damaged copy; half of them `knowing` the layout, where there is such a way."""
    return knowing(rng, data) if knowing is not None and rng.random() < 0.5 else blind(rng, data)
