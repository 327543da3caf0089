"""Files of any names: the mapping, ends in every notation, and which episodes are kept."""

import tracemalloc

import numpy as np
import pytest

import iqlearn_jax
from iqlearn_jax.cli.main import main
from iqlearn_jax.data.convert.convert import convert
from iqlearn_jax.data.convert.names import parse_map
from iqlearn_jax.data.demos import load
from iqlearn_jax.data.save import save
from iqlearn_jax.errors import InputError
from tests.data.made_up import arrays_of, assert_same, make_demos

DEMOS = make_demos((4, 2, 3), (False, False, False))
NAMES = {"observations": "x", "actions": "u", "rewards": "gain", "next_observations": "y"}
FIRST = [True, False, False, False, True, False, True, False, False]
LAST = [False, False, False, True, False, True, False, False, True]


def strange(**more):
    return {key: getattr(DEMOS, field) for field, key in NAMES.items()} | more


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("episode_starts", FIRST),
        ("episode_starts", [[float(x)] for x in FIRST]),
        ("episode_starts", [0, 4, 6]),
        ("episode_ends", LAST),
        ("episode_ends", [*LAST[:-1], False]),  # the last one is open
        ("episode_ends", [3, 5, 8]),
        ("episode_ends", [4, 6, 9]),  # exclusive, as diffusion policy's
        ("lengths", [4, 2, 3]),
        ("lengths", [4.0, 2.0, 3.0]),
    ],
)
def test_ends_in_every_notation(option, values):
    demos = convert(strange(here=np.array(values)), map=NAMES, **{option: "here"})
    assert_same(DEMOS, demos)
    assert demos.metadata["conversion"][0]["ends_without_reason"] == 3


@pytest.mark.parametrize("numbers", [[7, 7, 7, 7, 1, 1, 2, 2, 2]])
def test_episodes_by_number(numbers):
    assert_same(DEMOS, convert(strange(run=np.array(numbers)), map=NAMES | {"episode": "run"}))
    numbers[-1] = 7
    with pytest.raises(InputError, match="episode: expected each episode in one piece"):
        convert(strange(run=np.array(numbers)), map=NAMES | {"episode": "run"})


@pytest.mark.parametrize(
    ("option", "values", "expected"),
    [
        (
            "lengths",
            [4, 2, 2],
            "lengths: expected episodes of one step or more, 9 in all, found 3 of 8 steps",
        ),
        ("lengths", [4, 0, 5], "lengths: expected episodes of one step or more"),
        ("lengths", [4.5, 4.5], "lengths: expected a list of whole numbers or flags"),
        ("lengths", [4.0, np.inf], "lengths: expected a list of whole numbers or flags"),
        (
            "episode_starts",
            [1, 4],
            "episode_starts: expected a start at step 0, found the first one at step 1",
        ),
        ("episode_starts", [0, 6, 4], "episode_starts: expected 9 flags, or rising numbers of steps"),
        ("episode_ends", [3, 5, 7], "episode_ends: expected a last end at step 8 (or 9, exclusive)"),
        ("timeouts", [0, 1], "timeouts: expected 9 flags, one for each step"),
        ("timeouts", [2] * 9, "timeouts[0]: expected 0 or 1"),
    ],
)
def test_ends_that_cannot_be(option, values, expected):
    with pytest.raises(InputError) as error:
        convert(strange(here=np.array(values)), map=NAMES, **{option: "here"})
    assert expected in str(error.value)


def test_timeouts_say_what_the_other_ends_are():
    late = np.isin(np.arange(9), (5,))
    demos = convert(strange(over=LAST, late=late), map=NAMES, episode_ends="over", timeouts="late")
    assert demos.terminals.nonzero()[0].tolist() == [3, 8] and demos.truncations.nonzero()[0].tolist() == [5]
    demos = convert(strange(first=FIRST, late=late), map=NAMES, episode_starts="first", timeouts="late")
    assert demos.terminals.nonzero()[0].tolist() == [3, 8]
    over = np.array([*LAST[:-1], False])  # an open end is no end of the task
    demos = convert(strange(over=over, late=late), map=NAMES, episode_ends="over", timeouts="late")
    assert demos.terminals.nonzero()[0].tolist() == [3] and demos.truncations.nonzero()[0].tolist() == [5, 8]
    # whoever names the timeouts means them to win
    demos = convert(strange(terminals=LAST, late=late), map=NAMES, timeouts="late")
    assert demos.terminals.nonzero()[0].tolist() == [3, 8] and demos.truncations.nonzero()[0].tolist() == [5]
    assert demos.metadata["conversion"][0]["timeouts_among_dones"] == 1


def test_complete_flags_need_no_boundaries():
    assert_same(DEMOS, convert(arrays_of(DEMOS) | {"lengths": np.array([1, 2]), "episode": np.arange(9)}))


