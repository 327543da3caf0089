"""Small files that declare large arrays, in every layout; and what readers take for theirs."""

import json

import gymnasium as gym
import numpy as np
import pytest

from iqlearn_jax.data.convert.convert import convert
from iqlearn_jax.data.demos import validate
from iqlearn_jax.envs.spaces import spec_from_spaces
from iqlearn_jax.errors import InputError
from tests.data.made_up import assert_same, make_demos
from tests.data.test_convert import minari_folder
from tests.data.test_layouts import d4rl, episodes_of

BOMB = "bytes of arrays, found"


@pytest.fixture
def hdf5():
    return pytest.importorskip("h5py")


def d3rlpy(h5py, path, count=2, **others):
    with h5py.File(path, "w") as file:
        for i, (_, part) in enumerate(episodes_of(make_demos())):
            file[f"observations_{i}"], file[f"terminated_{i}"] = part["observations"], part["terminals"].any()
            file[f"actions_{i}"], file[f"rewards_{i}"] = part["actions"][:, None], part["rewards"][:, None]
        file["num_episodes"] = count
        for name in others:
            del file[name]
        for name in (name for name, value in others.items() if value is not None):
            file[name] = others[name]
    return path


@pytest.mark.timeout(20)
@pytest.mark.parametrize("count", [3, 10**18, 0, -1, 1.5])
def test_d3rlpy_with_more_episodes_than_there_are(count, hdf5, tmp_path, refused):
    message = refused("convert", d3rlpy(hdf5, tmp_path / "a.h5", count), tmp_path / "o.npz")
    assert "num_episodes: expected 1..2, as many as there are of observations_0, observations_1, " in message
    assert f"found {count} beside " in message and "rewards_1" in message


@pytest.mark.parametrize("name", ["actions_1", "terminated_1", "num_episodes"])
def test_d3rlpy_lists_the_keys_it_has(name, hdf5, tmp_path, refused):
    bad = np.zeros((3, 1)) if name == "num_episodes" else None
    path = d3rlpy(hdf5, tmp_path / "a.h5", **{name: bad})
    message = refused("convert", path, tmp_path / "o.npz")
    assert f"a.h5: {name}: expected " in message and "rewards_0" in message and "observations_1" in message


def test_hdf5_of_many_arrays_that_are_small_enough_each(hdf5, tmp_path, refused):
    with hdf5.File(tmp_path / "a.h5", "w") as file:
        for i in range(12):  # 60 MB each, of which nothing is stored
            group = file.create_group(f"demo_{i}")
            group.create_dataset("obs", shape=(7_500_000, 2), dtype="f4", chunks=(1000, 2))
            group["actions"], group["dones"] = np.zeros((2, 1)), np.r_[0, 1]
    message = refused("convert", tmp_path / "a.h5", tmp_path / "o.npz")
    assert BOMB in message and f"declared in {(tmp_path / 'a.h5').stat().st_size} bytes" in message


def test_rows_of_nothing_are_refused_before_they_are_counted_in_memory(refused, tmp_path):
    empty = np.zeros((2**40, 0), np.float32)  # takes no memory
    np.savez(tmp_path / "a.npz", observations=empty, actions=empty, lengths=np.r_[2**40])
    message = refused("convert", tmp_path / "a.npz", tmp_path / "o.npz")
    assert "observations: expected at least one number in each step" in message


def lerobot(folder, table, **features):
    parquet = pytest.importorskip("pyarrow.parquet")
    (folder / "data" / "chunk-000").mkdir(parents=True)
    (folder / "meta").mkdir()
    parquet.write_table(table, folder / "data" / "chunk-000" / "file-000.parquet", compression="zstd")
    stated = {name: {"dtype": dtype, "shape": [size]} for name, (dtype, size) in features.items()}
    (folder / "meta" / "info.json").write_text(json.dumps({"features": stated}))


def lerobot_of(folder, demos):
    """A whole data set."""
    import pyarrow as pa

    ends = demos.terminals | demos.truncations
    columns = {"observation.state": pa.array(list(demos.observations)), "action": list(demos.actions)}
    columns |= {"next.reward": demos.rewards, "next.done": ends}
    columns["episode_index"] = np.cumsum(ends) - ends
    stated = {"observation.state": ("float32", 4), "action": ("float32", 3), "next.reward": ("float32", 1)}
    stated |= {"next.done": ("bool", 1), "episode_index": ("int64", 1)}
    lerobot(folder, pa.table(columns), **stated)
    return folder


