import dataclasses
import json
import sys

import gymnasium as gym
import numpy as np
import pytest

from iqlearn_jax.cli.common import Subcommand
from iqlearn_jax.cli.demos import COMMANDS
from iqlearn_jax.cli.describe import describe_demos
from iqlearn_jax.cli.main import main
from iqlearn_jax.data.convert.convert import convert
from iqlearn_jax.data.demos import load
from iqlearn_jax.data.save import save
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec
from tests.data.made_up import arrays_of, assert_same, make_demos

BOUND = np.ones(3, np.float32)
BOX = EnvSpec("Box-v0", (4,), np.dtype(np.float32), None, -BOUND, BOUND, 9)


def run(*argv):
    return main(["demos", *map(str, argv)])


def inspect(path):
    return " ".join(describe_demos(load(path), path).split())  # wherever the lines break


def test_casts_what_keeps_the_numbers(tmp_path):
    demos = make_demos()
    arrays = arrays_of(demos)
    loose = arrays | {
        "observations": arrays["observations"].astype(">f8"),
        "next_observations": arrays["next_observations"].astype(np.float64),
        "actions": arrays["actions"].astype(np.int64)[:, None],
        "rewards": arrays["rewards"].astype(np.float64)[:, None],
        "terminals": arrays["terminals"].astype(np.float32),
    }
    np.savez(tmp_path / "loose.npz", **loose)
    assert_same(demos, convert(tmp_path / "loose.npz"))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("terminals", 2, "terminals[3]: expected 0 or 1, found 2"),
        ("actions", 2**40, "actions: expected integers that fit int32"),
    ],
)
def test_casts_nothing_else(field, value, expected, tmp_path, refused):
    arrays = arrays_of(make_demos())
    arrays[field] = arrays[field].astype(np.int64)
    arrays[field][3] = value
    np.savez(tmp_path / "bad.npz", **arrays)
    assert expected in refused("convert", tmp_path / "bad.npz", tmp_path / "out.npz")


def test_out_of_range_is_refused_or_clipped_and_recorded(tmp_path):
    demos = make_demos(discrete=False)
    demos.actions[2, 1], demos.actions[3, 0] = -4.5, 1.5
    save(tmp_path / "a.npz", demos)
    with pytest.raises(
        InputError, match=r"actions\[2, 1\]: expected -1\.\.1 .*2 of 24 entries.*--clip-actions"
    ):
        convert(tmp_path / "a.npz", spec=BOX)
    clipped = convert(tmp_path / "a.npz", spec=BOX, clip_actions=True)
    np.testing.assert_array_equal(clipped.actions, np.clip(demos.actions, -1, 1))
    record = clipped.metadata["conversion"][0]
    assert (record["clipped_entries"], record["action_entries"]) == (2, 24)
    assert record["largest_magnitude"] == 4.5
    demos.actions[0, 0] = np.inf
    np.savez(tmp_path / "b.npz", **arrays_of(demos))
    with pytest.raises(InputError, match=r"actions\[0, 0\]: expected a finite number"):
        convert(tmp_path / "b.npz", spec=BOX, clip_actions=True)
    with pytest.raises(InputError, match="clip_actions: expected bounds of actions"):
        convert(tmp_path / "a.npz", clip_actions=True)


def test_unclipped_recording_of_the_shared_demos(shared, tmp_path, refused):
    path, target = shared("Hopper-v4_cs285-recorded_2ep.npz"), tmp_path / "h.npz"
    pytest.importorskip("mujoco")  # comes with brax; gymnasium wants imageio besides
    pytest.importorskip("imageio")
    message = refused("convert", path, target, "--env", "Hopper-v5")
    assert "actions[0, 1]" in message and "--clip-actions" in message and not target.exists()
    assert run("convert", path, target, "--env", "Hopper-v5", "--clip-actions") == 0
    demos = load(target)
    assert np.abs(demos.actions).max() == 1 and demos.metadata["env"] == "Hopper-v5"
    assert demos.metadata["conversion"][0]["largest_magnitude"] == pytest.approx(5.13, abs=0.01)
    assert "clipped_entries: 2623" in inspect(target)


