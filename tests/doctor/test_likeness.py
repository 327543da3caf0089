"""The likeness score on policies with known answers: near 1 the expert, 0 the uniform policy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.data.demos import Demos, transitions
from iqlearn_jax.doctor.likeness import (
    Demonstrated,
    as_rows,
    expert_mass,
    expert_rows,
    likeness,
    make_reference,
)
from iqlearn_jax.envs.api import Step
from iqlearn_jax.loops.play import Played, play_episodes, uniform_policy
from iqlearn_jax.training.evaluation import KEPT_STEPS, uniform_play
from iqlearn_jax.training.judging import demonstrated, make_judge
from iqlearn_jax.training.problem import make_problem
from tests.common import demos_of, made_up_config, made_up_environments, spec_of, walk

EXPERTS = {"walk": lambda obs, key: jnp.full(obs.shape[0], 2), "rooms": lambda obs, key: obs % 3}


@pytest.fixture(scope="module", params=list(EXPERTS))
def problem(request):
    with made_up_environments():
        return make_problem(made_up_config("bc", "demos", request.param, seeds=1, demos__trajectories=6))


@pytest.fixture(scope="module")
def played(problem):
    """share -> 40 episodes of a policy that takes the expert's action that often, else a uniform one."""
    expert, uniform = EXPERTS[problem.config.env.id], uniform_policy(problem.spec)

    def act(share, obs, key):
        draw, pick = jax.random.split(key)
        chosen = jax.random.uniform(pick, obs.shape[:1]) < share
        return jnp.where(chosen, expert(obs, key), uniform(obs, draw))

    play = jax.jit(
        lambda share: play_episodes(problem.env, partial(act, share), jax.random.key(3), 40, KEPT_STEPS)
    )
    return lambda share: jax.device_get(play(share))


def test_from_uniform_to_expert_it_rises_from_0_to_1(problem, played):
    reference = make_reference(demonstrated(problem), 0, uniform_play(problem))
    likenesses = [likeness(demonstrated(problem), reference, played(share)) for share in (0.0, 0.5, 1.0)]
    assert likenesses == sorted(likenesses)
    assert likenesses[0] < 0.3 and likenesses[2] > 0.7
    assert likeness(demonstrated(problem), reference, uniform_play(problem)) == 0.0


def test_it_reads_no_reward(problem, played):
    reference = make_reference(demonstrated(problem), 0, uniform_play(problem))
    some = played(1.0)
    blank = some._replace(returns=np.full_like(some.returns, np.nan))
    assert likeness(demonstrated(problem), reference, blank) == likeness(
        demonstrated(problem), reference, some
    )
    assert make_judge(problem)(Played(*(x[None] for x in blank))) == [
        likeness(demonstrated(problem), reference, some)
    ]


def test_rows_and_mass_are_those_of_the_runs_own_demonstrations(problem):
    rows, data = transitions(demos_of(problem.config.env.id)), demonstrated(problem)
    demo_indices = problem.demo_indices.indices[0][: int(problem.demo_indices.count[0])]
    own = jax.tree.map(lambda x: x[np.asarray(demo_indices)], rows)
    np.testing.assert_array_equal(expert_rows(data, 0), as_rows(data, own.obs, own.action))
    lengths = demos_of(problem.config.env.id).episode_lengths  # all six trajectories are chosen
    assert expert_mass(data, 0) == pytest.approx(lengths.mean() / problem.spec.max_episode_steps)


def test_short_episodes_are_unlike_long_ones_whatever_they_show(problem, played):
    """The same rows, but episodes cut to a tenth: only the length tells."""
    reference = make_reference(demonstrated(problem), 0, uniform_play(problem))
    some = played(1.0)
    far = some._replace(lengths=np.full_like(some.lengths, 50 * problem.spec.max_episode_steps))
    assert likeness(demonstrated(problem), reference, some) > likeness(demonstrated(problem), reference, far)