def test_lerobot_of_repeated_rows(tmp_path, refused):
    pa = pytest.importorskip("pyarrow")
    rows = 3_000_000
    states = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(8 * rows, np.float32)), 8)
    columns = {"observation.state": states, "action": np.zeros(rows, np.float32)}
    lerobot(
        tmp_path / "d", pa.table(columns), **{"observation.state": ("float32", 8), "action": ("float32", 1)}
    )
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.parquet")) < 100_000
    assert BOMB in refused("convert", tmp_path / "d", tmp_path / "o.npz")


def test_lerobot_of_text_where_numbers_are_stated_and_without_features(tmp_path, refused):
    pa = pytest.importorskip("pyarrow")
    columns = {"observation.state": ["a", "b"], "action": [1.0, 2.0], "episode_index": [0, 0]}
    stated = {"observation.state": ("float32", 1), "action": ("float32", 1), "episode_index": ("int64", 1)}
    lerobot(tmp_path / "d", pa.table(columns), **stated)
    assert "observation.state is stored as string" in refused("convert", tmp_path / "d", tmp_path / "o.npz")
    (tmp_path / "d" / "meta" / "info.json").write_text('{"fps": 30, "robot": null}')
    message = refused("convert", tmp_path / "d", tmp_path / "o.npz")
    assert "features: expected an object with each feature, found only fps, robot" in message


