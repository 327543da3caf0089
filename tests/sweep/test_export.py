"""Which snapshot's reward `--at=likeness` exports."""

import json

import pytest

from iqlearn_jax.errors import InputError
from iqlearn_jax.sweep.export import likest


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
    assert likest(tmp_path, run) == expected


def test_without_an_evaluated_snapshot_there_is_nothing_to_choose(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"update": 10, "run": 0, "eval/likeness": 1.0}) + "\n")
    with pytest.raises(InputError, match=r"no snapshot with an eval/likeness.*snapshot_every"):
        likest(tmp_path, 0)
