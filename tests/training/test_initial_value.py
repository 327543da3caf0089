"""V(s0) once a chunk: the mean over each run's own demonstrated starts, in metrics.jsonl beside the rest."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.training import evaluation
from iqlearn_jax.training.evaluation import make_initial_value
from iqlearn_jax.training.problem import make_problem
from iqlearn_jax.training.train import train
from tests.common import demos_of, made_up_config, made_up_environments


@pytest.fixture(scope="module")
def problem():
    with made_up_environments():
        return make_problem(made_up_config("iq", "demos", "walk"))


def first_rows(problem, run):
    """The start observations [2, 2] of one run's demonstrations."""
    return demos_of("walk").observations[np.asarray(problem.demo_indices.initial)[run]]


def watched(problem, value):
    """`problem` with another V."""
    return make_initial_value(problem._replace(method=problem.method._replace(value=value)))


def test_it_is_the_mean_over_the_runs_own_starts(problem):
    measure = watched(problem, lambda hparams, state, obs, key: state * obs.sum(axis=-1))
    expected = [(run + 1) * first_rows(problem, run).sum(axis=1).mean() for run in range(3)]
    assert len({round(x, 6) for x in expected}) == 3
    np.testing.assert_allclose(measure(jnp.arange(1.0, 4.0))["iq/initial_value"], expected, rtol=1e-5)


def test_draws_of_an_actor_are_averaged_and_long_files_cut(problem, monkeypatch):
    sizes = []

    def value(hparams, state, obs, key):
        sizes.append(len(obs))
        return jnp.zeros(len(obs))

    watched(problem, value)(jnp.zeros(3))
    monkeypatch.setattr(evaluation, "STARTS", 1)
    watched(problem, value)(jnp.zeros(3))
    assert sizes == [64, 1]


@pytest.mark.slow
def test_iq_learn_has_a_value_and_cloning_none(problem):
    state = jax.vmap(problem.method.init)(jax.random.split(jax.random.key(0), 3), problem.hparams)
    values = make_initial_value(problem)(state)["iq/initial_value"]
    assert values.shape == (3,) and np.isfinite(values).all() and len(set(values.tolist())) == 3
    with made_up_environments():
        assert make_initial_value(make_problem(made_up_config("bc", "demos", "walk")))(None) == {}


@pytest.mark.slow
def test_it_is_logged_in_each_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr("iqlearn_jax.training.summary.finish", lambda *_: {})
    with made_up_environments():
        train(made_up_config("iq", "replay", "walk"), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 6 and all(np.isfinite(line["iq/initial_value"]) for line in lines)
