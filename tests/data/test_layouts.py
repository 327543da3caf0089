"""Files as other projects write them, made here as their sources do."""

import dataclasses
import json
import pickle
import sys
import zipfile

import gymnasium as gym
import numpy as np
import pytest

from iqlearn_jax.data.convert.convert import convert
from iqlearn_jax.errors import InputError
from tests.data.made_up import arrays_of, assert_same, make_demos

FIELDS = ("observations", "actions", "rewards", "next_observations", "terminals", "truncations")


def episodes_of(demos):
    """[(observations [T + 1], {field: [T]})] of each episode."""
    found = []
    for start, length in zip(demos.episode_starts, demos.episode_lengths, strict=True):
        part = {name: getattr(demos, name)[start : start + length] for name in FIELDS}
        found.append((np.concatenate([part["observations"], part["next_observations"][-1:]]), part))
    return found


def without_last_steps(demos, ends=None):
    """What can be known of demonstrations whose successors are lost.

    Args:
      ends: what the file says of all ends, "terminals" or "truncations"; None: what `demos` do.
    """
    if ends is not None:
        both = {"terminals": np.zeros(len(demos), bool), "truncations": np.zeros(len(demos), bool)}
        demos = dataclasses.replace(demos, **both | {ends: demos.terminals | demos.truncations})
    arrays, kept = arrays_of(demos), []
    for start, length in zip(demos.episode_starts, demos.episode_lengths, strict=True):
        last = start + length - 1
        if demos.terminals[last]:
            kept += range(start, last + 1)
            arrays["next_observations"][last] = arrays["observations"][last]
        else:
            kept += range(start, last)
            arrays["truncations"][last - 1] = length > 1
    return {name: array[kept] for name, array in arrays.items()}


def assert_fields(demos, arrays):
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(demos, name), array, err_msg=name)


def said(capsys_or_caplog):
    return [record.getMessage() for record in capsys_or_caplog.records]


# HDF5


@pytest.fixture
def hdf5():
    return pytest.importorskip("h5py")


def d4rl(h5py, path, demos, leave_out=()):
    arrays = arrays_of(demos)
    arrays["timeouts"] = arrays.pop("truncations")
    with h5py.File(path, "w") as file:
        for name in arrays.keys() - set(leave_out):
            file.create_dataset(name, data=arrays[name], compression="gzip")
        file["infos/qpos"] = demos.observations
        file["metadata/algorithm"] = "SAC"
    return path


def test_d4rl(hdf5, tmp_path):
    demos = make_demos(discrete=False)
    assert_same(demos, convert(d4rl(hdf5, tmp_path / "a.hdf5", demos)))


def test_d4rl_without_successors(hdf5, tmp_path, caplog):
    demos = make_demos((5, 3, 4), (False, True, False), discrete=False)
    converted = convert(d4rl(hdf5, tmp_path / "maze.hdf5", demos, ["next_observations"]))
    assert_fields(converted, without_last_steps(demos))
    record = converted.metadata["conversion"][0]
    assert record["dropped_steps"] == 2
    assert [line.count("the last step of 2 cut episodes is dropped") for line in said(caplog)] == [1]


def test_d4rl_whose_last_episode_is_open(hdf5, tmp_path):
    demos = make_demos()
    path = d4rl(hdf5, tmp_path / "a.hdf5", demos)
    with hdf5.File(path, "a") as file:
        file["timeouts"][-1] = False
    converted = convert(path)
    assert_same(demos, converted)
    assert converted.metadata["conversion"][0]["open_ends"] == 1


def robomimic(h5py, path, demos, groups=("obs", "next_obs")):
    file = h5py.File(path, "w")
    file.create_group("data").attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1})
    for i, (track, part) in enumerate(episodes_of(demos)):
        demo, steps = file.create_group(f"data/demo_{i}"), len(part["rewards"])
        for group, rows in zip(groups, (track[:-1], track[1:]), strict=False):
            demo[f"{group}/b_pos"], demo[f"{group}/a_object"] = rows[:, :3], rows[:, 3:].astype(float)
        demo["obs/camera"], demo["states"] = np.zeros((steps, 2, 2, 3), np.uint8), np.zeros((steps, 32))
        demo["actions"], demo["rewards"] = part["actions"], part["rewards"]
        demo["dones"] = (np.arange(steps) >= steps - 2).astype(int)  # a success, then the end
    file["mask/train"] = np.array([b"demo_0"])
    file.close()
    return path


