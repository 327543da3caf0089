"""What evaluations play: likeliest actions or, with `eval_sampled`, drawn ones, the same at each call."""

from copy import deepcopy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from iqlearn_jax.devices.placement import Placement
from iqlearn_jax.training.evaluation import KEPT_STEPS, make_evaluator
from iqlearn_jax.training.problem import make_problem
from tests.common import cartpole_demos, configure, made_up_config, made_up_environments

SEEDS, EPISODES = 3, 20


def act(hparams, state, obs, key, deterministic):
    """The likeliest action is 0; action 1 is drawn with probability `state`."""
    drawn = jax.random.bernoulli(key, state, obs.shape[:1]).astype(jnp.int32)
    return jnp.zeros_like(drawn) if deterministic else drawn


@pytest.fixture(scope="module", params=["device", "host"])
def problems(request, tmp_path_factory):
    """Greedy, sampled."""
    config = made_up_config("bc", "demos", "walk", seeds=SEEDS)
    if request.param == "host":
        config = configure(seeds=SEEDS)
        config.env.backend = "gymnasium"
        config.demos.path = str(cartpole_demos(tmp_path_factory.mktemp("demos") / "demos.npz"))
    return [made(config, sampled) for sampled in (False, True)]


@pytest.fixture(scope="module")
def evaluators(problems):
    return [make_evaluator(problem) for problem in problems]


def made(config, sampled):
    config = deepcopy(config)
    config.eval_sampled = sampled
    with made_up_environments():
        problem = make_problem(config)
    return problem._replace(method=problem.method._replace(act=act))


def test_only_sampled_evaluations_draw_and_by_the_policys_probabilities(evaluators):
    greedy, sampled = evaluators
    probabilities = jnp.array([0.0, 0.5, 1.0])
    assert (greedy(probabilities, EPISODES).action == 0).all()
    episodes = sampled(probabilities, EPISODES)
    seen = np.arange(KEPT_STEPS) < np.asarray(episodes.lengths)[..., None]
    share = np.where(seen, episodes.action, 0).sum(axis=(1, 2)) / seen.sum(axis=(1, 2))
    np.testing.assert_allclose(share, probabilities, atol=0.1)


def test_runs_draw_apart_and_each_evaluation_the_same(evaluators):
    first, again = (evaluators[1](jnp.full(SEEDS, 0.5), EPISODES) for _ in range(2))
    np.testing.assert_array_equal(first.action, again.action)
    np.testing.assert_array_equal(first.returns, again.returns)
    assert not (first.action[0] == first.action[1]).all()


def test_runs_that_do_not_divide_by_the_devices_play_as_they_do_alone(problems, evaluators):
    """Two devices hold three runs in four slots; so do the states, also where the host plays."""
    alone = problems[1]
    place = Placement(SEEDS, SEEDS + 1, Mesh(np.array(jax.devices()[:1]), ("run",)))
    hparams = place.put(jax.tree.map(np.asarray, alone.hparams))
    padded = alone._replace(placement=place, hparams=hparams)
    probabilities = np.array([0.2, 0.5, 0.8], np.float32)
    expected = evaluators[1](jnp.asarray(probabilities), EPISODES)
    actual = make_evaluator(padded)(place.put(probabilities), EPISODES)
    assert actual.returns.shape == (SEEDS, EPISODES)
    jax.tree.map(np.testing.assert_array_equal, actual, jax.tree.map(np.asarray, expected))
