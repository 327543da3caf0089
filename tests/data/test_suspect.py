"""What looks wrong is said in one line, and not where it is right; what `convert` offers then mends it."""

import dataclasses

import numpy as np
import pytest

from iqlearn_jax.cli.main import main
from iqlearn_jax.data.convert.convert import convert
from iqlearn_jax.data.demos import BUNDLED, Demos, load, suspicious, transitions
from iqlearn_jax.data.save import save
from iqlearn_jax.data.suspect import lost_in_float32
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec
from tests.data.made_up import arrays_of, make_demos

LENGTHS = (5, 3, 4)
CUT, DONE, MIXED = (False,) * 3, (True,) * 3, (True, False, True)
SPEC = EnvSpec("CartPole-v1", (4,), np.dtype(np.float32), 2, None, None, 500)


def box(*bounds):
    low, high = np.float32([[-b for b in bounds], bounds])
    return EnvSpec("Box-v0", (4,), np.dtype(np.float32), None, low, high, 500)


def episodes(terminal=CUT, lengths=LENGTHS, **changes):
    demos = make_demos(lengths, terminal)
    last = np.cumsum(lengths) - 1
    return dataclasses.replace(demos, **{name: change(demos, last) for name, change in changes.items()})


def put(field, values):
    """A copy of a field whose rows at the ends are `values(demos, last)`."""

    def change(demos, last):
        array = getattr(demos, field).copy()
        array[last] = values(demos, last)
        return array

    return change


def rolled(demos, last):
    return np.roll(demos.observations, -1, axis=0)[last]


def one(lines):
    assert len(lines) == 1 and "\n" not in lines[0]
    return lines[0]


@pytest.mark.parametrize("path", sorted(BUNDLED.glob("*.npz")), ids=lambda path: path.stem)
def test_nothing_is_said_of_the_bundled_files(path):
    demos = load(path)
    assert suspicious(demos) == []
    if demos.observations.ndim == 2 and demos.actions.dtype.kind != "f":
        spec = SPEC._replace(obs_shape=demos.observations.shape[1:])
        assert suspicious(demos, spec) == []


@pytest.mark.parametrize("terminal", [CUT, DONE, MIXED])
def test_nothing_is_said_of_good_files(terminal):
    assert suspicious(episodes(terminal)) == []
    assert suspicious(episodes(terminal), SPEC) == []


@pytest.mark.parametrize("terminal", [CUT, DONE, MIXED])
def test_the_next_episodes_start_is_no_successor(terminal):
    text = one(suspicious(episodes(terminal, next_observations=put("next_observations", rolled))))
    assert "at 2 of 2 inner ends next_observations is the next episode's first one" in text
    assert ("--drop-last" in text) == (terminal != DONE)


def test_a_row_that_only_resets_is_seen():
    """A vector environment's NEXT_STEP mode: the row after an end leads from the last state to a reset."""
    demos = make_demos((6, 6), CUT[:2])
    observations = demos.observations.copy()
    observations[6] = demos.next_observations[5]
    assert "1 of 1 inner ends" in one(suspicious(dataclasses.replace(demos, observations=observations)))


def test_masks_in_place_of_ends_are_named():
    demos = make_demos((20, 20), CUT[:2])
    text = one(suspicious(dataclasses.replace(demos, terminals=~demos.truncations)))
    assert "40 of 40 steps end an episode" in text and "1 - done" in text


def test_tabular_states_may_well_agree():
    states = np.array([0, 1, 2, 0, 1, 2], np.int32)
    ends = np.array([False, False, True] * 2)
    demos = Demos(states, np.zeros(6, np.int32), None, np.roll(states, -1), ends, ~ends & False)
    assert "next episode" not in " ".join(suspicious(demos))


FILLERS = {
    "the last observation again": lambda demos, last: demos.observations[last],
    "all zeros": lambda demos, last: 0,
}


@pytest.mark.parametrize("what", FILLERS)
def test_fillers_are_no_successors_at_truncated_ends(what):
    filled = {"next_observations": put("next_observations", FILLERS[what])}
    text = one(suspicious(episodes(CUT, **filled)))
    assert f"at 3 of 3 truncated ends next_observations is {what}" in text and "--drop-last" in text
    assert suspicious(episodes(DONE, **filled)) == []  # nothing follows a terminal


def test_an_expert_that_holds_still_is_its_own_successor():
    track = np.zeros((7, 4), np.float32)
    track[:3] = np.random.default_rng(0).normal(size=(3, 4))
    demos = make_demos((6,), (False,))
    for rest in (0.0, 1.0):
        track[3:] = rest
        still = dataclasses.replace(demos, observations=track[:-1], next_observations=track[1:])
        assert suspicious(still) == []


