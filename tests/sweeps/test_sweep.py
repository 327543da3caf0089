"""Sweeps end to end: one axis of runs, each as if it were alone; failures stay with their run."""

import json
from functools import cache

import jax
import numpy as np
import pytest

from iqlearn_jax import methods as methods_lib
from iqlearn_jax.errors import InputError
from iqlearn_jax.report.page import write_report
from iqlearn_jax.sweeps.estimate import estimate, memory_needed
from iqlearn_jax.sweeps.grid import plan
from iqlearn_jax.sweeps.sweep import _score, points, run_sweep
from iqlearn_jax.training import summary as finish_lib
from iqlearn_jax.training.problem import make_problem
from iqlearn_jax.training.reopen import load_run
from iqlearn_jax.training.train import train
from tests.common import made_up_config, made_up_environments

METHODS = [  # and a metric that the rate of learning moves, None where there is no such rate
    pytest.param("iq", "replay", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("iq", "replay", "bandit", "policy/grad_norm", marks=pytest.mark.slow),
    pytest.param("iq", "demos", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("bc", "demos", "bandit", "bc/loss", marks=pytest.mark.slow),
    pytest.param("rl", "replay", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("sqil", "replay", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("adril", "replay", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("dac", "replay", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("pwil", "replay", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("max_entropy_deep", "replay", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("ppo", "rollout", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("pqn", "rollout", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("iq", "rollout", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("gail", "rollout", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("airl", "rollout", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("regularized_bc", "demos", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("max_entropy", "demos", "rooms", "max_entropy/log_likelihood", marks=pytest.mark.slow),
    pytest.param("max_likelihood", "demos", "rooms", "max_likelihood/log_likelihood", marks=pytest.mark.slow),
    pytest.param(
        "max_entropy_dynamics",
        "demos",
        "rooms",
        "max_entropy_dynamics/log_likelihood",
        marks=pytest.mark.slow,
    ),
    pytest.param("max_margin", "demos", "rooms", None, marks=pytest.mark.slow),
    pytest.param("lstd_mu", "demos", "walk", None, marks=pytest.mark.slow),
    pytest.param("dsfn", "demos", "walk", "dsfn/td_loss_expert", marks=pytest.mark.slow),
    pytest.param("asaf", "rollout", "walk", None, marks=pytest.mark.slow),
    pytest.param("value_dice", "demos", "walk", "dice/objective", marks=pytest.mark.slow),
    pytest.param("avril", "demos", "walk", "avril/bound", marks=pytest.mark.slow),
    pytest.param("edm", "demos", "walk", "edm/cloning_loss", marks=pytest.mark.slow),
]
GRID = {"critic_lr": (1e-3, 0.1), "critics": (1, 2)}
EVERY = {"log_every": 2, "eval_every": 8, "checkpoint_every": 8}
TOGETHER = {"rtol": 2e-3, "atol": 1e-4}  # sums of float32 in another order, over 8 updates


@pytest.fixture(autouse=True, scope="module")
def environments():
    """Recovered rewards are no matter here, and cost as much as training."""
    pair = np.arange(2)
    rewards = {"recovered": pair, "true": pair, "episode": pair, "source": np.array(["expert", "random"])}
    with made_up_environments(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(finish_lib, "reward_arrays", lambda *_: rewards)
        yield


def two_points(method, feed, env, rates=(1e-3, 3e-2)):
    """Two rates of learning, two seeds each."""
    rate = "actor_lr" if (env, feed) == ("bandit", "replay") else "critic_lr"  # offline there is no actor
    return made_up_config(method, feed, env, seeds=2, **{f"grid__{rate}": rates}, **EVERY)


@pytest.fixture(scope="module")
def together(environments, tmp_path_factory):
    """(method, feed, env) -> the folder of `two_points` and its summary, trained once."""

    @cache
    def train_once(*names):
        folder = tmp_path_factory.mktemp("together") / "run"
        return folder, train(two_points(*names), folder)

    return train_once


def lines(folder):
    """{(update, run): line} without clocks."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {(row["update"], row["run"]): {k: v for k, v in row.items() if "/" in k} for row in rows}


def test_no_method_is_left_out():
    named = {(row.values if hasattr(row, "values") else row)[0] for row in METHODS}
    assert named == set(methods_lib.METHODS)


@pytest.mark.parametrize(("method", "feed", "env", "moved"), METHODS)
def test_a_run_of_a_sweep_is_the_same_run_alone(method, feed, env, moved, together, tmp_path):
    """The second point's last seed: its own demonstrations, hyperparameters, environment and keys."""
    folder, summary = together(method, feed, env)
    ((rate, values),) = summary["varied"].items()
    assert values == [1e-3, 1e-3, 3e-2, 3e-2]
    changes = {"seeds": 1, "first_seed": summary["seeds"][1], rate: 3e-2}
    single = train(made_up_config(method, feed, env, **changes, **EVERY), tmp_path)
    np.testing.assert_allclose(summary["returns"][3], single["returns"][0], **TOGETHER)
    all_lines, apart = lines(folder), lines(tmp_path)
    assert len(all_lines) == 4 * len(apart) == 16
    for (update, _), metrics in apart.items():
        assert metrics.keys() == all_lines[update, 3].keys()
        for name, value in metrics.items():
            np.testing.assert_allclose(all_lines[update, 3][name], value, **TOGETHER, err_msg=name)
    if moved is not None:
        slow, fast = all_lines[8, 1][moved], all_lines[8, 3][moved]
        assert abs(slow - fast) > 10 * (TOGETHER["atol"] + TOGETHER["rtol"] * abs(fast))
    first, second = all_lines[8, 2], all_lines[8, 3]  # "train/return" is in a line where an episode has ended
    others = [name for name in first.keys() & second.keys() if first[name] != second[name]]
    assert others  # the other seed is another run


def states(folder, config):
    _, run = load_run(folder, config)
    return jax.device_get(run.state), np.asarray(run.failed_at)


@pytest.mark.slow
def test_a_run_that_fails_is_frozen_and_changes_no_other(together, tmp_path, capsys):
    """After an update at a rate of 1e18, squares of Q are infinite; the networks' parameters are not."""
    names = ("iq", "replay", "walk")
    good, bad = two_points(*names), two_points(*names, rates=(1e-3, 1e18))
    summary = train(bad, tmp_path / "bad")
    healthy, none = states(together(*names)[0], good)
    state, failed_at = states(tmp_path / "bad", bad)
    assert none.tolist() == [-1] * 4
    assert (failed_at[:2] == -1).all()
    assert (failed_at[2:] >= 1).all()
    for own, other in zip(jax.tree.leaves(state), jax.tree.leaves(healthy), strict=True):
        assert np.isfinite(own).all()
        np.testing.assert_array_equal(own[:2], other[:2])  # the same shapes: bit for bit
    assert state.step[2:].tolist() == failed_at[2:].tolist()  # nothing was taken after it
    assert [entry["run"] for entry in summary["failed"]] == [2, 3]
    assert all(entry["not_finite"] for entry in summary["failed"])
    assert np.isfinite(summary["returns"]).all()
    said = capsys.readouterr().err
    assert "run 2" in said and "critic_lr 1e+18" in said and "not finite at update" in said
    page = write_report([tmp_path / "bad"], tmp_path / "bad").read_text()
    assert "not finite at update" in page


@pytest.fixture(scope="module")
def swept(environments, tmp_path_factory):
    """Folder, config and result of a sweep: two programs of two points of five seeds."""
    folder = tmp_path_factory.mktemp("sweep") / "s"
    config = made_up_config("bc", "demos", "walk", seeds=5)
    return folder, config, run_sweep(plan(config, GRID), GRID, folder)


def test_a_sweep_from_plan_to_table(swept):
    folder, config, result = swept
    assert [p["folder"] for p in result["programs"]] == ["program-0", "program-1"]
    assert len(result["rows"]) == 4
    for row in result["rows"]:
        assert row["point"].keys() == {"critic_lr", "critics"}
        assert row["seeds"] == [config.first_seed + i for i in range(5)]
        assert row["ci95"][0] <= row["normalized_iqm"] <= row["ci95"][1]
    scores = [row["normalized_iqm"] for row in result["rows"]]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 1
    assert result["best"]["point"] == result["rows"][0]["point"]
    assert json.loads((folder / "sweep.json").read_text()) == result
    assert run_sweep(plan(config, GRID), GRID, folder) == result  # nothing is run twice
    page = write_report([folder], folder).read_text()
    assert all(f"critics {c}, critic_lr {rate}" in page for c in (1, 2) for rate in ("0.001", "0.1"))
    assert (folder / "figures" / "heat_walk.png").exists()


def test_another_sweep_in_the_folder_is_refused(swept):
    folder, config, _ = swept
    other = {"critic_lr": (1e-2,)}
    with pytest.raises(InputError, match="another sweep"):
        run_sweep(plan(config, other), other, folder)
    with pytest.raises(InputError, match="single run"):
        run_sweep(plan(config, GRID), GRID, folder / "program-0")


@pytest.mark.slow
def test_parts_give_the_same_table(tmp_path):
    config = made_up_config("bc", "demos", "walk", seeds=3)
    grid = {"critic_lr": (1e-3, 1e-2)}
    whole = run_sweep(plan(config, grid), grid, tmp_path / "whole", runs_per_device=None)
    cut = run_sweep(plan(config, grid), grid, tmp_path / "cut", runs_per_device=4)
    assert [p["part"] for p in cut["programs"]] == [[0, 2], [1, 2]]
    by_point = lambda rows: sorted(rows, key=lambda row: row["point"]["critic_lr"])  # noqa: E731
    for a, b in zip(by_point(whole["rows"]), by_point(cut["rows"]), strict=True):
        assert a["seeds"] == b["seeds"]
        np.testing.assert_allclose(a["returns"], b["returns"], **TOGETHER)


def test_points_of_the_same_iqm_are_ordered_by_their_mean():
    """The interquartile mean does not see a quarter of failing seeds."""
    good, weak = ({"normalized_iqm": 1.0, "returns": [500.0] * 7 + [last]} for last in (500.0, 20.0))
    assert _score(good) > _score(weak)
    assert _score(weak) > _score({"normalized_iqm": 0.9, "returns": [600.0] * 8})


def test_points_gather_seeds_over_programs():
    def summary(seeds, rates, normalized):
        returns = [10 * x for x in normalized]
        return {
            "seeds": seeds, "varied": {"critic_lr": rates}, "returns": returns, "normalized": normalized,
            "failed": [{"run": 1}],
        }  # fmt: skip

    rows = points([({"critics": 1}, summary([0, 1, 0], [1.0, 1.0, 2.0], [0.5, 0.7, 0.1])),
                   ({"critics": 1}, summary([1, 2], [2.0, 2.0], [0.3, 0.2]))])  # fmt: skip
    assert [row["point"] for row in rows] == [
        {"critics": 1, "critic_lr": 1.0},
        {"critics": 1, "critic_lr": 2.0},
    ]
    assert rows[0]["seeds"] == [0, 1] and rows[0]["failed"] == [1]
    assert rows[1]["seeds"] == [0, 1, 2] and rows[1]["failed"] == [2]
    assert rows[1]["normalized_iqm"] == pytest.approx(0.2)
    assert rows[1]["iqm_return"] == pytest.approx(2.0)
    assert rows[1]["ci95"] is None


@pytest.mark.slow
def test_estimate_counts_the_replay():
    """Memory grows with the replay by what its arrays take; more than there is does not fit."""
    sizes = (2**10, 2**16)
    changes = [{"seeds": 4, "online__capacity": size, "updates": size} for size in sizes]
    configs = [made_up_config("rl", "replay", "walk", **change) for change in changes]
    small, large = (memory_needed(make_problem(config)) for config in configs)
    row = 4 * (2 + 1 + 1 + 2) + 2  # obs, action, reward, next_obs in 32 bits, two flags
    assert 0.9 < (large - small) / (4 * (sizes[1] - sizes[0]) * row) < 1.3
    estimated = estimate(configs[0])
    assert estimated.fits and estimated.seconds > 0 and estimated.runs_per_device == 4
    assert estimated.bytes >= small
    assert not estimated._replace(free=estimated.bytes - 1).fits