def test_robomimic_with_its_vectors_joined_or_those_chosen(hdf5, tmp_path):
    demos = make_demos((2,) * 11, (True,) * 11, discrete=False)  # demo_10 comes after demo_9
    path = robomimic(hdf5, tmp_path / "low_dim.hdf5", demos)
    whole = convert(path)
    np.testing.assert_array_equal(whole.observations, demos.observations[:, [3, 0, 1, 2]])
    np.testing.assert_array_equal(whole.next_observations, demos.next_observations[:, [3, 0, 1, 2]])
    assert_fields(whole, {"actions": demos.actions, "terminals": demos.terminals})
    assert whole.metadata["env"] == "Lift"
    assert "obs/a_object + obs/b_pos" in whole.metadata["conversion"][0]["columns"]
    chosen = convert(path, map={"observations": "b_pos+a_object"})
    assert_same(demos, chosen)
    assert convert(path, map={"observations": "b_pos"}).observations.shape == (22, 3)
    one = convert(path, map={"observations": "camera", "next_observations": ""})
    assert one.observations.shape == (22, 2, 2, 3) and one.observations.dtype == np.uint8


def test_robomimic_without_next_obs(hdf5, tmp_path):
    demos = make_demos(discrete=False)
    path = robomimic(hdf5, tmp_path / "a.hdf5", demos, groups=["obs"])
    converted = convert(path, map={"observations": "b_pos+a_object"})
    assert_fields(converted, without_last_steps(demos, "terminals"))
    with pytest.raises(InputError, match=r"observations: expected a column 'bpos', found only .*obs/b_pos"):
        convert(path, map={"observations": "bpos+a_object"})
    with hdf5.File(path, "a") as file:
        for i in range(2):
            del file[f"data/demo_{i}/obs/b_pos"], file[f"data/demo_{i}/obs/a_object"]
            file[f"data/demo_{i}/obs/wrist"] = file[f"data/demo_{i}/obs/camera"][:]
    with pytest.raises(
        InputError, match="vectors to put side by side, found 'obs/camera' among"
    ):  # not `states`
        convert(path)
    with pytest.raises(InputError, match=r"observations: expected a column 'bpos', found only .*obs/camera"):
        convert(path, map={"observations": "bpos"})


def test_groups_with_one_observation_more(hdf5, tmp_path):
    """ManiSkill's trajectories."""
    demos = make_demos(discrete=False)
    with hdf5.File(tmp_path / "a.h5", "w") as file:
        for i, (track, part) in enumerate(episodes_of(demos)):
            file[f"traj_{i}/obs"], file[f"traj_{i}/actions"] = track, part["actions"]
            file[f"traj_{i}/terminated"], file[f"traj_{i}/truncated"] = part["terminals"], part["truncations"]
    converted = convert(tmp_path / "a.h5")
    assert converted.rewards is None
    assert_fields(converted, {name: a for name, a in arrays_of(demos).items() if name != "rewards"})
    assert_fields(
        convert(tmp_path / "a.h5", max_episodes=1), {"next_observations": demos.next_observations[:5]}
    )


def test_d3rlpy(hdf5, tmp_path):
    demos = make_demos()
    with hdf5.File(tmp_path / "a.h5", "w") as file:
        file["columns"], file["version"] = [b"observations", b"actions", b"rewards", b"terminated"], "2.1"
        file["num_episodes"] = 2
        for i, (_, part) in enumerate(episodes_of(demos)):
            file[f"observations_{i}"], file[f"terminated_{i}"] = part["observations"], part["terminals"].any()
            file[f"actions_{i}"], file[f"rewards_{i}"] = part["actions"][:, None], part["rewards"][:, None]
    converted = convert(tmp_path / "a.h5")
    assert_fields(converted, without_last_steps(demos))
    assert converted.metadata["conversion"][0]["dropped_steps"] == 1


def test_d3rlpy_1(hdf5, tmp_path):
    demos = make_demos()
    with hdf5.File(tmp_path / "a.h5", "w") as file:
        for name in ("observations", "actions", "rewards", "terminals"):
            file[name] = getattr(demos, name)
        file["episode_terminals"] = (demos.terminals | demos.truncations).astype(np.float32)
        file["discrete_action"], file["version"] = True, "1.0"
    assert_fields(convert(tmp_path / "a.h5"), without_last_steps(demos))


