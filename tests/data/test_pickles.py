"""The authors' pickles: every way of writing the same data, and hostile ones that must not run."""

import builtins
import codecs
import collections
import os
import pickle
import time

import numpy as np
import pytest

from iqlearn_jax.cli.main import main
from iqlearn_jax.data.convert.convert import convert
from iqlearn_jax.data.demos import load
from iqlearn_jax.errors import InputError
from tests.data.made_up import make_demos


def trajectories(demos, dones=(True, False)):
    """The authors' layout: {field: one tuple of steps per episode}."""
    fields = {
        "states": demos.observations,
        "next_states": demos.next_observations,
        "actions": demos.actions,
        "rewards": demos.rewards,
    }
    bounds = list(zip(demos.episode_starts, demos.episode_starts + demos.episode_lengths, strict=True))
    record = {key: [tuple(array[a:b]) for a, b in bounds] for key, array in fields.items()}
    record["dones"] = [(False,) * (b - a - 1) + (done,) for (a, b), done in zip(bounds, dones, strict=True)]
    record["lengths"] = [int(b - a) for a, b in bounds]
    return record


def dump(path, record, protocol=2):
    path.write_bytes(pickle.dumps(record, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol(protocol, tmp_path):
    demos = make_demos()
    loaded = convert(dump(tmp_path / "a.pkl", trajectories(demos), protocol))
    for key in ("observations", "actions", "rewards", "next_observations", "terminals", "truncations"):
        np.testing.assert_array_equal(getattr(loaded, key), getattr(demos, key))
    assert loaded.terminals.tolist() == [False] * 4 + [True] + [False] * 3  # done False: a truncation
    assert loaded.metadata["conversion"][0]["format"] == "pickle"


VARIANTS = {
    "arrays per episode": lambda steps: np.array(steps),
    "object array per episode": lambda steps: _objects(steps),
    "float64": lambda steps: np.array(steps, np.float64),
    "big endian": lambda steps: np.array(steps, ">f8"),
    "column major": lambda steps: np.asfortranarray(np.array(steps)),
    "lists of lists": lambda steps: np.array(steps).tolist(),
}


def _objects(steps):
    out = np.empty(len(steps), object)
    out[:] = list(steps)
    return out


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_ways_to_write_steps(variant, protocol, tmp_path):
    demos = make_demos(discrete=False)
    record = collections.defaultdict(list)  # as the authors' recorder does
    for key, episodes in trajectories(demos).items():
        record[key] = episodes if key in ("dones", "lengths") else [VARIANTS[variant](e) for e in episodes]
    loaded = convert(dump(tmp_path / "a.pkl", record, protocol))
    np.testing.assert_allclose(loaded.observations, demos.observations, rtol=1e-6)
    np.testing.assert_allclose(loaded.actions, demos.actions, rtol=1e-6)
    assert loaded.observations.dtype == np.float32 and loaded.observations.dtype.isnative


def test_old_numpy_and_python_2_names(tmp_path):
    data = pickle.dumps(trajectories(make_demos()), 2).replace(b"numpy._core", b"numpy.core")
    (tmp_path / "a.pkl").write_bytes(data)
    assert len(convert(tmp_path / "a.pkl")) == 8
    # Python 2 wrote an array's bytes as a string (opcode U)
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K\x02\x85"
    array += b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array += b"\x89U\x08" + np.array([1.0, 2.0], "<f4").tobytes() + b"tb"
    fields = [(b"states", array), (b"next_states", array)]
    fields += [(key, b"K\x01") for key in (b"actions", b"rewards", b"dones")]
    items = b"".join(b"U" + bytes([len(key)]) + key + b"](](" + step + b"ees" for key, step in fields)
    (tmp_path / "b.pkl").write_bytes(b"\x80\x02}" + items + b".")
    loaded = convert(tmp_path / "b.pkl")
    np.testing.assert_array_equal(loaded.observations, [[1.0, 2.0]])
    assert loaded.terminals.tolist() == [True]


def test_done_at_the_time_limit(tmp_path):
    demos = make_demos()
    path = dump(tmp_path / "a.pkl", trajectories(demos, dones=(True, True)))
    assert convert(path).terminals.sum() == 2
    limited = convert(path, max_episode_steps=5)
    assert limited.terminals.tolist() == [False] * 7 + [True]
    assert limited.truncations.tolist() == [False] * 4 + [True] + [False] * 3
    record = limited.metadata["conversion"][0]
    assert record["max_episode_steps"] == 5 and record["dones_taken_as_truncations"] == 1


class Call:
    """Pickles as a call of `function` on unpickling."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


SHELL = "touch MARKER"
CODE = "open('MARKER', 'w')"
NAMES = {
    "os.system": Call(os.system, SHELL),
    "eval": Call(eval, CODE),
    "exec": Call(exec, CODE),
    "import": Call(builtins.__import__, "this"),
    "numpy.load": Call(np.load, "inner.pkl", None, True),
    "numpy.fromfile": Call(np.fromfile, "inner.pkl"),
    "getattr": Call(getattr, "x", "format"),
    "codecs.decode": Call(codecs.decode, b"x", "hex"),
    "getattr of a function": b"\x80\x04\x8c\x07_codecs\x8c\x12encode.__globals__\x93.",
    "attribute of dtype": b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93.",
    "inside INST": b"(S'" + SHELL.encode() + b"'\nios\nsystem\n.",
    "inside OBJ": b"(cposix\nsystem\nS'" + SHELL.encode() + b"'\no.",
}
TRICKS = {
    "list called": Call(list, "abc"),
    "ndarray called": b"cnumpy\nndarray\n((I2\nttR.",
    "ndarray made": b"\x80\x02cnumpy\nndarray\n(I2\nt\x81.",
    "state for a function": b"\x80\x02c_codecs\nencode\n}X\x0c\x00\x00\x00__defaults__)sb.",
    "other encoding": b"\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.",
    "object pointers": b"\x80\x03cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n"
    b"(X\x02\x00\x00\x00O8tRC\x08AAAAAAAAtR.",
    "structured dtype": b"\x80\x02cnumpy\ndtype\n(X\x05\x00\x00\x00f8,O8tR.",
    "array of an integer": b"\x80\x04cnumpy._core.numeric\n_frombuffer\n"
    b"(J\xff\xff\xff\x7fcnumpy\ndtype\n(\x8c\x02f8tRK\x01\x8c\x01CtR.",
    "persistent id": b"P1\n.",
    "extension": b"\x80\x02\x82\x01.",
    "memo bomb": b"\x80\x02}r\xff\xff\xff\x7f.",
    "length bomb": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x0f.",
    "nothing": b"\x80\x04.",
    "empty": b"",
    "text": b"hello world\n",
}


@pytest.mark.parametrize("name", [*NAMES, *TRICKS])
def test_hostile_pickle_runs_nothing(name, tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    inner = tmp_path / "inner.pkl"
    inner.write_bytes(pickle.dumps(Call(os.system, SHELL)))
    payload = (NAMES | TRICKS)[name]
    data = payload if isinstance(payload, bytes) else pickle.dumps(payload, 2)
    path = tmp_path / "evil.pkl"
    path.write_bytes(data)
    message = refused("convert", path, tmp_path / "out.npz")
    assert "evil.pkl: pickle: expected" in message
    assert ("nothing was run" in message) == (name in NAMES)
    assert not (tmp_path / "MARKER").exists() and not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("name", ["os.system", "eval", "inside INST"])
def test_the_marker_would_show_a_run(name, tmp_path, monkeypatch):
    """Control: an ordinary unpickler does run these, so an absent marker says something."""
    monkeypatch.chdir(tmp_path)
    payload = NAMES[name]
    pickle.loads(payload if isinstance(payload, bytes) else pickle.dumps(payload, 2))
    assert (tmp_path / "MARKER").exists()


def test_hostile_value_inside_good_data(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    record = trajectories(make_demos()) | {"extra": Call(os.system, SHELL)}
    message = refused("convert", dump(tmp_path / "evil.pkl", record), tmp_path / "out.npz")
    assert f"'{os.system.__module__}.system'" in message
    assert not (tmp_path / "MARKER").exists()


def test_a_small_file_cannot_become_large(tmp_path, refused):
    big = np.zeros(100_000)
    record = trajectories(make_demos()) | {"states": [[big] * 100_000, [big]]}
    message = refused("convert", dump(tmp_path / "bomb.pkl", record), tmp_path / "out.npz")
    assert "more than 64 times the file" in message
    nested = [0.0]
    for _ in range(40):
        nested = [nested] * 10
    record["states"] = [nested, nested]
    message = refused("convert", dump(tmp_path / "bomb.pkl", record), tmp_path / "out.npz")
    assert "more than 64 times the file" in message


def change(key, value):
    return lambda record: record.__setitem__(key, value)


def key_in_keys(depth):
    """A tuple of itself, twice on each level: its hash takes 2^depth steps."""
    levels = b"(I1\nI2\nt" + b"2\x86" * depth
    return b"\x80\x02}" + levels + b"K\x01s."


HALF = b"X" + (100_000).to_bytes(4, "little") + b"a" * 100_000
FLOODS = {
    "tuples as keys": (key_in_keys(40), "more than 64 times the file"),
    "tuples as keys, all at once": (b"\x80\x02}(" + b"K\x01\x85K\x01u.", "keys that are text or numbers"),
    "tuples as keys of DICT": (b"(K\x01\x85K\x01d.", "keys that are text or numbers"),
    "long integers as keys": (
        b"\x80\x02}\x8b" + (9).to_bytes(4, "little") + b"\x01" * 9 + b"K\x01s.",
        "keys that are text or numbers",
    ),
    "nesting": (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "at most 32 containers"),
    "tuples in tuples": (b"\x80\x02)" + b"\x85" * 100_000 + b".", "at most 32 containers"),
    "growth after use": (b"\x80\x02]q\x00]h\x00ah\x00K\x01a0.", "one that grows afterwards"),
    "itself": (b"\x80\x02]q\x00h\x00a.", "one that grows afterwards"),
    "sets": (b"\x80\x04\x8f(K\x01\x85\x90.", "found opcode EMPTY_SET"),
    "the same copy over and over": (
        b"\x80\x02" + HALF + b"q\x000c_codecs\nencode\nq\x010"
        + b"h\x01h\x00X\x06\x00\x00\x00latin1\x86R0" * 20_000 + b"N.",
        "more than 64 times the file",
    ),
    "a list of fields as a dtype": (
        b"\x80\x02cnumpy\ndtype\n(X\x2c\x01\x00\x00" + b"f8," * 100 + b"tR.", "damaged or foreign data"
    ),
    "shared lists of nothing": (
        pickle.dumps({"states": [[[]] * 50_000] * 50_000}, 2), "more than 64 times the file"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FLOODS)
def test_what_would_hang_or_flood_is_refused_before_it_is_built(name, tmp_path, refused):
    data, expected = FLOODS[name]
    path = tmp_path / "flood.pkl"
    path.write_bytes(data)
    begun = time.monotonic()
    assert expected in refused("convert", path, tmp_path / "out.npz")
    assert time.monotonic() - begun < 10


def test_a_pipe_and_a_device_are_not_waited_for(tmp_path, refused):
    os.mkfifo(tmp_path / "pipe.pkl")
    for path, kind in ((tmp_path / "pipe.pkl", "a pipe"), ("/dev/zero", "a device")):
        assert f"it is {kind}" in refused("convert", path, tmp_path / "out.npz")
        assert f"it is {kind}" in refused("validate", path)


LAYOUTS = {
    "not a dict": (lambda record: None, "pickle: expected a dict, found NoneType"),
    "missing key": (lambda record: record.pop("dones"), "dones: expected this key"),
    "no list": (change("actions", 3), "actions: expected a list of episodes, found int"),
    "episode counts": (change("rewards", [[1.0]]), "rewards: expected 2 episodes as in states, found 1"),
    "no episodes": (lambda r: [r.__setitem__(k, []) for k in r], "states: expected at least one episode"),
    "step counts": (
        lambda r: r["rewards"].__setitem__(1, [1.0]),
        "rewards[1]: expected 3 steps as in states",
    ),
    "lengths": (change("lengths", [5, 4]), "lengths[1]: expected 3 steps as in states, found 4"),
    "early done": (
        lambda r: r["dones"].__setitem__(0, [0, 1, 0, 0, 1]),
        "dones[0][1]: expected no end inside",
    ),
    "ragged": (
        lambda r: r["states"].__setitem__(1, [[1.0], [1.0, 2.0], [1.0]]),
        "states[1][1]: expected shape",
    ),
    "text": (lambda r: r["actions"].__setitem__(1, ["a"] * 3), "actions[1][0]: expected a number"),
    "huge integers": (lambda r: r["actions"].__setitem__(1, [10**30] * 3), "actions[1][0]: expected numbers"),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_other_layouts(case, tmp_path, refused):
    spoil, expected = LAYOUTS[case]
    record = trajectories(make_demos())
    spoil(record)
    path = dump(tmp_path / "bad.pkl", None if case == "not a dict" else record)
    assert f"bad.pkl: {expected}" in refused("convert", path, tmp_path / "out.npz")


def test_damaged_pickles_never_raise_anything_else(tmp_path):
    data = pickle.dumps(trajectories(make_demos()), 4)
    rng = np.random.default_rng(0)
    path = tmp_path / "a.pkl"
    for _ in range(200):
        spoiled = bytearray(data)
        for position in rng.integers(0, len(data), 3):
            spoiled[position] = rng.integers(0, 256)
        path.write_bytes(spoiled[: rng.integers(1, len(data) + 1)] if rng.random() < 0.3 else spoiled)
        try:
            convert(path)
        except InputError as error:
            assert "\n" not in str(error)


def test_round_trip_through_the_command_line(tmp_path, capsys):
    path = dump(tmp_path / "a.pkl", trajectories(make_demos()))
    assert main(["demos", "convert", str(path), str(tmp_path / "a.npz"), "--policy", "someone"]) == 0
    assert "someone" in capsys.readouterr().out
    assert load(tmp_path / "a.npz").metadata["conversion"][0]["source"] == "a.pkl"
