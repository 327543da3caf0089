"""`python -m experiments.reproduce`: names lead to modules, rows to configurations."""

import importlib.util
import re
import sys

import pytest

from experiments import reproduce
from experiments.lib.table import row_config
from experiments.studies import divergences, other_data
from experiments.tables import figure2, table1, table3
from iqlearn_jax import load_demos
from iqlearn_jax.config.files import load_config
from iqlearn_jax.config.values import assign, check_schedule
from tests.common import ROOT

RESULTS = ROOT / "docs/results"
TABLES = (divergences.TABLE, figure2.TABLE, table3.TABLE, other_data.TABLE)


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_every_row_is_a_configuration_whose_schedule_fits(table, monkeypatch):
    monkeypatch.chdir(ROOT)  # rows name configs/... as commands do
    for row in table.rows.values():
        config = load_config(row.config)
        for key, value in row.changes.items():
            assign(config, key, value)
        check_schedule(config)


def test_rows_of_other_tables_are_not_run_twice():
    for name, row in figure2.shared_rows().items():
        assert figure2.TABLE.folder(name) == table1.TABLE.folder(name)
        assert row.changes == table1.ROWS[name].changes


SETTINGS = [(task, "whole") for task in table3.TASKS] + [("hopper", "every_20th")]


@pytest.mark.parametrize(("task", "setting"), SETTINGS)
def test_table_3_gives_both_methods_the_same_data_and_means(task, setting, monkeypatch):
    monkeypatch.chdir(ROOT)
    iq, bc = (row_config(table3.ROWS[f"{task}_{setting}_{method}"], ROOT) for method in table3.METHODS)
    for name in ("updates", "batch_size", "hidden", "critic_lr", "weight_decay", "eval_episodes", "seeds"):
        assert iq[name] == bc[name], name
    assert iq.demos.subsample == bc.demos.subsample == (20 if setting == "every_20th" else 1)
    assert iq.seeds >= 5 and iq.eval_episodes == 100 and iq.first_seed >= 5000


def test_random_play_is_whole_episodes_and_always_the_same(tmp_path):
    first, second = (load_demos(_played(tmp_path / f"{n}.npz")) for n in range(2))
    assert first.digest == second.digest
    assert 60 <= len(first) < 60 + 500 and first.terminals[-1]
    assert 0.3 < first.actions.mean() < 0.7
    assert set(first.episode_returns) == set(first.episode_lengths.astype(float))


def _played(path):
    assert other_data.random_play("CartPole-v1", 60, path, path.parent) == ""
    return path


def test_pages_are_written_while_nothing_was_run():
    for table in TABLES[:3]:
        assert "| 0." not in table.markdown([])


def test_the_papers_scores_are_those_of_the_issue():
    scores = figure2.paper("cartpole", "sparse"), figure2.paper("acrobot", "sparse")
    assert scores[0]["edm"] == pytest.approx(0.41, abs=0.005)
    assert scores[0]["value_dice"] == pytest.approx(0.31, abs=0.005)
    assert scores[1]["edm"] == pytest.approx(0.88, abs=0.005)
    assert figure2.paper("cartpole", "full") == {}


def test_every_name_leads_to_a_module_that_exists(capsys, monkeypatch):
    assert all(importlib.util.find_spec(f"experiments.{e.module}") for e in reproduce.EXPERIMENTS.values())
    monkeypatch.setattr(sys, "argv", ["reproduce", "--list"])
    assert reproduce.main() == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == list(reproduce.EXPERIMENTS)


def test_an_unknown_name_lists_the_near_ones(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["reproduce", "figure5"])
    assert reproduce.main() == 2
    assert "figure4" in capsys.readouterr().err


def test_options_reach_the_experiment(monkeypatch):
    seen = []
    monkeypatch.setattr(reproduce.runpy, "run_module", lambda name, **_: seen.append((name, sys.argv[1:])))
    monkeypatch.setattr(sys, "argv", ["reproduce", "figure3", "--only=pong"])
    assert reproduce.main() == 0
    assert seen == [("experiments.tables.images", ["--only=pong"])]


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_published_results_name_no_folder_of_the_machine_that_made_them(path):
    assert not re.search(r"/(tmp|work|home|root|Users)/", path.read_text())