def test_hdf5_that_is_none_damaged_or_a_bomb(hdf5, tmp_path, refused):
    (tmp_path / "a.hdf5").write_bytes(b"\x89HDF\r\n\x1a\nrest")
    assert "expected a whole HDF5 file" in refused("convert", tmp_path / "a.hdf5", tmp_path / "o.npz")
    (tmp_path / "b.hdf5").write_bytes(b"hello")
    assert "expected a known layout" in refused("convert", tmp_path / "b.hdf5", tmp_path / "o.npz")
    with hdf5.File(tmp_path / "c.hdf5", "w") as file:
        for name in ("observations", "actions", "rewards"):
            file.create_dataset(name, shape=(10**9, 3), dtype="f4", chunks=(1000, 3))  # nothing is stored
        file["terminals"] = np.r_[0, 1]
    assert "do not trust this file" in refused("convert", tmp_path / "c.hdf5", tmp_path / "o.npz")


def test_missing_packages_are_named_in_a_line(tmp_path, monkeypatch, refused):
    (tmp_path / "a.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    out = tmp_path / "o.npz"
    assert "pip install 'iqlearn_jax[hdf5]'" in refused("convert", tmp_path / "a.hdf5", out)
    assert "pip install 'iqlearn_jax[arrow]'" in refused("convert", tmp_path, out)
    monkeypatch.setitem(sys.modules, "pyarrow.ipc", None)
    (tmp_path / "meta" / "dataset_info.json").write_text("{}")
    assert "pip install 'iqlearn_jax[arrow]'" in refused("convert", tmp_path / "meta", out)


# pickles and npy


def cs285(demos):
    names = {"observations": "observation", "actions": "action", "rewards": "reward"}
    names |= {"next_observations": "next_observation", "terminals": "terminal"}
    return [
        {name: part[field].astype(np.float32) for field, name in names.items()}
        | {"image_obs": np.zeros(0, np.uint8), "agent_infos": [{}] * len(part["actions"])}
        for _, part in episodes_of(demos)
    ]


def test_a_pickled_dict_for_each_episode(tmp_path):
    demos = make_demos(discrete=False)
    (tmp_path / "cs285.pkl").write_bytes(pickle.dumps(cs285(demos), 3))
    assert_same(demos, convert(tmp_path / "cs285.pkl"))
    transformer = [{name: part[name] for name in FIELDS[:5]} for _, part in episodes_of(demos)]
    transformer[0]["actions"] = list(transformer[0]["actions"])
    (tmp_path / "dt.pkl").write_bytes(pickle.dumps(transformer))
    assert_same(demos, convert(tmp_path / "dt.pkl"))
    assert_same(demos, convert(cs285(demos)))  # and in memory


def test_npy_files(tmp_path, refused):
    demos = make_demos(discrete=False)
    np.save(tmp_path / "a.npy", np.array(cs285(demos), object), allow_pickle=True)
    assert_same(demos, convert(tmp_path / "a.npy"))
    parts = [part for _, part in episodes_of(demos)]
    authors = {"states": "observations", "next_states": "next_observations", "dones": "terminals"}
    authors |= {"actions": "actions", "rewards": "rewards"}
    record = {key: [list(part[field]) for part in parts] for key, field in authors.items()}
    np.save(tmp_path / "b.npy", record, allow_pickle=True)
    assert_same(demos, convert(tmp_path / "b.npy"))
    np.save(tmp_path / "c.npy", demos.observations)
    assert "expected several arrays by name" in refused("convert", tmp_path / "c.npy", tmp_path / "o.npz")
    (tmp_path / "c.npy").write_bytes(b"\x93NUMPY\x07")
    assert "a whole npy file" in refused("convert", tmp_path / "c.npy", tmp_path / "o.npz")


def test_a_pickled_dict_of_arrays(tmp_path):
    demos = make_demos()
    arrays = arrays_of(demos)
    arrays["timeouts"] = arrays.pop("truncations")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(arrays))
    assert_same(demos, convert(tmp_path / "a.pkl"))


