import dataclasses
import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from iqlearn_jax.cli.describe import describe_demos
from iqlearn_jax.data.demos import BUNDLED, absolute, from_arrays, load, resolve, transitions, validate
from iqlearn_jax.data.save import save
from iqlearn_jax.disk import read_npz
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec
from tests.data.made_up import arrays_of, assert_same, make_demos

SPEC = EnvSpec("CartPole-v1", (4,), np.dtype(np.float32), 2, None, None, 500)
BOX = EnvSpec(
    "Hopper-v5", (4,), np.dtype(np.float32), None, -np.ones(3, np.float32), np.ones(3, np.float32), 1000
)

STATES = ("observations", "next_observations")


def write(path, arrays):
    np.savez(path, **arrays)
    return path


def drop(field):
    return lambda arrays: arrays.pop(field)


def put(field, index, value):
    return lambda arrays: arrays[field].__setitem__(index, value)


def recast(field, dtype):
    return lambda arrays: arrays.__setitem__(field, arrays[field].astype(dtype))


def cut(field, index):
    return lambda arrays: arrays.__setitem__(field, arrays[field][index])


BAD = {
    "missing observations": (
        drop("observations"),
        "observations: expected this key, found only actions, rewards, next_observations, terminals, trunc",
    ),
    "missing actions": (drop("actions"), "actions: expected this key"),
    "missing truncations": (drop("truncations"), "truncations: expected this key"),
    "short rewards": (cut("rewards", slice(-1)), "rewards: expected shape [8], found [7]"),
    "flat next_observations": (
        cut("next_observations", np.s_[:, 0]),
        "next_observations: expected shape [8, 4]",
    ),
    "half observations": (recast("observations", np.float16), "observations: expected dtype float32"),
    "integer terminals": (recast("terminals", np.int64), "terminals: expected dtype bool, found int64"),
    "flat real actions": (recast("actions", np.float32), "actions: expected shape [8, A], found [8]"),
    "text actions": (recast("actions", str), "actions: expected dtype int32 or float32"),
    "other endianness": (recast("observations", ">f4"), "observations: expected dtype float32"),
    "nan": (put("observations", (6, 2), np.nan), "observations[6, 2]: expected a finite number, found nan"),
    "inf": (put("rewards", 3, np.inf), "rewards[3]: expected a finite number, found inf"),
    "jump": (put("next_observations", (1, 0), 50.0), "next_observations[1]: expected observations[2]"),
    "open end": (put("truncations", 7, False), "truncations[7]: expected the last step to end"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file_is_refused_in_one_line(case, tmp_path, refused):
    spoil, expected = BAD[case]
    arrays = arrays_of(make_demos())
    spoil(arrays)
    message = refused("validate", write(tmp_path / "bad.npz", arrays))
    assert f"bad.npz: {expected}" in message
    assert "; " in message  # a remedy follows


def test_jump_names_its_size_and_episode(tmp_path, refused):
    arrays = arrays_of(make_demos())
    arrays["next_observations"][6, 1] = arrays["observations"][7, 1] + 2.5
    message = refused("validate", write(tmp_path / "bad.npz", arrays))
    assert "next_observations[6]" in message and "a jump of 2.5" in message and "episode 1" in message


def test_zero_episodes(tmp_path, refused):
    arrays = {key: array[:0] for key, array in arrays_of(make_demos()).items()}
    assert "zero episodes" in refused("inspect", write(tmp_path / "none.npz", arrays))


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        *[((c, s, s), "[C, H, W]") for c, s in ((3, 84), (1, 84), (3, 64), (9, 84), (3, 36), (4, 10))],
        ((3, 210, 160), "[C, H, W]"),
        ((84, 84), "[H, W]"),
        ((4, 84, 84, 3), "[N, H, W, C]"),
        ((4, 3, 84, 84), "[N, C, H, W]"),
        *[
            (shape, None)
            for shape in ((84, 84, 3), (10, 10, 4), (210, 160, 3), (8, 8, 111), (3, 3, 2), (11,))
        ],
    ],
)
def test_images_in_another_order_are_refused(shape, order, tmp_path, refused):
    arrays = arrays_of(make_demos(lengths=(2,), terminal=(True,)))
    arrays |= {
        "observations": np.zeros((2, *shape), np.uint8),
        "next_observations": np.zeros((2, *shape), np.uint8),
    }
    path = write(tmp_path / "a.npz", arrays)
    spec = SPEC._replace(obs_shape=shape, obs_dtype=np.dtype(np.uint8))
    if order is None:
        load(path, spec)
        return
    wording = f"[H, W, C] expected, looks like {order}; "
    assert wording in refused("validate", path)
    assert wording in refused("convert", path, tmp_path / "b.npz")
    assert spec.obs_fault is not None and f"[H, W, C] expected, looks like {order}; " in spec.obs_fault