def test_kept_steps_are_a_uniform_sample_without_repetition():
    """A walk of 9 steps, 4 kept: each step is kept 4/9 of the time, and none twice."""
    advance = lambda s, a, k: Step(s + 1.0, s + 1.0, jnp.float32(0), jnp.bool_(False))  # noqa: E731
    counter = walk()._replace(step=advance, reset=lambda key: (jnp.zeros(2), jnp.zeros(2)))
    stay = lambda obs, key: jnp.ones(obs.shape[0], jnp.int32)  # noqa: E731
    episodes = play_episodes(counter, stay, jax.random.key(0), 900, keep=4)
    steps = np.asarray(episodes.obs)[..., 0].astype(int)
    assert (np.asarray(episodes.lengths) == 9).all()
    assert all(len(set(row)) == 4 for row in steps.tolist())
    share = np.bincount(steps.ravel(), minlength=9) / 900
    np.testing.assert_allclose(share, 4 / 9, atol=5 * np.sqrt(4 / 9 * 5 / 9 / 900))


@pytest.mark.parametrize(("method", "env"), [("rl", "walk"), ("bc", "picture")])
def test_no_likeness_without_demonstrations_or_of_images(method, env):
    feed = "replay" if method == "rl" else "demos"
    with made_up_environments():
        made = make_problem(made_up_config(method, feed, env, seeds=1))
    assert make_judge(made)(None) is None


# Episodes of one step ---------------------------------------------------------------------------------------


def one_step(rows, policy, seed):
    """Rows of a contextual bandit: an observation [2], and an action [1] that is its first entry, or not."""
    rng = np.random.default_rng(seed)
    obs = rng.uniform(-1, 1, (rows, 2)).astype(np.float32)
    action = {"expert": obs[:, :1], "uniform": rng.uniform(-1, 1, (rows, 1)), "elsewhere": obs[:, :1] + 9.0}
    return obs, action[policy].astype(np.float32)


def judged(demonstrated_rows, episodes, policy):
    """Likeness of so many episodes of one step."""
    obs, action = one_step(demonstrated_rows, "expert", 0)
    ends = np.ones(demonstrated_rows, bool)
    demos = Demos(obs, action, None, obs, ends, ~ends)
    spec = spec_of(obs_shape=(2,), low=np.float32([-1]), high=np.float32([1]), limit=1)
    numbers = np.arange(demonstrated_rows)
    data = Demonstrated(spec, demos, [numbers], [numbers], False)

    def played(count, policy, seed):
        steps = (x[:, None] for x in one_step(count, policy, seed))
        return Played(np.zeros(count), np.ones(count, int), *steps)

    reference = make_reference(data, 0, played(100, "uniform", 1))
    return likeness(data, reference, played(episodes, policy, 2))


@pytest.mark.parametrize(("rows", "episodes"), [(10, 10), (25, 10), (1, 1)])
@pytest.mark.parametrize("policy", ["expert", "uniform"])
def test_it_says_when_so_few_rows_cannot_tell(rows, episodes, policy):
    """Ten rows of the expert's own are as often far from the others as a uniform policy's are."""
    assert np.isnan(judged(rows, episodes, policy))


def test_it_tells_what_can_be_told():
    """A policy that is far from everything even by few rows; equal and uniform ones by many."""
    assert judged(25, 10, "elsewhere") == 0.0
    assert judged(500, 500, "expert") > 0.5
    assert judged(500, 500, "uniform") < 0.3


def test_that_it_cannot_tell_is_said_once_(problem, played, monkeypatch, capsys):
    monkeypatch.setattr("iqlearn_jax.doctor.likeness.likeness", lambda *_: float("nan"))
    judge, some = make_judge(problem), Played(*(x[None] for x in played(1.0)))
    assert np.isnan(judge(some)).all() and np.isnan(judge(some)).all()
    said = capsys.readouterr().err
    assert said.count("eval/likeness of 1 of 1 runs is not known") == 1 and "eval_episodes" in said