@pytest.mark.parametrize(
    ("episodes", "expected"),
    [
        ([], "episodes: expected at least one"),
        ([{"observations": np.zeros((2, 1))}, 3], "episode 1: expected a dict, found int"),
        ([{"obs": np.zeros((3, 1)), "acts": np.zeros((2, 1))}], "found only obs, acts"),
        (
            [{"obs": np.zeros((3, n)), "acts": np.zeros(3)} for n in (1, 2)],
            "obs: expected a column of numbers, found shape [3, 2] in episode 1",
        ),
    ],
)
def test_lists_that_are_no_episodes(episodes, expected, tmp_path, refused):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(episodes))
    options = ("--map", "observations=o") if "only" in expected else ()
    assert expected in refused("convert", tmp_path / "a.pkl", tmp_path / "o.npz", *options)


def test_a_small_list_of_dicts_cannot_become_large(tmp_path, refused):
    big = np.zeros((100_000, 1))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([{"observations": big, "actions": big}] * 100_000))
    message = refused("convert", tmp_path / "a.pkl", tmp_path / "o.npz")
    assert "more than 64 times the file" in message


# npz


def test_sb2_expert_dataset(tmp_path, caplog):
    demos = make_demos()
    starts = np.isin(np.arange(len(demos)), demos.episode_starts)
    np.savez(
        tmp_path / "expert.npz",
        obs=demos.observations,
        actions=demos.actions[:, None],
        rewards=demos.rewards[:, None],
        episode_returns=demos.episode_returns,
        episode_starts=starts,
    )
    converted = convert(tmp_path / "expert.npz")
    assert_fields(converted, without_last_steps(demos, "truncations"))
    assert [line.count("does not say why episodes end: all 2 ends") for line in said(caplog)] == [0, 1]


def test_imitation(tmp_path):
    demos = make_demos((5, 3, 1), (True, False, True))
    episodes = episodes_of(demos)
    np.savez(
        tmp_path / "rollouts.npz",
        obs=np.concatenate([track for track, _ in episodes]),
        acts=demos.actions,
        infos=np.array([{}] * len(demos), object),
        terminal=np.array([part["terminals"].any() for _, part in episodes]),
        rews=demos.rewards,
        indices=np.cumsum(demos.episode_lengths[:-1]),
    )
    assert_same(demos, convert(tmp_path / "rollouts.npz"))
    trajectories = [
        {"obs": track, "acts": part["actions"], "rews": part["rewards"], "infos": None}
        | {"terminal": bool(part["terminals"].any())}
        for track, part in episodes
    ]
    assert_same(demos, convert(trajectories))


def test_imitation_folder(tmp_path, refused):
    pa = pytest.importorskip("pyarrow")
    demos = make_demos((5, 3, 1), (True, False, True))
    rows = {"obs": [], "acts": [], "infos": [], "terminal": [], "rews": []}
    for track, part in episodes_of(demos):
        rows["obs"].append(track.tolist())
        rows["acts"].append(part["actions"].tolist())
        rows["infos"].append(["{}"] * len(part["actions"]))
        rows["terminal"].append(bool(part["terminals"].any()))
        rows["rews"].append(part["rewards"].tolist())
    table = pa.table(rows)
    for i, piece in enumerate((table[:2], table[2:])):
        path = tmp_path / f"data-0000{i}-of-00002.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(piece)
    (tmp_path / "dataset_info.json").write_text("{}")
    assert_same(demos, convert(tmp_path))
    (tmp_path / "data-00000-of-00002.arrow").write_bytes(b"no")
    assert "a whole folder of Arrow files" in refused("convert", tmp_path, tmp_path / "o.npz")


def test_other_folders(tmp_path, refused):
    (tmp_path / "a.txt").write_text("")
    message = refused("convert", tmp_path, tmp_path / "o.npz")
    assert "data/metadata.json (Minari), meta/info.json (LeRobot)" in message and "found a.txt" in message


def test_sb3_buffer_whose_dones_are_timeouts_too(tmp_path):
    demos = make_demos((4, 4), (True, False))
    dones = demos.terminals | demos.truncations
    fields = {"observations": demos.observations, "next_observations": demos.next_observations}
    fields |= {"actions": demos.actions[:, None], "rewards": demos.rewards}
    np.savez(tmp_path / "a.npz", **fields, dones=dones, timeouts=demos.truncations.astype(np.float32))
    converted = convert(tmp_path / "a.npz")
    assert_same(demos, converted)
    assert converted.metadata["conversion"][0]["timeouts_among_dones"] == 1


