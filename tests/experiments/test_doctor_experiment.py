"""The table of what the likeness is worth on runs of other experiments."""

import json

import pytest

from experiments.studies import doctor


def test_runs_of_other_experiments_are_pooled_by_task_and_counted_once(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "RESULTS", tmp_path)

    def row(started, likeness, normalized):
        return {
            "task": "walk", "provenance": {"started": started}, "likeness": likeness, "normalized": normalized
        }  # fmt: skip

    first = row("a", [0.1, 0.2, 0.3, 1.0], [0.0, 0.2, 0.1, 0.95])
    second = row("b", [0.6, 0.8], [0.9, 1.0])
    images = row("c", None, [1.0])
    for name, rows in {"core": [first, images], "control": [first, second]}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"rows": rows}))
    walk, everything, within = doctor.others()
    assert walk == ("walk", *everything[1:])  # there is one task only
    assert everything[:2] == ("all", 6) and everything[5] == 3
    assert everything[4] == "1.00" and everything[6] == "0.80, 0.64"  # the good ones' likeness: 1, 0.6, 0.8
    assert within[2] == everything[2]
    assert everything[2] == "0.89"  # ranks 1 2 3 6 4 5 against 1 3 2 5 4 6: 1 − 6·4/210


def test_tasks_of_other_likeness_are_ranked_apart(tmp_path, monkeypatch):
    """Perfect ranks on each of two tasks, whose likeness differs by more than that of good and bad runs."""
    monkeypatch.setattr(doctor, "RESULTS", tmp_path)
    low, high, returns = [0.1, 0.2, 0.3], [0.7, 0.8, 0.9], [[0.5, 0.9, 1.0], [0.1, 0.2, 0.6]]
    rows = [
        {"task": task, "provenance": {"started": task}, "likeness": likeness, "normalized": own}
        for task, likeness, own in zip("ab", (low, high), returns, strict=True)
    ]
    (tmp_path / "core.json").write_text(json.dumps({"rows": rows}))
    *_, everything, within = doctor.others()
    assert everything[2] == "-0.26"  # ranks 1 to 6 against 3 5 6 1 2 4: 1 − 6·44/210
    assert within[2] == "1.00"


def test_without_results_there_is_no_line(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "RESULTS", tmp_path)
    assert doctor.others() == []


def test_what_was_run_elsewhere_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "RESULTS", tmp_path)
    monkeypatch.setattr(doctor, "RUNS", tmp_path)
    run = {
        "seeds": [1, 2], "updates": 5, "env_steps": 0, "normalized": [0.2, 0.9], "likeness": [0.1, 0.8],
        "all_normalized": [0.2, 0.9], "all_likeness": [0.1, 0.8],
        "provenance": {"hardware": "abacus", "commit": "a" * 40},
    }  # fmt: skip
    before = {"rows": [{"task": "acrobot", "variants": {"offline": run}}]}
    (tmp_path / "doctor.json").write_text(json.dumps(before))
    doctor.write()
    rows = {row["task"]: row for row in json.loads((tmp_path / "doctor.json").read_text())["rows"]}
    assert rows.keys() == {"acrobot", "pooled"}  # what was not run is no row
    assert rows["acrobot"]["variants"] == {"offline": run}
    assert rows["acrobot"]["runs"] == rows["pooled"]["runs"] == pytest.approx(1)
    assert "| acrobot | offline | 2 | 1.00 | 1.00 | 0.20 … 0.90 |" in (tmp_path / "doctor.md").read_text()