def test_ends_that_disagree():
    early = np.arange(9) == 4
    with pytest.raises(
        InputError, match=r"terminals\[4\]: expected no end inside episode 1.*--map terminals="
    ):
        convert(strange(terminals=early, n=[4, 2, 3]), map=NAMES, lengths="n")
    demos = convert(strange(terminals=early, n=[4, 2, 3]), map=NAMES | {"terminals": ""}, lengths="n")
    assert_same(DEMOS, demos)


def test_what_a_file_lacks_is_said_with_what_it_has():
    with pytest.raises(
        InputError, match="observations: expected a column 'observations', found only x, u, gain, y"
    ):
        convert(strange())
    with pytest.raises(InputError, match="actions: expected a column 'v', found only x, u, gain, y"):
        convert(strange(), map=NAMES | {"actions": "v"})
    with pytest.raises(InputError, match="lengths: expected a column 'n', found only"):
        convert(strange(), map=NAMES, lengths="n")
    with pytest.raises(
        InputError,
        match=r"terminals: expected ends of episodes, found no flags or episodes among x, u, gain, y; say",
    ):
        convert(strange(), map=NAMES)
    with pytest.raises(InputError, match="unknown field to map 'action'; did you mean actions"):
        convert(strange(), map={"action": "u"})
    with pytest.raises(InputError, match="expected FIELD=KEY"):
        parse_map("observations")


def test_columns_side_by_side():
    left, right = DEMOS.observations[:, 3:], DEMOS.observations[:, :3]
    arrays = arrays_of(DEMOS) | {"a": right, "b": left[:, 0], "obs": {"p": right, "q": left}}
    del arrays["observations"], arrays["next_observations"]
    expected = convert(arrays_of(DEMOS) | {"next_observations": None})
    for name in ("a+b", "obs", "obs/p+obs/q"):
        assert_same(expected, convert(arrays, map={"observations": name}))
    whole = convert(arrays)  # a group of a usual name, without being asked
    assert_same(expected, whole)
    assert whole.metadata["conversion"][0]["columns"] == "observations: obs/p + obs/q"
    arrays["image"] = np.zeros((9, 2, 2, 3), np.uint8)
    with pytest.raises(InputError, match="expected vectors to put side by side"):
        convert(arrays, map={"observations": "image+a"})
    with pytest.raises(InputError, match="expected as many rows in each part"):
        convert(arrays | {"b": left[:3]}, map={"observations": "a+b"})


def test_numbered_states_and_single_numbers():
    names = NAMES | {"next_observations": ""}
    states = convert(strange(x=np.arange(9)[:, None], n=[4, 2, 3]), map=names, lengths="n")
    assert states.observations.tolist() == [0, 1, 2, 4, 6, 7] and states.observations.dtype == np.int32
    numbers = convert(strange(x=np.arange(9) / 2, n=[4, 2, 3]), map=names, lengths="n")
    assert numbers.observations.shape == (6, 1)


def test_episodes_of_one_step_have_no_successors():
    arrays = strange(n=[1, 1, 7])
    del arrays["y"]
    names = {field: key for field, key in NAMES.items() if key != "y"}
    assert convert(arrays, map=names, lengths="n").episode_lengths.tolist() == [6]
    with pytest.raises(InputError, match="expected an episode of two steps or more"):
        convert(arrays | {"n": [1] * 9}, map=names, lengths="n")


def test_rows_that_do_not_fit():
    for name, rows in (("gain", 8), ("x", 10), ("y", 8)):
        arrays = strange(n=[4, 2, 3]) | {name: np.zeros((rows, 1))}
        with pytest.raises(InputError, match=f"expected 9 rows, one for each step.*found {rows}"):
            convert(arrays, map=NAMES, lengths="n")
    with pytest.raises(InputError, match=r"rewards: expected one number for each step, found \[9, 2\]"):
        convert(strange(n=[4, 2, 3]) | {"gain": np.zeros((9, 2))}, map=NAMES, lengths="n")


def test_only_good_episodes():
    returns = DEMOS.episode_returns
    kept = np.repeat(returns >= np.sort(returns)[1], DEMOS.episode_lengths)
    demos = convert(arrays_of(DEMOS), min_return=np.sort(returns)[1])
    for name, array in arrays_of(DEMOS).items():
        np.testing.assert_array_equal(getattr(demos, name), array[kept])
    assert demos.metadata["conversion"][0]["kept_episodes"] == "2 of 3"
    assert convert(arrays_of(DEMOS), min_return=np.sort(returns)[1], max_episodes=1).num_episodes == 1
    with pytest.raises(InputError, match="rewards: expected a return of 1000 or more, found at most"):
        convert(arrays_of(DEMOS), min_return=1000)
    with pytest.raises(InputError, match="expected rewards, to compare returns with"):
        convert(arrays_of(DEMOS) | {"rewards": None}, min_return=0)


