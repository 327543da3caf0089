"""Demonstrations from arrays and lists: what is cast, what may be left out, what is refused."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.data.demos import Demos, blank_actions, load_demos
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec
from tests.data.made_up import arrays_of, assert_same, make_demos

SPEC = EnvSpec("CartPole-v1", (4,), np.dtype(np.float32), 2, None, None, 500)


def without(*names, **changes):
    arrays = arrays_of(make_demos()) | changes
    return {name: array for name, array in arrays.items() if name not in names}


@pytest.mark.parametrize(
    "cast", [lambda x: x.tolist(), jnp.asarray, lambda x: x.astype(np.float64) if x.dtype.kind == "f" else x]
)
def test_lists_and_arrays_of_other_types_are_cast(cast):
    demos = make_demos()
    assert_same(demos, Demos(**{name: cast(array) for name, array in arrays_of(demos).items()}))


def test_arrays_of_the_format_are_taken_as_they_are():
    arrays = arrays_of(make_demos())
    demos = Demos(**arrays)
    assert all(getattr(demos, name) is array for name, array in arrays.items())
    assert demos.metadata == {}


def test_a_method_saves_it(tmp_path):
    demos = make_demos()
    assert demos.save(tmp_path / "a.npz").metadata["digest"] == demos.digest
    assert_same(demos, load_demos(tmp_path / "a.npz"))


def test_one_kind_of_ends_may_be_left_out():
    arrays = arrays_of(make_demos(terminal=(True, True)))
    del arrays["truncations"]
    demos = Demos(**arrays)
    assert demos.terminals.tolist() == arrays["terminals"].tolist() and not demos.truncations.any()
    arrays["terminals"][-1] = False  # the last episode is open: it is cut there
    assert Demos(**arrays).truncations.tolist() == [False] * 7 + [True]
    ends = [False, False, True, False, False, False, False, False]
    demos = Demos(**without("terminals", truncations=ends, next_observations=None))
    assert demos.num_episodes == 2 and not demos.terminals.any()


def test_actions_and_rewards_may_be_left_out(tmp_path):
    demos = Demos(**without("actions", "rewards"))
    assert (demos.actions, demos.rewards, demos.episode_returns) == (None, None, None)
    demos.save(tmp_path / "a.npz")
    assert load_demos(tmp_path / "a.npz", observation_only=True).digest == demos.digest


def test_successors_are_the_next_observations_inside_episodes():
    whole = make_demos(lengths=(5, 1, 3), terminal=(True, True, False))
    arrays = arrays_of(whole)
    del arrays["next_observations"]
    demos = Demos(**arrays, metadata={"conversion": ["before"]})
    kept = [0, 1, 2, 3, 4, 5, 6, 7]
    for name in ("observations", "actions", "rewards", "terminals"):
        np.testing.assert_array_equal(getattr(demos, name), getattr(whole, name)[kept])
    expected = whole.next_observations[kept]
    expected[[4, 5]] = whole.observations[[4, 5]]  # behind a true end nothing is valued
    np.testing.assert_array_equal(demos.next_observations, expected)
    assert demos.episode_lengths.tolist() == [5, 1, 2]
    assert demos.truncations.tolist() == [False] * 7 + [True]
    assert demos.metadata["conversion"][0] == "before"
    note = demos.metadata["conversion"][1]
    assert note["dropped_steps"] == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (without("terminals", "truncations"), "demos: terminals, truncations: expected one of them"),
        (without(rewards=[1.0] * 7), r"rewards: expected shape \[8\], found \[7\]"),
        (without(observations=[[1.0], [1.0, 2.0]]), "observations: expected an array"),
        (without(observations=[["a"]] * 8), "observations: expected dtype float32"),
        (without(truncations=[2] * 8), "truncations.*: expected 0 or 1"),
        (without("terminals", truncations=["a"] * 8), "truncations: expected dtype bool"),
        (without("next_observations", actions=[1]), "actions: expected 8 rows as in terminals"),
        (without("next_observations", truncations=[False] * 8), "the last step to end its episode"),
        (
            without("next_observations", terminals=[False] * 8, truncations=[True] * 8),
            "an episode of two steps or more",
        ),
        ({"observations": [], "terminals": []}, "an episode of two steps or more"),
        (
            {"observations": None, "terminals": [True]},
            "observations, next_observations: expected these keys, found only terminals, truncations",
        ),
        ({"observations": [1.0], "next_observations": [1.0], "terminals": []}, "expected"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(fields, message):
    with pytest.raises(InputError, match=message) as caught:
        Demos(**fields)
    assert "\n" not in str(caught.value)


def test_changes_are_checked_as_well():
    with pytest.raises(InputError, match=r"actions: expected shape \[8\]"):
        dataclasses.replace(make_demos(), actions=np.zeros(3, np.int32))


def test_blank_actions():
    blank = blank_actions(make_demos(), SPEC)
    assert blank.actions.tolist() == [0] * 8 and blank.actions.dtype == np.int32
    box = SPEC._replace(num_actions=None, action_low=-np.ones(3), action_high=np.ones(3))
    assert blank_actions(make_demos(), box).actions.shape == (8, 3)