def test_sb3_buffer_of_several_environments(tmp_path):
    one, other = make_demos((5, 3)), make_demos((2, 6), (False, True), seed=1)
    names = {"observations": "observations", "next_observations": "next_observations", "rewards": "rewards"}
    fields = {
        key: np.stack([getattr(one, name), getattr(other, name)], axis=1) for key, name in names.items()
    }
    fields["actions"] = np.stack([one.actions, other.actions], axis=1)[..., None]
    fields["dones"] = np.stack([one.terminals | one.truncations, other.terminals | other.truncations], axis=1)
    fields["timeouts"] = np.stack([one.truncations, other.truncations], axis=1)
    np.savez(tmp_path / "a.npz", **fields)
    expected = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in FIELDS}
    assert_fields(convert(tmp_path / "a.npz"), expected)
    fields["dones"][-1, 0] = fields["timeouts"][-1, 0] = (
        False  # an open end where the next environment begins
    )
    np.savez(tmp_path / "a.npz", **fields)
    assert_fields(convert(tmp_path / "a.npz"), expected)
    with pytest.raises(InputError, match=r"rewards: expected shape \[8, 2\], ... as the flags, found \[8\]"):
        convert(fields | {"rewards": one.rewards})


def test_d4rl_as_npz(tmp_path):
    demos = make_demos()
    arrays = arrays_of(demos)
    arrays["timeouts"] = arrays.pop("truncations")
    np.savez(tmp_path / "a.npz", **arrays)
    assert_same(demos, convert(tmp_path / "a.npz"))


def test_one_observation_more_for_each_episode(tmp_path):
    demos = make_demos()
    arrays = arrays_of(demos) | {"observations": np.concatenate([track for track, _ in episodes_of(demos)])}
    with pytest.raises(InputError, match="next_observations: expected none, or as many observations"):
        convert(arrays)
    del arrays["next_observations"]
    np.savez(tmp_path / "a.npz", **arrays)
    assert_same(demos, convert(tmp_path / "a.npz"))
    assert_same(convert(arrays_of(demos), max_episodes=1), convert(tmp_path / "a.npz", max_episodes=1))


@pytest.mark.parametrize("save_arrays", [np.savez, np.savez_compressed])
def test_one_flipped_bit_is_noticed(save_arrays, tmp_path, refused):
    demos = make_demos((200,), (True,))
    save_arrays(tmp_path / "a.npz", **arrays_of(demos))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[1500] ^= 1  # in the observations
    (tmp_path / "a.npz").write_bytes(data)
    assert "expected a whole npz file" in refused("convert", tmp_path / "a.npz", tmp_path / "o.npz")


def test_a_pytorch_file_and_object_arrays(tmp_path, refused):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    assert "a PyTorch file" in refused("convert", tmp_path / "a.pt", tmp_path / "o.npz")
    np.savez(tmp_path / "b.npz", **(arrays_of(make_demos()) | {"actions": np.array([{}] * 8, object)}))
    message = refused("convert", tmp_path / "b.npz", tmp_path / "o.npz")
    assert "an object array, which holds a pickle" in message


# folders and tables