def test_observations_only(tmp_path):
    arrays = arrays_of(DEMOS)
    assert convert(arrays, observation_only=True).actions is None
    np.savez(tmp_path / "a.npz", **{name: array for name, array in arrays.items() if name != "actions"})
    with pytest.raises(InputError, match="actions: expected a column 'actions', found only observations"):
        convert(tmp_path / "a.npz")
    command = ["demos", "convert", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "--observation-only"]
    assert main(command) == 0
    demos = load(tmp_path / "b.npz", observation_only=True)
    np.testing.assert_array_equal(demos.observations, DEMOS.observations)


def test_the_mapping_on_the_command_line(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", **strange(first=FIRST))
    names = ",".join(f"{field}={key}" for field, key in NAMES.items())
    paths = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    assert main(["demos", "convert", *paths, f"--map={names}", "--episode-starts=first"]) == 0
    assert_same(DEMOS, load(tmp_path / "b.npz"))
    printed = capsys.readouterr()
    assert "columns: observations: x, actions: u" in " ".join(printed.out.split())
    assert printed.err.count("\n") == 1 and "all 3 ends are taken as cut by time" in printed.err
    assert_same(DEMOS, iqlearn_jax.convert_demos(strange(first=FIRST), map=NAMES, episode_starts="first"))


@pytest.mark.parametrize(
    "order",
    ["{out} --merge {a} {b}", "--merge {a} {b} {out}", "{a} {out} --merge {b}", "--merge {a} {b} -- {out}"],
)
def test_several_files_become_one(order, tmp_path):
    one, other = make_demos((3,), (True,)), make_demos((2, 4), (False, True), seed=1)
    paths = {name: tmp_path / f"{name}.npz" for name in ("a", "b", "out")}
    save(paths["a"], one)
    save(paths["b"], other)
    assert main(["demos", "convert", *order.format(**paths).split()]) == 0
    merged = load(paths["out"])
    for name in ("observations", "actions", "rewards", "terminals", "truncations"):
        np.testing.assert_array_equal(
            getattr(merged, name), np.concatenate([getattr(one, name), getattr(other, name)])
        )
    assert [entry["source"] for entry in merged.metadata["conversion"]] == ["a.npz", "b.npz"]


def test_files_that_cannot_become_one(tmp_path, refused):
    save(tmp_path / "a.npz", make_demos())
    save(tmp_path / "b.npz", make_demos(discrete=False))
    out = tmp_path / "out.npz"
    message = refused("convert", out, "--merge", tmp_path / "a.npz", tmp_path / "b.npz")
    assert "b.npz: actions: expected int32 [] as in" in message and not out.exists()
    assert "expected SOURCE TARGET, found 3 files" in refused("convert", "a", "b", "c")
    assert "expected SOURCE TARGET, found 1 files" in refused("convert", "a")
    assert "expected TARGET --merge" in refused("convert", "a", "b", "c", "--merge", "d")


def big_npz(path, rows, save_arrays):
    ends = np.arange(rows) % 100 == 99
    wide = np.zeros((rows, 500), np.float32)
    fields = {"observations": wide, "next_observations": wide, "actions": np.zeros(rows, np.int32)}
    rewards = 1 + (np.arange(rows) >= rows - 100).astype(np.float32)  # the last episode is the best
    save_arrays(path, **fields, rewards=rewards, terminals=ends, timeouts=~ends & False)


@pytest.mark.parametrize("save_arrays", [np.savez, np.savez_compressed])
def test_a_few_episodes_of_a_large_file_need_little_memory(save_arrays, tmp_path):
    big_npz(tmp_path / "a.npz", 10_000, save_arrays)  # 40 MB
    tracemalloc.start()
    few = convert(tmp_path / "a.npz", max_episodes=1)
    good = convert(tmp_path / "a.npz", min_return=101, max_episodes=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(few), len(good), good.rewards.sum()) == (100, 100, 200)
    assert peak < 8e6


def test_rows_are_found_wherever_they_lie(tmp_path):
    arrays = arrays_of(make_demos((3,) * 20, (False,) * 20, discrete=False))
    arrays["rewards"] = np.repeat(np.arange(20) % 3 == 1, 3).astype(np.float32)
    arrays["observations"] = np.asfortranarray(arrays["observations"])
    np.savez(tmp_path / "a.npz", **arrays)
    assert convert(tmp_path / "a.npz").actions.flags.writeable
    demos = convert(tmp_path / "a.npz", min_return=1)
    rows = np.flatnonzero(arrays["rewards"])
    for name in ("observations", "actions", "next_observations"):
        np.testing.assert_array_equal(getattr(demos, name), arrays[name][rows])
