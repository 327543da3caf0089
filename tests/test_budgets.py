"""`experiments.budgets`: what is counted, once, and that the page is that of the files."""

import json

import pytest
from common import ROOT

from experiments import budgets, command


def test_parts_of_a_row_are_added_and_a_command_counts_once():
    waits = {"note": "pending: python -m experiments.rewards --only=hopper (about 90 minutes)"}
    row = {"name": "hopper", "a": {"wall_seconds": 1800.0, "b": waits}, "c": waits}
    assert budgets.share(row) == (0.5, 1, 0, 1.5, 1, 0)
    note = "pending: python -m experiments.table3 --only=ant_dac, one update to three steps, about 5.4 h"
    assert budgets.share({"task": "ant_dac", "note": note}) == (0, 0, 0, 5.4, 1, 0)
    assert budgets.share({"task": "x", "note": "pending: y, no estimate of its time"}) == (0, 0, 0, 0, 1, 1)
    assert budgets.share({"name": "x", "note": "a remark, about 3 h"}) == (0, 1, 1, 0, 0, 0)


def test_a_run_that_two_pages_show_counts_where_it_was_made(tmp_path, monkeypatch):
    monkeypatch.setattr(budgets, "RESULTS", tmp_path)
    rows = {
        "control": [{"name": "hopper", "wall_seconds": 7200.0}],
        "table1": [{"name": "hopper_online_dac", "wall_seconds": 3600.0}],
        "table3": [
            {"name": "hopper_iq", "wall_seconds": 7200.0},
            {"name": "hopper_dac", "wall_seconds": 3600.0},
            {"name": "halfcheetah_dac", "wall_seconds": 1800.0},
        ],
    }
    for page in (*budgets.EARLIER, *(page for pages in budgets.GROUPS.values() for page in pages)):
        (tmp_path / f"{page}.json").write_text(json.dumps({"rows": rows.get(page, [])}))
    found = budgets.shares()
    assert [found[page].used for page in rows] == [2.0, 1.0, 0.5]
    total = budgets.Share(used=25.25, untimed=2, pending=3, waiting=4.5, unknown=1)
    assert "shown: at least 25.2 h, 1.2 h more than that. 3 rows are pending: 4.5 h" in budgets.verdict(total)


def test_an_experiment_that_ends_renews_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(budgets, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "one_device_per_core", lambda: None)  # too late here: other tests have run
    for page in (*budgets.EARLIER, *(page for pages in budgets.GROUPS.values() for page in pages)):
        (tmp_path / f"{page}.json").write_text(json.dumps({"rows": []}))
    with pytest.raises(SystemExit, match=r"^0$"):
        command.run("elsewhere", lambda: None)
    assert not (tmp_path / "budgets.md").exists()  # a user's own folder gets no page
    (tmp_path / "budgets.md").write_text("stale")
    rows = [{"name": "hopper", "wall_seconds": 7200.0}]
    with pytest.raises(SystemExit, match=r"^0$"):
        command.run("rewards", lambda: (tmp_path / "rewards.json").write_text(json.dumps({"rows": rows})))
    assert "2.0 h" in (tmp_path / "budgets.md").read_text("utf-8")

    def stopped():
        (tmp_path / "rewards.json").write_text(json.dumps({"rows": [rows[0] | {"wall_seconds": 10_800.0}]}))
        raise KeyboardInterrupt

    with pytest.raises(SystemExit):
        command.run("rewards", stopped)
    assert "3.0 h" in (tmp_path / "budgets.md").read_text("utf-8")


def test_the_page_is_that_of_the_files(monkeypatch):
    monkeypatch.chdir(ROOT)
    written = (ROOT / "docs/results/budgets.md").read_text("utf-8")
    if written != budgets.page():
        pytest.fail("docs/results/budgets.md is not that of the result files: python -m experiments.budgets")
