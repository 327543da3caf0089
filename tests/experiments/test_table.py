"""Tables of runs (`lib.table`): what is missing is trained once, what is there is only read."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from experiments.lib import command, figures, table
from experiments.lib.chosen import chosen, chosen_table
from experiments.lib.figures import normalized_curve
from experiments.lib.markdown import run_table, score
from experiments.lib.table import Row, Table
from experiments.lib.table import run_table as run
from iqlearn_jax.cli.common import PREEMPTED
from iqlearn_jax.errors import InputError
from iqlearn_jax.training.session import Stopped
from tests.common import ROOT, cartpole_demos

SMALL = {
    "seeds": 2, "first_seed": 5, "hidden": (8,), "updates": 60, "log_every": 20, "eval_every": 20,
    "eval_episodes": 2, "checkpoint_every": 0, "batch_size": 8, "demos.trajectories": 2,
}  # fmt: skip
CARTPOLE = "cartpole:offline"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A table of two runs of which one has no demonstrations; all its files lie in a temporary folder."""
    monkeypatch.setattr(table, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(table, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(figures, "IMAGES", tmp_path / "images")
    cartpole_demos(tmp_path / "cartpole.npz")
    rows = {
        "here": Row(
            CARTPOLE, "cartpole.npz", SMALL, "a note", finish=lambda folder: f"measured in {folder.name}"
        ),
        "away": Row(CARTPOLE, "nowhere.npz", SMALL),
        "made": Row(CARTPOLE, None, SMALL, prepare=lambda shared: "expert"),
    }
    return Table("small", rows, "# Small\n\n", run_table, {"CartPole": ("here", "away")}), tmp_path


def asked_settings(row):
    return table.settings(table.as_plain(table.concrete(table.row_config(row, Path()))))


def call(small, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["table", f"--shared={small[1]}", *arguments])
    run(small[0], "a table")


def test_a_table_is_trained_once_and_written(small, monkeypatch, capsys):
    call(small, monkeypatch)
    said = capsys.readouterr().err
    assert f"away: not run, there is no nowhere.npz in {small[1]}" in said
    assert "made: not run, there is no expert" in said
    folder = small[1] / "runs" / "small" / "here"
    summary = json.loads((folder / "summary.json").read_text())
    content = json.loads((small[1] / "results" / "small.json").read_text())
    (here,) = content["rows"]  # what was not run is no row
    assert here["returns"] == summary["returns"]
    assert here["seeds"] == [5, 6]
    assert here["note"] == "a note, measured in here"  # nothing of other settings
    assert here["settings"]["hidden"] == [8] and here["settings"]["demos.path"] == "cartpole.npz"
    assert here["curve"]["updates"] == [20, 40, 60]
    assert np.shape(here["curve"]["returns"]) == (3, 2)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert here["last_metrics"]["iq/loss"] == pytest.approx(np.mean([line["iq/loss"] for line in lines[-2:]]))
    span = summary["expert_return"] - summary["random_return"]
    expected = (lines[-1]["eval/return"] - summary["random_return"]) / span
    assert normalized_curve(here)[-1, 1] == pytest.approx(expected, abs=1e-3)
    page = (small[1] / "results" / "small.md").read_text()
    assert page.startswith("# Small\n\n`python -m experiments.small`, on 1 x ")
    assert "[small.json](small.json)" in page and "away" not in page
    assert f"{summary['normalized_iqm']:.3f}" in page
    assert (
        "| CartPole-v1 (gymnax) | IQ-Learn | offline, 2 demonstrations, a note, measured in here | 5–6 |"
        in page
    )
    assert "small_curves.png" in page
    assert (small[1] / "images" / "small_curves.png").stat().st_size > 5000
    monkeypatch.setattr(table, "train", lambda *_, **__: pytest.fail("trained again"))
    (folder / "note.txt").unlink()  # as if measuring it had failed
    call(small, monkeypatch, "--only=here")
    assert (folder / "note.txt").read_text() == "measured in here"


def test_rows_that_ran_elsewhere_have_the_label_and_command_that_theirs_has_now(small):
    row = Row(CARTPOLE, label="renamed")
    elsewhere = {"name": "gone", "method": "value_dice", "label": "as it was", "command": "as it was"}
    renamed, plain = (
        table.result(small[0]._replace(rows={"gone": kept}), "gone", {"gone": elsewhere})
        for kept in (row, row._replace(label=""))
    )
    assert (renamed["label"], plain["label"]) == ("renamed", "ValueDICE")
    assert renamed["command"] == "python -m experiments.small --only=gone"


def test_unknown_rows_are_refused_and_listing_trains_nothing(small, monkeypatch, capsys):
    monkeypatch.setattr(table, "train", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(InputError, match="unknown --only 'her'; did you mean here"):
        call(small, monkeypatch, "--only=her")
    call(small, monkeypatch, "--list")
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == [*small[0].rows]
    assert all(line.endswith("(not run)") for line in listed)
    call(small, monkeypatch, "--list", "--only=*a*e,here")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["made", "here"]


def test_force_reaches_training_and_a_signal_the_exit_code(small, monkeypatch, capsys):
    seen = []

    def stopped(config, folder, resume, force):
        seen.append((resume, force))
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(table, "train", stopped)
    monkeypatch.setattr(command, "one_device_per_core", lambda: None)  # JAX runs already
    monkeypatch.setattr("sys.argv", ["table", f"--shared={small[1]}", "--only=here", "--force"])
    with pytest.raises(SystemExit) as ended:
        table.main(small[0], "a table")
    assert ended.value.code == PREEMPTED
    assert seen == [(False, True)]
    assert "go on with: python -m experiments.small --shared=" in capsys.readouterr().out


@pytest.mark.parametrize("module", ["tables.core", "tables.control", "tables.images", "studies.stability"])
def test_every_table_names_configurations_and_rows_that_exist(module, monkeypatch):
    from importlib import import_module

    from iqlearn_jax.config.files import load_config
    from iqlearn_jax.config.values import assign

    monkeypatch.chdir(ROOT)
    named = import_module(f"experiments.{module}").TABLE
    assert named.module == module
    for row in named.rows.values():
        config = load_config(row.config)
        for key, value in row.changes.items():
            assign(config, key, value)
        assert config.first_seed >= 5000 or named.name == "stability"
    assert {row for rows in named.panels.values() for row in rows} <= named.rows.keys()


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [(InputError("no such row"), 2, "error: no such row"), (KeyboardInterrupt(), 130, "finished is kept")],
)
def test_errors_and_ctrl_c_are_one_line_and_a_code(error, code, said, monkeypatch, capsys):
    def fails():
        raise error

    monkeypatch.setattr(command, "one_device_per_core", lambda: None)  # JAX runs already
    with pytest.raises(SystemExit) as ended:
        command.run("small", fails)
    assert ended.value.code == code
    assert said in capsys.readouterr().err


def test_results_of_other_machines_stay_unless_other_seeds_are_asked_for(small, monkeypatch):
    elsewhere = {
        "name": "away",
        "task": "t",
        "method": "iq",
        "seeds": [5, 6],
        "provenance": {"hardware": "h"},
        "settings": asked_settings(small[0].rows["away"]),
    }
    (small[1] / "results").mkdir()
    path = small[1] / "results" / "small.json"
    path.write_text(json.dumps({"rows": [elsewhere]}))
    assert table.published(small[0]) == {"away": elsewhere}
    others = elsewhere["settings"] | {"first_seed": 7}
    path.write_text(json.dumps({"rows": [elsewhere | {"settings": others}, elsewhere | {"name": "gone"}]}))
    assert table.published(small[0]) == {}


def test_published_rows_of_other_settings_are_left_out(small, monkeypatch, capsys):
    """Where the demonstrations lay, and options at their defaults, make no difference."""
    row = small[0].rows["away"]
    asked = table.as_plain(table.concrete(table.row_config(row, small[1] / "elsewhere")))
    ran = table.settings(asked)
    assert ran["demos.path"] == "nowhere.npz" and ran["updates"] == 60
    assert ran == table.settings({key: value for key, value in asked.items() if key in ran})
    done = {"name": "away", "task": "t", "method": "iq", "seeds": [5, 6]}
    done |= {"provenance": {"hardware": "h", "commit": "c" * 40}}
    (small[1] / "results").mkdir()
    path = small[1] / "results" / "small.json"
    kept = []
    for own in ({}, {"critic_lr": 0.5}, {"first_seed": 7}, {"updates": 61}):
        path.write_text(json.dumps({"rows": [done | {"settings": ran | own}]}))
        kept.append(list(table.published(small[0])))
    assert kept == [["away"], [], [], []]
    assert "away: left out, it ran with other settings (updates 61, now 60)" in capsys.readouterr().err
    assert table.result(small[0], "away", table.published(small[0])) is None
    now = table.row_config(row, small[1])["critic_lr"]
    expected = f"ran with other settings (critic_lr 0.5, now {now})"
    assert table.outdated(row, ran | {"critic_lr": 0.5}) == expected


def test_a_chosen_policy_is_worth_what_it_returned_when_it_was_like_the_demonstrations(tmp_path):
    """By hand: run 0 is like them at 20 (its better return at 30 counts not), run 1 most so at 10."""
    likes = {(10, 0): 0.3, (20, 0): 0.9, (30, 0): 1.0, (10, 1): 0.6, (20, 1): 0.5, (30, 1): 0.2}
    returns = {(10, 0): 10, (20, 0): 40, (30, 0): 110, (10, 1): 60, (20, 1): 90, (30, 1): 90}
    lines = [
        {
            "update": n,
            "run": r,
            "env_steps": 3 * n,
            "eval/likeness": likes[n, r],
            "eval/return": returns[n, r],
        }
        for n, r in likes
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = {"seeds": [7, 8], "expert_return": 110.0, "random_return": 10.0}
    assert chosen(tmp_path, summary) is None  # no snapshot was kept
    for updates in (10, 20, 30):
        (tmp_path / "snapshots" / str(updates)).mkdir(parents=True)
    choice = chosen(tmp_path, summary)
    assert (choice["updates"], choice["env_steps"], choice["returns"]) == ([20, 10], [60, 30], [40, 60])
    np.testing.assert_allclose(choice["normalized"], [0.3, 0.5])
    assert choice["normalized_iqm"] == pytest.approx(0.4) and choice["ci95"] is None
    row = {"name": "a", "seeds": [7, 8], "normalized_iqm": 0.875, "ci95": None}
    assert chosen_table([row | {"chosen": None}]) == ""
    assert "| a | 7–8 | 20 10 | 0.400 | 0.875 |" in chosen_table([row | {"chosen": choice}, {}])


@pytest.mark.slow
def test_a_run_of_other_settings_is_left_out_and_said(small, monkeypatch, capsys):
    call(small, monkeypatch, "--only=here")
    row = small[0].rows["here"]
    other = row._replace(changes={**row.changes, "critic_lr": 0.5})
    capsys.readouterr()
    assert table.result(small[0]._replace(rows={"here": other}), "here", {}) is None
    assert "here: left out, " in capsys.readouterr().err


def test_a_borrowed_row_is_that_of_the_table_that_runs_it(small):
    lent = table.borrowed(small[0], "away")
    ran = asked_settings(small[0].rows["away"])
    row = {"name": "away", "task": "t", "method": "iq", "seeds": [5, 6], "settings": ran}
    (small[1] / "results").mkdir()
    (small[1] / "results" / "small.json").write_text(json.dumps({"rows": [row]}))
    borrower = small[0]._replace(module="tables.other", rows={"theirs": lent})
    assert table.published(borrower) == {"theirs": row | {"name": "theirs"}}


def test_a_score_of_few_seeds_shows_the_lowest_and_the_highest():
    few = {"normalized_iqm": 0.962, "ci95": None, "normalized": [0.966, 0.95, 0.971]}
    assert score(few) == "0.962 (0.950 … 0.971)"
    assert score(few | {"ci95": [0.9, 1.0]}) == "0.962 [0.900, 1.000]"
    assert score(few | {"normalized": [0.962]}) == "0.962"
    assert score(None) == "–"
