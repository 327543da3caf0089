import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iqlearn_jax.data.demos import load
from iqlearn_jax.data.sampling import Selection, select, stack_selections
from iqlearn_jax.errors import InputError
from tests.data.made_up import make_demos


@st.composite
def cases(draw):
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=6))
    terminal = draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    trajectories = draw(st.integers(1, len(lengths)))
    return make_demos(lengths, terminal), trajectories, draw(st.integers(1, 40)), draw(st.integers(0, 2**31))


@settings(max_examples=60, deadline=None)
@given(cases())
def test_properties(case):
    demos, trajectories, subsample, seed = case
    indices, initial = select(demos, trajectories, subsample, seed)
    assert indices.dtype == initial.dtype == np.int32
    assert len(set(indices.tolist())) == len(indices)
    assert len(set(initial.tolist())) == trajectories and set(initial) <= set(demos.episode_starts.tolist())
    episode = np.searchsorted(demos.episode_starts, indices, side="right") - 1
    chosen = np.searchsorted(demos.episode_starts, initial)
    assert set(episode) == set(chosen)
    for e in chosen:
        kept = indices[episode == e]
        last = demos.episode_starts[e] + demos.episode_lengths[e] - 1
        grid = kept[:-1] if demos.terminals[last] else kept
        assert np.all(np.diff(grid) == subsample)
        assert last in kept or not demos.terminals[last]
        assert kept[0] - demos.episode_starts[e] < subsample or kept[0] == last
    again = select(demos, trajectories, subsample, seed)
    np.testing.assert_array_equal(indices, again.indices)
    if trajectories > 1:
        fewer = select(demos, trajectories - 1, subsample, seed)
        np.testing.assert_array_equal(fewer.indices, indices[: len(fewer.indices)])


def test_offsets_and_episodes_vary_with_the_seed():
    demos = make_demos((100,) * 5, (False,) * 5)
    firsts = {tuple(select(demos, 1, 20, seed).indices[:1] % 100) for seed in range(200)}
    assert firsts == {(i,) for i in range(20)}
    assert {int(select(demos, 1, 20, seed).initial[0]) for seed in range(50)} == {0, 100, 200, 300, 400}


def test_everything_is_everything():
    demos = make_demos((5, 3), (True, False))
    assert sorted(select(demos, 2, 1, 0).indices) == list(range(8))
    for all_of_them, both in zip(select(demos, 0, 3, 7), select(demos, 2, 3, 7), strict=True):
        np.testing.assert_array_equal(all_of_them, both)


@pytest.mark.parametrize(("trajectories", "subsample"), [(3, 1), (-1, 1), (1, 0)])
def test_counts_out_of_range(trajectories, subsample):
    with pytest.raises(InputError, match=r"demos\.(trajectories|subsample): expected"):
        select(make_demos(), trajectories, subsample)


def test_too_many_trajectories_says_how_many_there_are():
    with pytest.raises(InputError, match=r"expected 1\.\.2 \(the file has 2 episodes\), or 0.*, found 3"):
        select(make_demos(), 3)


def test_stack_selections():
    first = Selection(np.array([4, 6, 8]), np.array([0]))
    indices, counts = stack_selections([first, np.array([7])])
    np.testing.assert_array_equal(indices, [[4, 6, 8], [7, 7, 7]])
    np.testing.assert_array_equal(counts, [3, 1])
    assert indices.dtype == counts.dtype == np.int32
    for bad in ([], [np.array([], int)]):
        with pytest.raises(InputError):
            stack_selections(bad)


def test_the_papers_cartpole_setting(shared):
    demos = load(shared("CartPole-v1_zoo-dqn_50ep.npz"))
    for seed in range(10):
        assert len(select(demos, 1, 20, seed).indices) == 25