def test_images_too_small_for_the_encoder_are_refused_as_in_training():
    states = np.zeros((8, 2, 2, 5), np.uint8)
    demos = from_arrays(arrays_of(make_demos()) | dict.fromkeys(STATES, states), {})
    with pytest.raises(InputError, match=r"shape \[2, 2, 5\]: they leave the encoder no features"):
        validate(demos, SPEC._replace(obs_shape=(2, 2, 5), obs_dtype=np.uint8))


def test_tables_of_numbers_are_no_images():
    states = np.zeros((8, 4, 11), np.float32)
    validate(from_arrays(arrays_of(make_demos()) | dict.fromkeys(STATES, states), {}))
    assert "a vector [D] or an image [H, W, C] expected" in (SPEC._replace(obs_shape=(4, 11)).obs_fault or "")


def test_what_training_refuses_does_not_fit():
    """Both ask `check_arrays`: states without a table, and images that are no stacks of frames."""
    states = from_arrays(arrays_of(make_demos()) | dict.fromkeys(STATES, np.zeros(8, np.int32)), {})
    with pytest.raises(InputError, match="observations of CartPole-v1 are integers"):
        validate(states, SPEC._replace(obs_shape=(), obs_dtype=np.dtype(np.int32)))
    images = np.random.default_rng(0).integers(0, 9, (8, 5, 5, 4), dtype=np.uint8)
    loose = from_arrays(arrays_of(make_demos()) | dict.fromkeys(STATES, images), {"terminals": True})
    loose.terminals[:] = True
    with pytest.raises(InputError, match=r"observations\[0\]: expected a stack of the episode's last 4"):
        validate(loose, SPEC._replace(obs_shape=(5, 5, 4), obs_dtype=np.dtype(np.uint8), frame_stack=4))


def test_foreign_keys_are_listed_and_nobody_is_sent_in_circles(tmp_path, refused):
    path = write(tmp_path / "a.npz", {"obs": np.zeros(3), "acts": np.zeros(3)})
    message = refused("validate", path)
    assert "found only obs, acts" in message and "'iqlearn demos convert' reads other layouts" in message
    message = refused("convert", path, tmp_path / "b.npz")
    assert "obs" in message and "acts" in message and "demos convert" not in message
    text = write(tmp_path / "c.npz", arrays_of(make_demos()) | {"actions": np.array(["a"] * 8)})
    assert "demos convert" not in refused("convert", text, tmp_path / "b.npz")


def test_rewards_that_are_nan_are_left_out(tmp_path, refused):
    path = write(tmp_path / "a.npz", arrays_of(make_demos()) | {"rewards": np.full(8, np.nan, np.float32)})
    assert "leave rewards out where they are not known" in refused("validate", path)


@pytest.mark.parametrize("keep", [0, 1, 30, 0.5, 0.99])
def test_truncated_file(keep, tmp_path, refused):
    path = write(tmp_path / "cut.npz", arrays_of(make_demos()))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    assert "cut.npz: file: expected" in refused("validate", path)


