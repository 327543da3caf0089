"""Sweeps end to end: one axis of runs, each as if it were alone; failures stay with their run."""

import json

import jax
import numpy as np
import pytest
from common import made_up_config, made_up_environments

from iqlearn_jax.errors import InputError
from iqlearn_jax.report.page import write_report
from iqlearn_jax.sweep.estimate import estimate, memory_needed
from iqlearn_jax.sweep.grid import plan
from iqlearn_jax.sweep.problem import make_problem
from iqlearn_jax.sweep.run import load_run, train
from iqlearn_jax.sweep.sweep import points, run_sweep

METHODS = [  # and a metric that the rate of learning moves
    ("iq", "replay", "bandit", "policy/grad_norm"),
    pytest.param("iq", "demos", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("bc", "demos", "bandit", "bc/loss", marks=pytest.mark.slow),
    pytest.param("rl", "replay", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("regularized_bc", "demos", "walk", "critic/grad_norm", marks=pytest.mark.slow),
    pytest.param("value_dice", "demos", "walk", "dice/objective", marks=pytest.mark.slow),
    pytest.param("avril", "demos", "walk", "avril/bound", marks=pytest.mark.slow),
    pytest.param("edm", "demos", "walk", "edm/cloning_loss", marks=pytest.mark.slow),
]
TOGETHER = {"rtol": 2e-3, "atol": 1e-4}  # sums of float32 in another order, over 8 updates


@pytest.fixture(autouse=True)
def environments():
    with made_up_environments():
        yield


def lines(folder):
    """{(update, run): line} without clocks."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {(row["update"], row["run"]): {k: v for k, v in row.items() if "/" in k} for row in rows}


@pytest.mark.parametrize(("method", "feed", "env", "moved"), METHODS)
def test_a_run_of_a_sweep_is_the_same_run_alone(method, feed, env, moved, tmp_path):
    """The second point's last seed: its own demonstrations, hyperparameters, environment and keys."""
    rate = "actor_lr" if env == "bandit" else "critic_lr"
    config = made_up_config(method, feed, env, seeds=2, **{f"grid__{rate}": (1e-3, 3e-2)})
    summary = train(config, tmp_path / "all")
    alone = made_up_config(method, feed, env, seeds=1, first_seed=config.first_seed + 1, **{rate: 3e-2})
    single = train(alone, tmp_path / "one")
    assert summary["varied"] == {rate: [1e-3, 1e-3, 3e-2, 3e-2]}
    np.testing.assert_allclose(summary["returns"][3], single["returns"][0], **TOGETHER)
    together, apart = lines(tmp_path / "all"), lines(tmp_path / "one")
    for (update, _), values in apart.items():
        assert values.keys() == together[update, 3].keys()
        for name, value in values.items():
            np.testing.assert_allclose(together[update, 3][name], value, **TOGETHER, err_msg=name)
    assert abs(together[8, 1][moved] - together[8, 3][moved]) > 0.1  # 0.3 to 1.8


def states(folder, config):
    _, run = load_run(folder, config)
    return jax.device_get(run.state), np.asarray(run.failed_at)


def test_a_run_that_fails_is_frozen_and_changes_no_other(tmp_path, capsys):
    """A rate of 1e30 ends in infinities within a few updates."""
    changes = {"target_network": True, "log_every": 2, "eval_every": 8, "checkpoint_every": 8}
    good = made_up_config("iq", "replay", "bandit", seeds=2, grid__critic_lr=(1e-3, 2e-3), **changes)
    bad = made_up_config("iq", "replay", "bandit", seeds=2, grid__critic_lr=(1e-3, 1e30), **changes)
    train(good, tmp_path / "good")
    summary = train(bad, tmp_path / "bad")
    (healthy, none), (state, failed_at) = states(tmp_path / "good", good), states(tmp_path / "bad", bad)
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
    assert "run 2" in said and "critic_lr 1e+30" in said and "not finite at update" in said
    page = write_report([tmp_path / "bad"], tmp_path / "bad").read_text()
    assert "not finite at update" in page


def test_a_sweep_from_plan_to_table(tmp_path):
    config = made_up_config("iq", "demos", "walk", seeds=5)
    grid = {"temperature": (0.1, 1.0), "critics": (1, 2)}
    found = run_sweep(plan(config, grid), grid, tmp_path / "s", runs_per_device=None)
    assert [p["folder"] for p in found["programs"]] == ["program-0", "program-1"]
    assert len(found["rows"]) == 4
    for row in found["rows"]:
        assert row["point"].keys() == {"temperature", "critics"}
        assert row["seeds"] == [config.first_seed + i for i in range(5)]
        assert row["ci95"][0] <= row["normalized_iqm"] <= row["ci95"][1]
    scores = [row["normalized_iqm"] for row in found["rows"]]
    assert scores == sorted(scores, reverse=True)
    assert found["best"]["point"] == found["rows"][0]["point"]
    assert json.loads((tmp_path / "s" / "sweep.json").read_text()) == found
    again = run_sweep(plan(config, grid), grid, tmp_path / "s", runs_per_device=None)
    assert again == found  # nothing is run twice
    page = write_report([tmp_path / "s"], tmp_path / "s").read_text()
    assert all(f"critics {c}, temperature {t}" in page for c in (1, 2) for t in ("0.1", "1"))
    assert (tmp_path / "s" / "figures" / "heat_walk.png").exists()


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


def test_another_sweep_in_the_folder_is_refused(tmp_path):
    config = made_up_config("bc", "demos", "walk", seeds=1)
    grid = {"critic_lr": (1e-3,)}
    run_sweep(plan(config, grid), grid, tmp_path, runs_per_device=None)
    other = {"critic_lr": (1e-2,)}
    with pytest.raises(InputError, match="another sweep"):
        run_sweep(plan(config, other), other, tmp_path, runs_per_device=None)
    with pytest.raises(InputError, match="single run"):
        run_sweep(plan(config, grid), grid, tmp_path / "program-0", runs_per_device=None)


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


def test_estimate_counts_the_replay():
    """Memory grows with the replay by what its arrays take; more than there is does not fit."""
    sizes = (2**10, 2**16)
    changes = [{"seeds": 4, "online__capacity": size, "updates": size} for size in sizes]
    configs = [made_up_config("iq", "replay", "walk", **change) for change in changes]
    small, large = (memory_needed(make_problem(config)) for config in configs)
    row = 4 * (2 + 1 + 1 + 2) + 2  # obs, action, reward, next_obs in 32 bits, two flags
    assert 0.9 < (large - small) / (4 * (sizes[1] - sizes[0]) * row) < 1.3
    found = estimate(configs[0])
    assert found.fits and found.seconds > 0 and found.runs_per_device == 4
    assert found.bytes >= small
    assert not found._replace(free=found.bytes - 1).fits
