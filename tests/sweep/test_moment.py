"""Which of a run's snapshots `--at` takes."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from iqlearn_jax.errors import InputError
from iqlearn_jax.sweep import moment


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
    assert moment.choices(tmp_path)[run]["update"] == expected


def test_without_an_evaluated_snapshot_there_is_nothing_to_choose(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"update": 10, "run": 0, "eval/likeness": 1.0}) + "\n")
    with pytest.raises(InputError, match=r"no snapshot with an eval/likeness.*snapshot_every"):
        moment.snapshots_at(tmp_path, 1, "likeness")
    assert moment.snapshots_at(tmp_path, 2, "10") == [10, 10]  # whether it was kept, its reader says


@pytest.mark.parametrize(("at", "expected"), [("likeness", (10, 20)), ("final", (40, 40)), ("20", (20, 20))])
def test_each_runs_policy_is_evaluated_at_its_own_moment(tmp_path, monkeypatch, at, expected):
    """Made-up states are their number of updates; run r of state n returns 100 n + r."""
    scores = {(10, 0): 0.95, (10, 1): 0.2, (20, 0): 1.0, (20, 1): 0.9, (40, 0): 1.0, (40, 1): 1.0}
    lines = [
        {"update": n, "run": r, "env_steps": 3 * n, "eval/likeness": score}
        for (n, r), score in scores.items()
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for updates in (10, 20):
        (tmp_path / "snapshots" / str(updates)).mkdir(parents=True)
    played = []

    def evaluate(state, episodes):
        played.append(state)
        return SimpleNamespace(returns=100 * state + np.array([[0] * episodes, [1] * episodes]))

    problem = SimpleNamespace(seeds=np.array([5, 6]), placement=SimpleNamespace(get=lambda x: x))
    trained = SimpleNamespace(state=40, updates=np.array([40, 40, 40]))  # three slots for two runs
    monkeypatch.setattr(moment, "read_config", lambda workdir: {})
    monkeypatch.setattr(moment, "load_run", lambda workdir, config: (problem, trained))
    monkeypatch.setattr(moment, "load_snapshot", lambda workdir, problem, updates: updates)
    monkeypatch.setattr(moment, "make_evaluator", lambda problem: evaluate)
    found = moment.returns_at(tmp_path, 3, at)
    assert [(seed, updates) for seed, updates, _ in found] == list(zip((5, 6), expected, strict=True))
    np.testing.assert_array_equal(
        [own for *_, own in found], [[100 * n + r] * 3 for r, n in enumerate(expected)]
    )
    assert len(played) == len(set(expected))  # a state is played once for all runs
