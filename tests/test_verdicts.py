"""What the doctor says of finished runs: judged from their folders, counted by how they ended."""

import json

import numpy as np
import pytest
from common import configure

from experiments import verdicts
from experiments.verdicts import Verdict, count, finished, judge
from iqlearn_jax.errors import InputError
from iqlearn_jax.sweep.workdir import MetricsFile, as_plain, write_json

CALM = {"iq/value": 8.0, "critic/grad_norm": 3.0, "policy/entropy": 0.3}


def finished_folder(folder, method="iq"):
    """Two CartPole runs online, of which the second leaves V's bound (200) behind 500 of 1,000 updates."""
    folder.mkdir(parents=True)
    changes = {
        "method": method, "feed": "replay", "regularize": "both", "value_term": "policy", "seeds": 2,
        "terminal": "absorbing", "target_network": True, "updates": 1000, "log_every": 50,
    }  # fmt: skip
    write_json(folder / "config.json", as_plain(configure(**changes)))
    scores = {"normalized": [0.95, 0.2], "likeness": [0.9, 0.1]}
    write_json(folder / "summary.json", {"method": method, "setting": "online"} | scores)
    file = MetricsFile(folder / "metrics.jsonl", upto=0)
    for chunk in range(1, 21):
        metrics = {name: np.full(2, level) for name, level in CALM.items()}
        metrics["iq/value"][1] = 300.0 if chunk > 10 else 8.0
        file.write(50 * chunk, 0, 0.0, range(2), metrics)


def test_a_finished_folder_is_judged_run_by_run(tmp_path):
    finished_folder(tmp_path / "core" / "cartpole")
    finished_folder(tmp_path / "core" / "cloning", method="bc")
    finished_folder(tmp_path / "elsewhere" / "cartpole")
    (part, folder), *others = finished(tmp_path)
    assert (part, folder, others) == ("chosen on", tmp_path / "core" / "cartpole", [])
    good, bad = judge(part, folder)
    assert (good.end, good.first, bad.end) == ("0.9 or more", {}, "below 0.5")
    assert bad.first == {"values_out_of_bounds": pytest.approx(0.6)}  # 2 of 3 chunks: 600 of 1,000 updates


def test_runs_are_counted_by_part_setting_and_end():
    def run(part, normalized, likeness=0.9, **first):
        return Verdict("f", part, "offline", normalized, likeness, first)

    some = [
        run("chosen on", 0.95), run("chosen on", 0.9, None, critic_explosion=0.5),
        run("counted only", 0.6, 0.3), run("counted only", 0.4, 0.1, critic_explosion=0.7),
        run("counted only", 0.1, 0.2, critic_explosion=0.2, policy_uniform=0.1),
    ]  # fmt: skip
    good, between, bad = count(some)
    assert (good["end"], good["runs"], good["unlike"], good["named"]) == ("0.9 or more", 2, 0, 1)
    assert (between["part"], between["unlike"], between["first"]) == ("counted only", 1, None)
    assert bad["kinds"] == {"critic_explosion": 2, "policy_uniform": 1}
    assert bad["first"] == [pytest.approx(0.4), pytest.approx(0.1)]


def test_the_page_names_good_runs_that_were_named_and_nothing_is_no_page(tmp_path, monkeypatch):
    monkeypatch.setattr(verdicts, "RESULTS", tmp_path)
    with pytest.raises(InputError, match="no finished run"):
        verdicts.write(tmp_path / "runs")
    finished_folder(tmp_path / "runs" / "tuning" / "search" / "program-0")
    verdicts.write(tmp_path / "runs")
    rows = json.loads((tmp_path / "verdicts.json").read_text())["rows"]
    assert [(row["part"], row["end"], row["named"]) for row in rows] == [
        ("counted only", "0.9 or more", 0), ("counted only", "below 0.5", 1),
    ]  # fmt: skip
    page = (tmp_path / "verdicts.md").read_text()
    assert "| counted only | online | below 0.5 | 1 | 1 | 1 | 0.60, 0.60 | values_out_of_bounds 1 |" in page
    assert page.endswith("| folder | runs | as |\n| --- | --- | --- |\n")
