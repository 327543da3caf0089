"""Transitions of anyone beside the demonstrations: what is drawn, what learns from it, what is refused."""

import jax
import numpy as np
import pytest

import iqlearn_jax as iq
from iqlearn_jax.data.others import add_others
from iqlearn_jax.data.sampling import sample_expert
from iqlearn_jax.data.save import save
from iqlearn_jax.errors import InputError
from iqlearn_jax.training.problem import data_digest, make_problem
from tests.common import (
    demos_of,
    demos_path,
    made_up_config,
    made_up_environments,
    picture,
    play_expert,
    walk,
)

RNG = np.random.default_rng(0)
PLAY = {
    "walk": (walk, lambda obs: np.int32(RNG.integers(3))),
    "picture": (picture, lambda obs: np.int32(RNG.integers(2))),
}


@pytest.fixture(scope="module", params=PLAY)
def problem(request, tmp_path_factory):
    """A problem with random play beside the demonstrations; both files."""
    make, policy = PLAY[request.param]
    others = play_expert(make(), policy, episodes=3, seed=7)
    path = tmp_path_factory.mktemp("others") / "play.npz"
    save(path, others)
    config = made_up_config(
        "iq", "demos", request.param, data__path=str(path), demos__subsample=1, value_term="mixture"
    )
    with made_up_environments():
        return make_problem(config), demos_of(request.param), others


def test_each_half_is_drawn_from_its_own_file_alone(problem):
    made, demos, others = problem
    run = jax.tree.map(lambda x: x[0], made.demo_indices)
    batch = sample_expert(made.rows, run, jax.random.key(1), 500)
    batch = add_others(made.rows, run, batch, jax.random.key(0), 500)
    for rows, file in ((batch.policy, others), (batch.expert, demos)):
        key = {(x.tobytes(), int(a), y.tobytes()): i for i, (x, a, y) in enumerate(
            zip(file.observations, file.actions, file.next_observations, strict=True))}  # fmt: skip
        where = [key[np.asarray(x).tobytes(), int(a), np.asarray(y).tobytes()]
                 for x, a, y in zip(rows.obs, rows.action, rows.next_obs, strict=True)]  # fmt: skip
        np.testing.assert_array_equal(rows.terminated, file.terminals[where])
    assert len({np.asarray(x).tobytes() for x in batch.policy.obs}) > 0.9 * len(others)  # all of it


def test_start_states_are_those_of_both(problem):
    made, demos, others = problem
    run = jax.tree.map(lambda x: x[0], made.demo_indices)
    batch = add_others(
        made.rows, run, sample_expert(made.rows, run, jax.random.key(1), 9), jax.random.key(0), 400
    )
    own, theirs = demos.observations[run.initial], others.observations[others.episode_starts]
    starts = {x.tobytes() for x in (*own, *theirs)}
    assert {np.asarray(x).tobytes() for x in batch.initial} == starts and len(starts) == 2 + 3


def test_inputs_are_standardised_by_both_files(problem):
    made, demos, others = problem
    if demos.observations.ndim > 2:
        return
    chosen = made.demo_indices
    for run in range(3):
        seen = np.asarray(chosen.indices[run][: chosen.count[run]])
        own = np.concatenate([demos.observations[seen], demos.next_observations[seen]])
        half = (own.mean(axis=0) + others.observations.mean(axis=0)) / 2
        np.testing.assert_allclose(made.hparams["obs_mean"][run], half, rtol=1e-5)


def test_other_data_are_part_of_what_identifies_a_run(problem):
    made, demos, others = problem
    assert data_digest(made) == f"{demos.digest}+{others.digest}"


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    path = tmp_path_factory.mktemp("play") / "walk.npz"
    save(path, play_expert(walk(), PLAY["walk"][1], episodes=8, seed=3))
    return str(path)


def train(play, **settings):
    small = {"seeds": 2, "updates": 20, "hidden": (8,), "batch_size": 8, "log_every": 10, "progress": False}
    with made_up_environments():
        return iq.train("walk", demos_path("walk"), data__path=play, **{**small, **settings})


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"value_term": "mixture", "regularize": "both"},
        pytest.param(
            {"method": "value_dice", "value_term": "v0", "replay_share": 0.5}, marks=pytest.mark.slow
        ),
        pytest.param(
            {"value_term": "mixture", "state_only": True, "infer_actions": True}, marks=pytest.mark.slow
        ),
    ],
    ids=["iq", "value_dice", "observations only"],
)
def test_methods_learn_from_it(play, settings):
    run = train(play, **settings)
    metrics = {name: x for name, x in run.history.items() if name.split("/")[0] in ("iq", "dice", "policy")}
    assert metrics and all(np.isfinite(x).all() for x in metrics.values())


@pytest.mark.slow
def test_the_learners_half_is_the_other_data(play, tmp_path):
    """Another file gives another critic, though inputs are left as they are: the loss reads its rows."""
    settings = {"value_term": "mixture", "regularize": "both", "normalize_obs": False}
    save(tmp_path / "other.npz", play_expert(walk(), PLAY["walk"][1], episodes=8, seed=4))
    first, second = (train(file, **settings) for file in (play, str(tmp_path / "other.npz")))
    assert np.isfinite(first.history["iq/reward_policy"]).all()
    pairs = zip(*(jax.tree.leaves(run._state.state.critic) for run in (first, second)), strict=True)
    assert not all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "bc"}, r"data\.path.*'bc' does not read it"),
        ({"feed": "replay"}, r"data\.path.*'replay' does not read it"),
        ({"value_term": "policy"}, r"value_term='policy' is a mean over the learner's own samples"),
        ({}, r"nothing reads it; set value_term=mixture and regularize=both"),
        ({"state_only": True, "value_term": "mixture"}, r"can learn no policy"),
    ],
)
def test_what_cannot_use_it_says_so(play, settings, words):
    with pytest.raises(InputError, match=words):
        train(play, **settings)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"nowhere\.npz"):
        train("nowhere.npz")