def test_first_episodes_and_the_record_of_conversions(tmp_path):
    save(tmp_path / "a.npz", dataclasses.replace(make_demos(), metadata={"env": "E", "policy": "P"}))
    first = convert(tmp_path / "a.npz", max_episodes=1)
    assert first.num_episodes == 1 and len(first) == 5
    save(tmp_path / "b.npz", first)
    second = convert(tmp_path / "b.npz", max_episodes=9, policy="Q")
    assert second.num_episodes == 1
    assert [r["source"] for r in second.metadata["conversion"]] == ["a.npz", "b.npz"]
    assert second.metadata["env"] == "E" and second.metadata["policy"] == "Q"
    save(tmp_path / "c.npz", second)
    assert load(tmp_path / "c.npz").digest == first.digest
    with pytest.raises(InputError, match="max_episodes: expected >= 1, found 0"):
        convert(tmp_path / "a.npz", max_episodes=0)


def frames_file():
    frames = np.random.default_rng(0).integers(0, 255, (9, 6, 5), dtype=np.uint8)
    ends = np.array([False, False, False, True, False, True, True])
    return {
        "frames": np.concatenate([frames, frames[:1]]),
        "episode_frame_start": np.array([0, 5, 8]),
        "episode_lengths": np.array([4, 2, 1]),
        "actions": np.arange(7, dtype=np.int32),
        "rewards": np.ones(7, np.float32),
        "terminals": ends,
        "truncations": np.zeros(7, bool),
    }


def test_frames_are_stacked_within_episodes(tmp_path):
    arrays = frames_file()
    np.savez(tmp_path / "f.npz", **arrays)
    demos = convert(tmp_path / "f.npz")
    frames = arrays["frames"]
    assert demos.observations.shape == (7, 6, 5, 4) and demos.observations.dtype == np.uint8
    for step, window in [(0, [0, 0, 0, 0]), (2, [0, 0, 1, 2]), (3, [0, 1, 2, 3]), (5, [5, 5, 5, 6])]:
        np.testing.assert_array_equal(demos.observations[step], np.moveaxis(frames[window], 0, -1))
    np.testing.assert_array_equal(demos.next_observations[3], np.moveaxis(frames[[1, 2, 3, 4]], 0, -1))
    assert len(convert(tmp_path / "f.npz", max_episodes=2)) == 6


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("frames", np.zeros((9, 6, 5), np.float32), "frames: expected uint8 [F, H, W]"),
        ("episode_frame_start", np.array([0, 5, 9]), "episode_frame_start[2]: expected within 10 frames"),
        ("episode_lengths", np.array([3, 3, 1]), "episode_lengths: expected an end"),
        ("episode_lengths", np.array([4, 2]), "episode_lengths: expected at least one episode"),
        ("episode_lengths", np.array([], int), "episode_lengths: expected at least one episode"),
        ("actions", np.zeros(6, np.int32), "actions: expected 7 steps, found 6"),
        ("terminals", np.array(["x"] * 7), "terminals: expected numbers"),
        ("rewards", None, "rewards: expected this key of the frames layout"),
    ],
)
def test_bad_frames(field, value, expected, tmp_path, refused):
    arrays = {k: v for k, v in (frames_file() | {field: value}).items() if v is not None}
    np.savez(tmp_path / "f.npz", **arrays)
    assert f"f.npz: {expected}" in refused("convert", tmp_path / "f.npz", tmp_path / "out.npz")


def test_shared_pong(shared):
    path = shared("Pong-frames84_baby-a3c_5ep.npz")
    demos = convert(path, max_episodes=1)
    assert demos.observations.shape == (1696, 84, 84, 4)
    with np.load(path) as archive:
        np.testing.assert_array_equal(demos.observations[100, ..., 3], archive["frames"][100])