def arrow(folder, batch, **options):
    pa = pytest.importorskip("pyarrow")
    folder.mkdir()
    (folder / "dataset_info.json").write_text("{}")
    options = pa.ipc.IpcWriteOptions(**options)
    with (
        pa.OSFile(str(folder / "a.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, batch.schema, options=options) as writer,
    ):
        writer.write_batch(batch)
    return folder


def imitation_of(folder, demos):
    """Whole trajectories as `imitation` saves them."""
    import pyarrow as pa

    rows = [
        {"obs": track.tolist(), "acts": part["actions"].tolist(), "rews": part["rewards"].tolist()}
        | {"terminal": bool(part["terminals"].any()), "infos": ["{}"] * len(part["actions"])}
        for track, part in episodes_of(demos)
    ]
    return arrow(folder, pa.RecordBatch.from_pylist(rows))


def test_arrow_that_is_compressed_or_rows_of_nothing(tmp_path, refused):
    pa = pytest.importorskip("pyarrow")
    obs = pa.array([np.zeros(10**6)] * 10)
    batch = pa.record_batch({"obs": obs, "acts": obs})
    message = refused("convert", arrow(tmp_path / "a", batch, compression="zstd"), tmp_path / "o.npz")
    assert "record batch: expected Arrow data as it is, found compressed data" in message
    nothing = pa.record_batch({"obs": pa.nulls(10**8)})
    message = refused("convert", arrow(tmp_path / "b", nothing), tmp_path / "o.npz")
    assert BOMB in message
    text = pa.record_batch({"obs": pa.array([["a"], ["b"]]), "acts": pa.array([[1.0], [2.0]])})
    message = refused("convert", arrow(tmp_path / "c", text), tmp_path / "o.npz")
    assert "obs: expected a column of numbers, found str" in message and "acts" in message


def minari(tmp_path, monkeypatch, space, observations, data_format="hdf5"):
    made = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    pytest.importorskip("pyarrow")
    from minari.data_collector import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    steps = 3
    episode = EpisodeBuffer(
        id=0,
        observations=observations,
        actions=list(np.zeros((steps, 1), np.float32)),
        rewards=[0.0] * steps,
        terminations=[False] * steps,
        truncations=[False, False, True],
    )
    made.create_dataset_from_buffers(
        "test/a-v0",
        [episode],
        observation_space=space,
        action_space=gym.spaces.Box(-5, 5, (1,), np.float32),
        data_format=data_format,
    )
    return tmp_path / "test" / "a-v0"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("nested", [True, False])
def test_minari_flattens_integers_as_the_environment_does(nested, tmp_path, monkeypatch):
    inner = gym.spaces.MultiDiscrete([2, 3], start=[0, -1])
    integers = np.array([[0, -1], [1, 1], [1, 0], [0, 1]])
    box = np.arange(8, dtype=np.float32).reshape(4, 2)
    space = gym.spaces.Dict({"a": gym.spaces.Box(-9, 9, (2,), np.float32), "b": inner}) if nested else inner
    demos = convert(minari(tmp_path, monkeypatch, space, {"a": box, "b": integers} if nested else integers))
    spec = spec_from_spaces(space, gym.spaces.Box(-5, 5, (1,), np.float32), "Made-v0")
    assert spec.obs_shape == (7 if nested else 5,)
    validate(demos, spec)
    own = {"a": box, "b": integers} if nested else integers
    flat = np.asarray(spec.spaces.flat_obs(own))
    np.testing.assert_array_equal(spec.spaces.flat_obs(demos.observations), flat[:-1])
    np.testing.assert_array_equal(spec.spaces.flat_obs(demos.next_observations), flat[1:])


@pytest.mark.filterwarnings("ignore")
def test_minari_with_integers_outside_their_space_or_in_a_huge_one(tmp_path, monkeypatch, refused):
    space = gym.spaces.Dict({"b": gym.spaces.MultiDiscrete([2, 3])})
    folder = minari(tmp_path, monkeypatch, space, {"b": np.array([[0, 1], [1, 1], [1, 3], [0, 1]])})
    message = refused("convert", folder, tmp_path / "o.npz")
    assert "'b': expected integers of MultiDiscrete([2 3]), found int64 [4, 2], 0..3" in message
    stored = folder / "data" / "metadata.json"
    metadata = json.loads(stored.read_text())
    huge = metadata | {
        "observation_space": metadata["observation_space"].replace("[2, 3]", "[2, 2000000000]")
    }
    assert huge != metadata
    stored.write_text(json.dumps(huge))
    message = refused("convert", folder, tmp_path / "o.npz")
    assert "at most 100000 entries of integers as one-hot vectors, found 2000000002" in message


@pytest.mark.filterwarnings("ignore")
def test_minari_whose_episodes_are_unlike(tmp_path, monkeypatch, refused):
    _, folder = minari_folder(tmp_path, monkeypatch)
    import h5py

    with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
        del file["episode_1/actions"]
        file["episode_1/actions"] = np.zeros((3, 4), np.float32)
    message = refused("convert", folder, tmp_path / "o.npz")
    assert "actions: expected rows of one shape in every episode, found shape [3, 4] in episode 1" in message


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("data_format", ["hdf5", "parquet", "arrow"])
def test_minari_whose_storage_declares_too_much(data_format, tmp_path, monkeypatch):
    space = gym.spaces.Box(-9, 9, (2,), np.float32)
    observations = np.arange(8, dtype=np.float32).reshape(4, 2)
    folder = minari(tmp_path, monkeypatch, space, observations, data_format)
    assert len(convert(folder)) == 3
    grow = _grow_hdf5 if data_format == "hdf5" else _grow_arrow
    grow(folder / "data", data_format)
    with pytest.raises(InputError, match="compressed data" if data_format == "arrow" else BOMB):
        convert(folder)


def _grow_hdf5(folder, data_format):
    import h5py

    with h5py.File(folder / "main_data.hdf5", "a") as file:
        del file["episode_0/observations"]
        for name in ("observations", "infos/x"):
            file.create_dataset(f"episode_0/{name}", shape=(10**7, 2), dtype="f4", chunks=(1000, 2))


def _grow_arrow(folder, data_format):
    import pyarrow as pa
    import pyarrow.dataset as ds

    table = pa.table({"observations": pa.FixedSizeListArray.from_arrays(np.zeros(2 * 10**7), 2)})
    kind = ds.IpcFileFormat() if data_format == "arrow" else ds.ParquetFileFormat()
    options = {"file_options": kind.make_write_options(compression="zstd")}
    ds.write_dataset(table, folder / "0", format=kind, existing_data_behavior="delete_matching", **options)


@pytest.mark.parametrize("beside", ['{"algorithm": "SAC", "observation_space": "Box(4)"}', "[]", "{"])
def test_a_file_beside_some_metadata_is_not_for_that_minari(beside, hdf5, tmp_path, refused):
    demos = make_demos(discrete=False)
    path = d4rl(hdf5, tmp_path / "a.hdf5", demos)
    (tmp_path / "metadata.json").write_text(beside)
    assert_same(demos, convert(path))
    assert "folder: expected a folder with" in refused("convert", tmp_path, tmp_path / "o.npz")


def test_what_is_no_column_is_refused_with_the_keys_there_are():
    with pytest.raises(InputError, match="found str, which is no array of numbers beside pos"):
        convert({"pos": np.zeros((3, 1)), "actions": "x"}, map={"observations": "pos"})


@pytest.mark.parametrize("value", [1e300, 1e30, np.inf, np.nan])
def test_numbers_beyond_measure_are_refused_without_a_warning(value):
    numbers = np.zeros((4, 2))
    numbers[1, 0] = value
    arrays = {"observations": np.ones((4, 2)), "actions": np.zeros((4, 1)), "episode": np.zeros(4)}
    for name in ("observations", "actions") if abs(value) != 1e30 else ():
        with pytest.raises(InputError, match=rf"{name}\[1, 0\]: expected a finite number"):
            convert(arrays | {name: numbers})
    with pytest.raises(InputError, match="episode: expected a list of whole numbers"):
        convert(arrays | {"episode": numbers[:, 0]})