@pytest.mark.filterwarnings("ignore")
def test_minari_with_dict_observations_by_its_id(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    from minari.data_collector import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    rng = np.random.default_rng(0)
    box = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    inner = gym.spaces.Dict({"y": box, "x": gym.spaces.Discrete(3)})
    space = gym.spaces.Dict({"observation": box, "goal": inner})
    space.seed(0)
    steps = [space.sample() for _ in range(4)]
    episode = EpisodeBuffer(
        id=0,
        observations={
            "observation": np.stack([step["observation"] for step in steps]),
            "goal": {key: np.stack([step["goal"][key] for step in steps]) for key in ("x", "y")},
        },
        actions=list(rng.normal(size=(3, 1)).astype(np.float32)),
        rewards=[0.0] * 3,
        terminations=[False] * 3,
        truncations=[False, False, True],
    )
    action = gym.spaces.Box(-5, 5, (1,), np.float32)
    minari.create_dataset_from_buffers(
        "test/dicts-v0", [episode], observation_space=space, action_space=action
    )
    demos = convert("test/dicts-v0")
    flat = np.stack([gym.spaces.flatten(space, step) for step in steps]).astype(np.float32)
    np.testing.assert_array_equal(demos.observations, flat[:-1])
    np.testing.assert_array_equal(demos.next_observations, flat[1:])
    assert "observations: obs/goal/x + obs/goal/y + obs/observation" in str(demos.metadata["conversion"])
    chosen = convert("test/dicts-v0", map={"observations": "observation+goal/y"})
    np.testing.assert_array_equal(chosen.next_observations, flat[1:][:, [5, 6, 3, 4]])
    with pytest.raises(InputError, match="minari download"):
        convert("test/others-v0")


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_lerobot(version, tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    demos = make_demos((5, 3), discrete=False)
    tables = []
    for i, (_, part) in enumerate(episodes_of(demos)):
        rows = len(part["rewards"])
        tables.append(
            pa.table(
                {
                    "observation.state": pa.array(list(part["observations"]), pa.list_(pa.float32(), 4)),
                    "action": pa.array(list(part["actions"]), pa.list_(pa.float32())),
                    "next.reward": part["rewards"],
                    "next.done": np.arange(rows) == rows - 1,
                    "episode_index": np.full(rows, i),
                    "frame_index": np.arange(rows),
                }
            )
        )
    chunk = tmp_path / "data" / "chunk-000"
    chunk.mkdir(parents=True)
    if version == "v3.0":
        parquet.write_table(pa.concat_tables(tables), chunk / "file-000.parquet")
    else:
        for i, table in enumerate(tables):
            parquet.write_table(table, chunk / f"episode_{i:06d}.parquet")
    features = {
        "observation.state": {"dtype": "float32", "shape": [4]},
        "observation.images.top": {"dtype": "video", "shape": [4, 4, 3]},
        "action": {"dtype": "float32", "shape": [3]},
        "next.reward": {"dtype": "float32", "shape": [1]},
        "next.done": {"dtype": "bool", "shape": [1]},
        "episode_index": {"dtype": "int64", "shape": [1]},
        "frame_index": {"dtype": "int64", "shape": [1]},
    }
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text(
        json.dumps({"codebase_version": version, "features": features})
    )
    assert_fields(convert(tmp_path), without_last_steps(demos, "terminals"))
    assert convert(tmp_path, max_episodes=1).num_episodes == 1
    with pytest.raises(
        InputError, match=r"observation.images.top: expected a column of numbers, found video"
    ):
        convert(tmp_path, map={"observations": "observation.images.top"})
    (chunk / "episode_000009.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="a whole LeRobot data set"):
        convert(tmp_path)


def table(path, demos, names="episode,obs_0,obs_1,obs_2,obs_3,action,reward,done,who", last="me"):
    rows = []
    for i, (_, part) in enumerate(episodes_of(demos)):
        for t in range(len(part["rewards"])):
            state = ",".join(str(float(x)) for x in part["observations"][t])
            done = str(bool(part["terminals"][t]))
            rows.append(f"{i},{state},{part['actions'][t]},{part['rewards'][t]},{done},{last}")
    path.write_text("\n".join([names, *rows, ""]))
    return path


def test_csv(tmp_path, refused, capsys):
    demos = make_demos()
    assert_fields(convert(table(tmp_path / "a.csv", demos)), without_last_steps(demos))
    map_ = {"observations": "obs_1+obs_0"}
    chosen = convert(tmp_path / "a.csv", map=map_, min_return=-1e9)
    np.testing.assert_array_equal(chosen.observations, without_last_steps(demos)["observations"][:, [1, 0]])
    out = tmp_path / "o.npz"
    capsys.readouterr()
    assert "who: expected a column of numbers, found text" in refused(
        "convert", tmp_path / "a.csv", out, "--map", "actions=who"
    )
    with open(tmp_path / "a.csv", "a") as file:
        file.write("1,2,3\n")
    assert "row 9: expected 9 entries" in refused("convert", tmp_path / "a.csv", out)
    (tmp_path / "b.csv").write_text("1,2\n3,4\n")
    assert "a name for each column" in refused("convert", tmp_path / "b.csv", out)