def minari_folder(tmp_path, monkeypatch, **options):
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    from minari.data_collector import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    demos = make_demos(discrete=False)
    buffers = []
    for e, (start, length) in enumerate(zip(demos.episode_starts, demos.episode_lengths, strict=True)):
        part = slice(start, start + length)
        track = np.concatenate([demos.observations[part], demos.next_observations[part][-1:]])
        buffers.append(
            EpisodeBuffer(
                id=e,
                observations=list(track),
                actions=list(demos.actions[part]),
                rewards=demos.rewards[part].tolist(),
                terminations=demos.terminals[part].tolist(),
                truncations=demos.truncations[part].tolist(),
            )
        )
    spaces = {
        "observation_space": gym.spaces.Box(-np.inf, np.inf, (4,), np.float32),
        "action_space": gym.spaces.Box(-1, 1, (3,), np.float32),
    }
    minari.create_dataset_from_buffers("test/made-up-v0", buffers, **spaces, **options)
    return demos, tmp_path / "test" / "made-up-v0"


@pytest.mark.filterwarnings("ignore")
def test_minari_round_trip(tmp_path, monkeypatch, refused):
    demos, folder = minari_folder(tmp_path, monkeypatch)
    assert_same(demos, convert(folder))
    assert_same(demos, convert(folder / "data" / "main_data.hdf5"))
    assert convert(folder, max_episodes=1, spec=BOX).num_episodes == 1
    assert convert(folder).metadata["conversion"][0]["dataset_id"] == "test/made-up-v0"
    stored = folder / "data" / "metadata.json"
    metadata = json.loads(stored.read_text())
    stored.write_text(json.dumps({k: v for k, v in metadata.items() if k != "action_space"}))
    assert "action_space: expected a stored space" in refused("convert", folder, tmp_path / "o.npz")
    stored.write_text("{")
    assert "metadata.json: expected a JSON file" in refused("convert", folder, tmp_path / "o.npz")
    stored.write_text(json.dumps(metadata))
    (folder / "data" / "main_data.hdf5").write_bytes(b"not hdf5")
    assert "expected a whole Minari data set" in refused("convert", folder, tmp_path / "o.npz")


@pytest.mark.parametrize("count", [10**9, -1, "2", 1.5, None, True])
def test_minari_with_more_episodes_than_its_storage_holds(count, tmp_path, refused):
    spaces = {"observation_space": "{}", "action_space": "{}", "data_format": "hdf5"}
    (tmp_path / "metadata.json").write_text(json.dumps(spaces | {"total_episodes": count}))
    (tmp_path / "main_data.hdf5").write_bytes(bytes(1000))
    message = refused("convert", tmp_path, tmp_path / "o.npz")
    assert "total_episodes: expected 0..1" in message and message.endswith("record it again\n")


def test_minari_missing(tmp_path, monkeypatch, refused):
    assert "metadata.json" in refused("convert", tmp_path, tmp_path / "o.npz")
    stored = {"observation_space": "{}", "action_space": "{}", "data_format": "hdf5", "total_episodes": 0}
    (tmp_path / "metadata.json").write_text(json.dumps(stored))
    monkeypatch.setitem(sys.modules, "minari", None)
    assert "the packages to read it" in refused("convert", tmp_path, tmp_path / "o.npz")


def test_inspect_and_validate(tmp_path, capsys):
    demos = make_demos((500, 20), (False, True))
    save(tmp_path / "a.npz", dataclasses.replace(demos, metadata={"env": "CartPole-v1", "policy": "me"}))
    assert run("inspect", tmp_path / "a.npz") == 0
    text = capsys.readouterr().out
    for part in ("CartPole-v1", "me", "520", "float32 [4]", "discrete, 2 seen", "1 terminated, 1 truncated"):
        assert part in text
    assert demos.digest in text
    assert run("validate", tmp_path / "a.npz", "--env", "CartPole-v1") == 0
    assert capsys.readouterr().out.startswith("ok: ")