def test_last_steps_are_dropped_where_they_are_cut():
    whole = episodes(MIXED)
    broken = episodes(MIXED, next_observations=put("next_observations", FILLERS["all zeros"]))
    mended = convert_in_memory(broken, drop_last=True)
    assert mended.episode_lengths.tolist() == [5, 2, 4]
    assert mended.truncations.tolist() == [False] * 6 + [True] + [False] * 4
    kept = np.delete(np.arange(12), 7)
    np.testing.assert_array_equal(mended.actions, whole.actions[kept])
    np.testing.assert_array_equal(mended.next_observations[5:7], whole.next_observations[5:7])
    assert mended.metadata["conversion"][0]["dropped_last_steps"] == 1
    single = convert_in_memory(episodes(CUT, (1, 3, 1)), drop_last=True)
    assert single.episode_lengths.tolist() == [2]
    with pytest.raises(InputError, match="drop_last: expected an episode of two steps or more"):
        convert_in_memory(episodes(CUT, (1, 1, 1)), drop_last=True)


def convert_in_memory(demos, **options):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        np.savez(f"{folder}/a.npz", **{k: x for k, x in arrays_of(demos).items() if x is not None})
        return convert(f"{folder}/a.npz", **options)


def test_ends_that_are_both_kinds():
    both = episodes(DONE, truncations=lambda demos, last: demos.terminals)
    text = one(suspicious(both))
    assert "each of the 3 truncations is a terminal as well" in text and "--timeouts-win" in text
    mended = convert_in_memory(both, timeouts_win=True)
    assert not mended.terminals.any() and mended.truncations.sum() == 3
    assert mended.metadata["conversion"][0]["timeouts_taken_as_truncations"] == 3
    some = episodes(DONE, truncations=put("truncations", lambda demos, last: [True, False, False]))
    mended = convert_in_memory(some, timeouts_win=True)  # an end of the task stays one
    assert mended.terminals.sum() == 2 and mended.truncations.sum() == 1


@pytest.mark.parametrize(
    ("lengths", "terminal", "limit", "said"),
    [
        ((6, 6, 6), DONE, 500, "3 of 3 episodes are terminated after exactly 6 steps, the longest"),
        ((6, 6, 5), DONE, 500, None),  # may well be a coincidence
        ((6, 6, 6), MIXED, 500, None),
        ((6,), (True,), 500, None),
        (
            (6,),
            (True,),
            6,
            "1 of 1 episodes are terminated after exactly 6 steps, the time limit of CartPole-v1",
        ),
        ((6, 2), (False, True), 6, None),
        ((1,) * 8, (True,) * 8, 500, None),  # bandits
        ((9,) * 5 + (3, 4), (True,) * 7, 500, "5 of 7 episodes"),
    ],
)
def test_time_limits_recorded_as_terminals(lengths, terminal, limit, said):
    demos = episodes(terminal, lengths)
    lines = suspicious(demos, SPEC._replace(max_episode_steps=limit))
    assert lines == [] if said is None else said in one(lines)
    if said is not None:
        assert f"--max-episode-steps {max(lengths)}" in lines[0]
        mended = convert_in_memory(demos, max_episode_steps=max(lengths))
        assert suspicious(mended, SPEC._replace(max_episode_steps=limit)) == []
        assert mended.truncations.sum() == sum(length == max(lengths) for length in lengths)
        note = mended.metadata["conversion"][0]
        assert note["dones_taken_as_truncations"] == mended.truncations.sum()


def test_rewards_of_zeros_are_not_known():
    demos = episodes(rewards=lambda demos, last: np.zeros(len(demos), np.float32))
    assert "rewards are 0 at every step" in one(suspicious(demos))
    assert demos.episode_returns is None and np.isnan(transitions(demos).reward).all()
    assert convert_in_memory(episodes(rewards=lambda d, _: np.full(len(d), np.nan))).rewards is None


def continuous(*columns):
    demos = make_demos((6,), (False,), discrete=False)
    return dataclasses.replace(demos, actions=np.tile(np.float32(columns), (1, 3)).T)


@pytest.mark.parametrize("bounds", [(2.0,), (1.0, 2.0), (0.4,)])
def test_actions_that_span_one_exactly_are_offered_to_be_rescaled(bounds):
    demos = continuous(*([-1.0, 1.0],) * len(bounds))
    spec = box(*bounds)
    if min(bounds) < 1:
        with pytest.raises(InputError, match=r"they span -1\.\.1 exactly.*--rescale-actions"):
            convert_in_memory(demos, spec=spec)
    else:
        text = one(suspicious(demos, spec))
        assert "actions span -1..1 exactly, but Box-v0 takes -2..2" in text and "--rescale-actions" in text
    mended = convert_in_memory(demos, spec=spec, rescale_actions=True)
    np.testing.assert_allclose(mended.actions, np.float32(bounds) * demos.actions, rtol=1e-6)
    assert suspicious(mended, spec) == []
    assert mended.metadata["conversion"][0]["rescaled_actions"]["from"] == [-1, 1]


@pytest.mark.parametrize(
    ("column", "bound"), [([-1.0, 1.0], 1.0), ([-2.0, 2.0], 2.0), ([-0.97, 1.0], 2.0), ([-1.0, 0.5], 2.0)]
)
def test_other_actions_are_nothing_to_talk_of(column, bound):
    assert suspicious(continuous(column), box(bound)) == []


