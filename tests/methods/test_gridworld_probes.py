"""The tabular methods on the bundled gridworld, as the shipped configurations have them."""

from functools import partial

import jax
import pytest

from iqlearn_jax.config.files import load_config
from iqlearn_jax.loops.play import episode_returns
from iqlearn_jax.training.problem import make_loop, make_problem
from iqlearn_jax.training.rewards import table_reward
from tests.common import ROOT


def learned(name, monkeypatch, **changes):
    """(problem, final state [R]) of a configuration, one seed."""
    monkeypatch.chdir(ROOT)
    config = load_config(f"gridworld:{name}")
    config.update({"seeds": 1, "first_seed": 0, **changes})
    problem = make_problem(config)
    loop = make_loop(problem)
    run = loop.init(*problem.inputs)
    for _ in range(config.updates // config.log_every):
        run, metrics = loop.chunk(problem.hparams, problem.rows, problem.demo_indices, run)
    assert (run.failed_at == -1).all()
    return problem, run.state, {name: value[0] for name, value in metrics.items()}


def mean_return(problem, state, deterministic):
    hparams, first = problem.placement.one((problem.hparams, state), 0)
    act = partial(problem.method.act, hparams, first, deterministic=deterministic)
    return float(episode_returns(problem.env, act, jax.random.key(9), 400).mean())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["max_entropy", "max_margin", "max_likelihood", "max_entropy_dynamics"])
def test_returns_are_near_the_expert_s(name, monkeypatch):
    """Of drawn actions; the best action is asked only of methods that know where unseen pairs lead."""
    problem, state, metrics = learned(name, monkeypatch)
    expert = problem.demos.episode_returns.mean()
    assert expert > 40
    assert mean_return(problem, state, deterministic=False) > expert - 2.5
    if name in ("max_entropy", "max_margin"):
        assert mean_return(problem, state, deterministic=True) > expert - 2.5
    if name == "max_entropy":
        assert table_reward(problem, state).mean(axis=1).argmax() == 7  # the goal, upper right
    assert metrics.get(f"{name}/residual", 0.0) < 1e-4