@pytest.mark.parametrize("position", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_corrupt_file(position, tmp_path):
    """A flipped byte gives an InputError, or (outside the arrays) harmlessly nothing."""
    path = tmp_path / "flip.npz"
    save(path, make_demos(lengths=(50,), terminal=(True,)))
    data = bytearray(path.read_bytes())
    data[int(position * len(data))] ^= 0xFF
    path.write_bytes(data)
    try:
        load(path)
    except InputError as error:
        assert "flip.npz" in str(error) and "\n" not in str(error)


def test_wrong_magic_and_missing_file(tmp_path, refused):
    path = tmp_path / "a.npz"
    path.write_bytes(b"\x93NUMPY\x01\x00")
    assert "expected an npz file" in refused("validate", path)
    assert "No such file" in refused("validate", tmp_path / "b.npz")
    assert "it is a folder" in refused("validate", tmp_path)


def archive_of(path, header, size):
    """One member that says it is an array of that header, before so many zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        text = f"{header}\n".encode()
        archive.writestr(
            "actions.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(size)
        )
    return path


def test_an_archive_that_unpacks_to_more_than_its_size_allows(tmp_path, refused, monkeypatch):
    whole = "{'descr': '<i4', 'fortran_order': False, 'shape': (1000000,)}"
    path = archive_of(tmp_path / "bomb.npz", whole, 4_000_000)
    assert "actions" in read_npz(path)  # as large as this any file may be
    monkeypatch.setattr("iqlearn_jax.disk.ALWAYS", 2**20)
    assert "bytes of arrays, found 4000" in refused("validate", path)
    assert "bytes of arrays, found 4000" in refused("convert", path, tmp_path / "out.npz")
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02") + 24  # the declared size, in the archive's directory
    content[place : place + 4] = struct.pack("<I", 4_000_000_000)
    path.write_bytes(content)
    assert "found 4000000000 declared" in refused("validate", path)


@pytest.mark.parametrize(
    "shape", ["(10**12,)", "(1000000000000,)", "(-1,)", "(3,)", "(2**62, 2**62)", "(1000000, 0)"]
)
def test_an_array_that_is_not_as_large_as_it_says(shape, tmp_path, refused):
    path = archive_of(tmp_path / "a.npz", f"{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}}}", 8)
    assert "a.npz: actions: expected" in refused("validate", path)


class Hostile:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_object_array_is_never_unpickled(tmp_path, refused):
    marker = tmp_path / "ran"
    arrays = arrays_of(make_demos())
    bad = arrays | {"actions": np.array([Hostile(marker)] * 8, object)}
    message = refused("validate", write(tmp_path / "bad.npz", bad))
    assert "actions: expected a plain array, found an object array" in message
    load(write(tmp_path / "extra.npz", arrays | {"extra": np.array([Hostile(marker)], object)}))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("spec", "discrete", "change", "expected"),
    [
        (SPEC, True, {"actions": (3, 2)}, "actions[3]: expected 0..1 of CartPole-v1, found 2"),
        (BOX, False, {"actions": ((2, 1), -1.5)}, "actions[2, 1]: expected -1..1 of Hopper-v5, found -1.5"),
        (SPEC, False, {}, "actions: expected 2 discrete actions"),
        (BOX, True, {}, "actions: expected continuous actions"),
        (SPEC._replace(obs_shape=(6,)), True, {}, "observations: expected shape [N, 6]"),
        (SPEC._replace(obs_dtype=np.dtype(np.uint8)), True, {}, "observations: expected dtype uint8"),
        (
            BOX._replace(action_low=-np.ones(2), action_high=np.ones(2)),
            False,
            {},
            "actions: expected shape [N, 2]",
        ),
    ],
)
def test_against_a_spec(spec, discrete, change, expected):
    demos = make_demos(discrete=discrete)
    for field, (index, value) in change.items():
        getattr(demos, field)[index] = value
    with pytest.raises(InputError) as caught:
        validate(demos, spec, "x.npz")
    assert str(caught.value).startswith(f"x.npz: {expected}")


def test_rounding_and_infinite_bounds_are_no_reason_to_refuse():
    demos = make_demos(discrete=False)
    demos.actions[0, 0] = np.nextafter(np.float32(1), np.float32(2))
    demos.next_observations[0] *= 1 + 1e-7
    validate(demos, BOX)
    unbounded = np.full(3, np.inf, np.float32)
    validate(demos, BOX._replace(action_low=-unbounded, action_high=unbounded))


def test_round_trip(tmp_path):
    demos = dataclasses.replace(make_demos(), metadata={"env": "CartPole-v1", "note": "kept"})
    saved = save(tmp_path / "folder" / "a.npz", demos)
    loaded = load(tmp_path / "folder" / "a.npz", SPEC)
    assert_same(demos, loaded)
    assert loaded.metadata == saved.metadata
    assert loaded.metadata["schema_version"] == 1
    assert loaded.metadata["env"] == "CartPole-v1" and loaded.metadata["policy"] == "unknown"
    assert loaded.metadata["note"] == "kept" and loaded.metadata["digest"] == demos.digest
    np.testing.assert_allclose(loaded.metadata["returns"], demos.episode_returns, atol=1e-5)
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["a.npz"]  # no temporary file stays


@pytest.mark.parametrize(("dtype", "shape"), [(np.uint8, (8, 8, 4)), (np.int32, ())])
def test_images_and_tabular_states(dtype, shape, tmp_path):
    track = np.random.default_rng(0).integers(0, 200, (6, *shape)).astype(dtype)
    base = make_demos(lengths=(5,), terminal=(True,))
    demos = dataclasses.replace(base, observations=track[:-1], next_observations=track[1:])
    save(tmp_path / "a.npz", demos)
    assert_same(demos, load(tmp_path / "a.npz"))
    track[3] += 1
    validate(demos)
    with pytest.raises(InputError, match=r"next_observations\[0\].*a jump of 1;"):
        dataclasses.replace(demos, next_observations=track[1:] + dtype(1))


def test_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    save(path, make_demos())
    before = path.read_bytes()

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(InputError, match="No space left"):
        save(path, make_demos(seed=1))
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(InputError, match="zero episodes"):
        save(path, from_arrays({key: array[:0] for key, array in arrays_of(make_demos()).items()}, {}))


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("{", "metadata: expected JSON"),
        ("[1]", "metadata: expected a JSON object, found list"),
        ('{"conversion": 3}', "metadata.conversion: expected a list, found 3"),
        (json.dumps({"schema_version": 2}), "metadata.schema_version: expected 1, found 2"),
        (json.dumps({"digest": "0" * 64}), "metadata.digest: expected 0000"),
    ],
)
def test_bad_metadata(metadata, expected, tmp_path, refused):
    path = write(tmp_path / "a.npz", arrays_of(make_demos()) | {"metadata": np.array(metadata)})
    assert expected in refused("validate", path)


def test_digest_sees_values_dtypes_and_shapes():
    demos = make_demos()
    assert demos.digest == make_demos().digest != make_demos(seed=1).digest
    assert demos.digest == dataclasses.replace(demos, metadata={"env": "x"}).digest
    arrays = arrays_of(demos)
    flat = from_arrays(arrays | {"observations": demos.observations.reshape(4, 8)}, {})
    assert demos.digest != flat.digest
    assert demos.digest != from_arrays(arrays | {"rewards": None}, {}).digest


def test_episodes_and_transitions():
    demos = make_demos(lengths=(5, 3, 1), terminal=(True, False, True))
    assert demos.num_episodes == 3
    assert demos.episode_starts.tolist() == [0, 5, 8]
    assert demos.episode_lengths.tolist() == [5, 3, 1]
    expected = [demos.rewards[:5].sum(), demos.rewards[5:8].sum(), demos.rewards[8]]
    np.testing.assert_allclose(demos.episode_returns, expected, rtol=1e-5)
    step = transitions(demos)
    assert step.obs is demos.observations and step.action is demos.actions
    np.testing.assert_array_equal(step.terminated, demos.terminals)


def test_terminated_and_truncated_at_once_counts_as_terminated():
    demos = make_demos()
    demos.truncations[4] = True
    validate(demos)
    assert demos.num_episodes == 2
    assert transitions(demos).terminated[4] and not transitions(demos).truncated[4]


def test_observation_only(tmp_path):
    arrays = arrays_of(make_demos())
    spoiled = write(tmp_path / "a.npz", arrays | {"actions": np.full(8, np.nan, np.float32)})
    assert load(spoiled, SPEC, observation_only=True).actions is None
    del arrays["actions"]
    demos = load(write(tmp_path / "b.npz", arrays), SPEC, observation_only=True)
    assert transitions(demos).action is None
    save(tmp_path / "c.npz", demos)
    assert load(tmp_path / "c.npz", observation_only=True).digest == demos.digest
    with pytest.raises(InputError, match="actions: expected this key"):
        load(tmp_path / "c.npz")
    assert "none" in describe_demos(load(tmp_path / "c.npz", observation_only=True), "c.npz")


def test_rewards_may_be_unknown(tmp_path):
    arrays = arrays_of(make_demos())
    del arrays["rewards"]
    demos = load(write(tmp_path / "a.npz", arrays), SPEC)
    assert demos.rewards is None and demos.episode_returns is None
    assert np.isnan(transitions(demos).reward).all() and transitions(demos).reward.shape == (8,)
    saved = save(tmp_path / "b.npz", dataclasses.replace(demos, metadata={"returns": [1.0, 2.0]}))
    assert "returns" not in saved.metadata
    assert load(tmp_path / "b.npz").digest == demos.digest
    assert "unknown" in describe_demos(load(tmp_path / "b.npz"), "b.npz")


@pytest.mark.parametrize("name", ["bundled:CartPole-v1", "iqlearn_jax/data/bundled/CartPole-v1.npz"])
def test_bundled_demonstrations_are_found_from_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load(name).metadata["env"] == "CartPole-v1"
    assert resolve(Path(name)) == BUNDLED / "CartPole-v1.npz"


def test_paths_to_be_stored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("bundled:CartPole-v1") == "bundled:CartPole-v1"
    assert absolute("a/b.npz") == str(tmp_path / "a" / "b.npz")
    assert absolute(Path("/c.npz")) == "/c.npz"
    for use in (absolute, load, resolve):
        with pytest.raises(
            InputError, match="unknown bundled demonstrations 'CartPol-v1'; did you mean CartPole-v1"
        ):
            use("bundled:CartPol-v1")
    with pytest.raises(InputError, match="known: Acrobot-v1, Breakout-MinAtar, CartPole-v1"):
        load("bundled:xyzzy")
    with pytest.raises(InputError, match="choose another path"):
        save("bundled:CartPole-v1", make_demos())
    assert str(resolve("iqlearn_jax/data/bundled/none.npz")) == "iqlearn_jax/data/bundled/none.npz"


@pytest.mark.parametrize(
    ("name", "episodes", "steps", "mean"),
    [
        ("CartPole-v1_zoo-dqn_50ep.npz", 50, 25000, 500.0),
        ("Acrobot-v1_zoo-dqn_100ep.npz", 100, 7825, -77.2),
        ("LunarLander-v3_zoo-ppo_100ep.npz", 100, 40921, 239.7),
        ("Hopper-v5_cs285_25ep.npz", 25, 25000, 3728.0),
        ("HalfCheetah-v5_cs285_25ep.npz", 25, 25000, 4156.0),
    ],
)
def test_shared_files(name, episodes, steps, mean, shared):
    demos = load(shared(name))
    assert (demos.num_episodes, len(demos)) == (episodes, steps)
    assert demos.episode_returns.mean() == pytest.approx(mean, abs=0.5)