def test_boxes_that_are_not_symmetric():
    spec = box(1.0)._replace(action_low=np.float32([0.0]), action_high=np.float32([10.0]))
    mended = convert_in_memory(continuous([-1.0, 0.5]), spec=spec, rescale_actions=True)
    np.testing.assert_allclose(mended.actions[:2, 0], [0.0, 7.5], rtol=1e-6)


def test_what_cannot_be_rescaled():
    with pytest.raises(InputError, match="rescale_actions: expected bounds of actions, found no environment"):
        convert_in_memory(continuous([-1.0, 1.0]), rescale_actions=True)
    for option in ("rescale_actions", "clip_actions"):
        with pytest.raises(InputError, match=f"{option}: expected continuous actions .*found int32"):
            convert_in_memory(episodes(), spec=SPEC, **{option: True})
    with pytest.raises(InputError, match=r"actions\[1, 0\]: expected -1\.\.1, found 1\.5"):
        convert_in_memory(continuous([-1.0, 1.5]), spec=box(2.0), rescale_actions=True)
    with pytest.raises(InputError, match="leave one out"):
        convert_in_memory(continuous([0.0, 0.0]), spec=box(2.0), rescale_actions=True, clip_actions=True)
    with pytest.raises(InputError, match=r"--rescale-actions' brings .* to -0\.4\.\.0\.4, --clip-actions"):
        convert_in_memory(continuous([-0.9, 0.8]), spec=box(0.4))


COLUMNS = {
    "time stamps": (1.7e9 + 0.05 * np.arange(100), "column 1 (100 values become 1)"),
    "map coordinates": (5e6 + 0.01 * np.arange(100), "column 1 (100 values become 3)"),
    "an offset": (1000 + np.sin(np.arange(100)), None),
    "a constant": (np.full(100, 123456.789), None),
    "rest": (1.0 + np.r_[np.linspace(-1, 0, 10), 1e-10 * np.arange(90)], None),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_that_float32_cannot_hold(name):
    values, said = COLUMNS[name]
    lines = lost_in_float32(np.c_[np.random.default_rng(0).normal(size=100), values], "observations")
    assert lines == [] if said is None else said in one(lines)
    assert lost_in_float32(np.float32(values)[:, None], "observations") == []  # nothing more is lost


def test_what_the_cast_loses_is_said(caplog):
    """Unix time, ten episodes a day apart: within each of them all float32 numbers are one."""
    time = 1.7e9 + 86400 * np.repeat(np.arange(10), 10) + 0.05 * np.tile(np.arange(10), 10)
    ends = np.arange(100) % 10 == 9
    now, after = (np.c_[np.zeros(100), x] for x in (time, time + 0.05))
    Demos(now, np.zeros(100, int), None, after, truncations=ends)
    texts = [record.getMessage() for record in caplog.records]
    assert "demos: observations: float32 cannot tell neighbours apart: column 1 (100 values" in one(texts)


def test_what_a_file_in_float64_will_lose_is_said(tmp_path, capsys):
    """Written by hand in the format: nothing casts it before training does."""
    time = 1.7e9 + 86400 * np.repeat(np.arange(10), 10) + 0.05 * np.tile(np.arange(10), 10)
    ends = np.arange(100) % 10 == 9
    now, after = (np.c_[np.zeros(100), x] for x in (time, time + 0.05))
    arrays = {"actions": np.zeros(100, np.int32), "terminals": np.zeros(100, bool), "truncations": ends}
    np.savez(tmp_path / "a.npz", observations=now, next_observations=after, **arrays)
    for command in ("inspect", "validate"):
        assert main(["demos", command, str(tmp_path / "a.npz")]) == 0
        assert "float32 cannot tell neighbours apart: column 1" in capsys.readouterr().err


def test_the_commands_say_it(tmp_path, capsys):
    path = tmp_path / "a.npz"
    save(path, episodes(DONE, (6, 6, 6)))
    for argv in (["inspect", path], ["validate", path], ["convert", path, tmp_path / "b.npz"]):
        assert main(["demos", *map(str, argv)]) == 0
        said = capsys.readouterr().err
        assert said.startswith(f"warning: {path}: 3 of 3 episodes") and said.count("\n") == 1
    options = ["--max-episode-steps", "6", "--timeouts-win", "--drop-last"]
    assert main(["demos", "convert", str(path), str(tmp_path / "c.npz"), *options]) == 0
    assert capsys.readouterr().err == ""
    assert load(tmp_path / "c.npz").episode_lengths.tolist() == [5, 5, 5]


def test_discrete_actions_below_0_are_said_where_no_environment_is_asked(tmp_path, capsys):
    demos = make_demos(lengths=(3, 4), terminal=(True, True))
    arrays = arrays_of(demos)
    save(tmp_path / "below.npz", Demos(**arrays | {"actions": arrays["actions"] - 1}))
    assert not [line for line in suspicious(demos) if "below 0" in line]
    assert main(["demos", "validate", str(tmp_path / "below.npz")]) == 0
    below = int((arrays["actions"] == 0).sum())
    assert f"{below} of 7 discrete actions are below 0" in capsys.readouterr().err and below