def test_share_of_actions_at_their_ends(tmp_path):
    demos = make_demos((100,), (True,), discrete=False)
    demos.actions[:50] = 1.0
    demos.actions[50:60] = -1.0
    save(tmp_path / "a.npz", demos)
    assert "60.0% of entries at the ends" in inspect(tmp_path / "a.npz")


def test_directions_that_hardly_vary_are_named(tmp_path):
    track = np.random.default_rng(0).normal(size=(501, 4)).astype(np.float32)
    for name, width in (("wide", 1.0), ("narrow", 0.05)):
        track[:, 1] = track[:, 0] + width * track[:, 1]
        demos = make_demos((500,), (False,))
        save(
            tmp_path / name, dataclasses.replace(demos, observations=track[:-1], next_observations=track[1:])
        )
    assert "--config.whiten" not in inspect(tmp_path / "wide")
    assert "deviate by 0.0" in inspect(tmp_path / "narrow")
    assert "--config.whiten=True" in inspect(tmp_path / "narrow")


@pytest.mark.parametrize("value", [123456.789, 1.7e9])
def test_a_constant_entry_is_no_direction(value, tmp_path):
    """As float32 such a column has a standard deviation of rounding, and no correlation with anything."""
    track = np.random.default_rng(0).normal(size=(501, 4)).astype(np.float32)
    track[:, 3] = value
    demos = dataclasses.replace(
        make_demos((500,), (False,)), observations=track[:-1], next_observations=track[1:]
    )
    save(tmp_path / "a.npz", demos)
    assert "deviate by 0.9" in inspect(tmp_path / "a.npz")


def test_a_relation_between_entries_is_no_narrow_direction(tmp_path):
    track = np.random.default_rng(0).normal(size=(501, 4)).astype(np.float32)
    track[:, 2] = 2 * track[:, 3]
    demos = dataclasses.replace(
        make_demos((500,), (False,)), observations=track[:-1], next_observations=track[1:]
    )
    save(tmp_path / "a.npz", demos)
    assert "--config.whiten" not in inspect(tmp_path / "a.npz")


def test_validate_against_another_environment(tmp_path, refused):
    save(tmp_path / "a.npz", make_demos())
    message = refused("validate", tmp_path / "a.npz", "--env", "Acrobot-v1")
    assert "observations: expected shape [N, 6] of Acrobot-v1, found [8, 4]" in message
    assert "did you mean CartPole-v1" in refused("validate", tmp_path / "a.npz", "--env", "CartPol-v1")


def test_ends_at_the_time_limit_are_pointed_out(tmp_path, capsys):
    save(tmp_path / "a.npz", make_demos((500, 20), (True, True)))
    assert run("convert", tmp_path / "a.npz", tmp_path / "b.npz", "--env", "CartPole-v1") == 0
    assert (
        "1 of 2 episodes are terminated after exactly 500 steps, the time limit of CartPole-v1"
        in capsys.readouterr().err
    )


def test_commands(refused, capsys, monkeypatch):
    message = refused("replay")
    assert all(name in message for name in ("'replay'", "inspect", "validate", "convert"))
    assert "required: file" in refused("inspect")
    assert "invalid int value" in refused("convert", "a", "b", "--max-episodes", "x")
    assert run("--help") == 0 and run("convert", "--help") == 0
    assert run() == 2
    monkeypatch.setitem(COMMANDS, "record", Subcommand("make some", lambda argv: len(argv)))
    assert run("record", 1, 2, 3) == 3
    capsys.readouterr()


def test_target_that_cannot_be_written(tmp_path, refused):
    save(tmp_path / "a.npz", make_demos())
    (tmp_path / "file").write_text("")
    assert "a writable target" in refused("convert", tmp_path / "a.npz", tmp_path / "file" / "b.npz")
