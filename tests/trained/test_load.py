"""Which of a run's snapshots `--at` takes."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from iqlearn_jax.devices.placement import Placement
from iqlearn_jax.errors import InputError
from iqlearn_jax.loops.loop import RunState
from iqlearn_jax.trained import load


@pytest.mark.parametrize(
    ("scores", "run", "expected"),
    [
        ({(10, 0): 0.2, (20, 0): 0.92, (30, 0): 1.0, (40, 0): 0.1}, 0, 20),  # the first that is like them
        ({(10, 0): 0.2, (20, 0): 0.6, (30, 0): 0.6, (40, 0): 0.5}, 0, 20),  # none is: the first of the best
        ({(10, 0): 1.0, (10, 1): 0.3, (20, 1): 0.4}, 1, 20),  # another run's policies do not count
        ({(5, 0): 1.0, (10, 0): 0.3}, 0, 10),  # nothing was kept after 5
    ],
)
def test_the_first_policy_like_the_demonstrations_is_chosen(tmp_path, scores, run, expected):
    lines = [{"update": n, "run": r, "eval/likeness": score} for (n, r), score in scores.items()]
    lines.insert(1, {"update": 10, "run": run})  # logged, not evaluated
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for updates in (10, 20, 30, 40):
        (tmp_path / "snapshots" / str(updates)).mkdir(parents=True)
    assert load.choices(tmp_path)[run]["update"] == expected


def test_without_an_evaluated_snapshot_there_is_nothing_to_choose(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"update": 10, "run": 0, "eval/likeness": 1.0}) + "\n")
    with pytest.raises(InputError, match=r"no snapshot with an eval/likeness.*snapshot_every"):
        load.snapshots_at(tmp_path, 1, "likeness")
    assert load.snapshots_at(tmp_path, 2, "10") == [10, 10]  # whether it was kept, its reader says


@pytest.mark.parametrize(("at", "expected"), [("likeness", (10, 20)), ("final", (40, 40)), ("20", (20, 20))])
def test_each_runs_policy_is_evaluated_as_it_was_at_its_time(tmp_path, monkeypatch, at, expected):
    """Made-up states are their number of updates; run r of state n returns 100 n + r."""
    scores = {(10, 0): 0.95, (10, 1): 0.2, (20, 0): 1.0, (20, 1): 0.9, (40, 0): 1.0, (40, 1): 1.0}
    lines = [
        {"update": n, "run": r, "env_steps": 3 * n, "eval/likeness": score}
        for (n, r), score in scores.items()
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for updates in (10, 20):
        (tmp_path / "snapshots" / str(updates)).mkdir(parents=True)

    def evaluate(state, episodes):
        return SimpleNamespace(
            returns=np.array([[100 * n + run] * episodes for run, n in enumerate(state[:2])])
        )

    place = Placement(runs=2, slots=3, mesh=None)
    problem = SimpleNamespace(seeds=np.array([5, 6]), placement=place)
    last = np.full(3, 40, np.int32)
    trained = RunState(last, None, None, None, last, 3 * last, np.full(3, -1, np.int32))
    monkeypatch.setattr(load, "stored_config", lambda workdir: {})
    monkeypatch.setattr(load, "load_run", lambda workdir, config: (problem, trained))
    monkeypatch.setattr(load, "load_snapshot", lambda workdir, problem, updates: np.full(3, updates))
    monkeypatch.setattr(load, "make_evaluator", lambda problem: evaluate)
    rows = load.returns_at(tmp_path, 3, at)
    assert [(seed, updates) for seed, updates, _ in rows] == list(zip((5, 6), expected, strict=True))
    np.testing.assert_array_equal(
        [returns for *_, returns in rows], [[100 * n + run] * 3 for run, n in enumerate(expected)]
    )
