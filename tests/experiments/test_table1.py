"""Table 1: every configuration exists, has the same budget as the others, and is what the search found."""

import json
import math

import numpy as np
import pytest

from experiments.lib.table import run_row, write_results
from experiments.tables import figure2, table1, tuning
from iqlearn_jax.config.files import load_config
from iqlearn_jax.config.values import check_schedule, traced_keys
from iqlearn_jax.methods import FORWARD_RL, METHODS
from tests.common import ROOT


@pytest.fixture(autouse=True)
def _root(monkeypatch):
    monkeypatch.chdir(ROOT)  # rows name configs/... as commands do


def test_every_row_has_a_configuration_with_a_schedule_that_fits():
    sources = {row.config for row in (*table1.ROWS.values(), *table1.QUICK_TABLE.rows.values())}
    for source in sources:
        check_schedule(load_config(source))


def test_every_search_has_the_same_number_of_points_and_few_programs():
    for name, (_, grid) in tuning.SEARCHES.items():
        load_config(f"table1:{name}")
        assert math.prod(len(values) for values in grid.values()) == tuning.size(name)[0], name
        assert grid.keys() <= {*traced_keys(), "normalize_obs", "value_term", "layer_norm"}, name


def test_dac_has_its_papers_gradient_penalty_everywhere():
    """Without one it ended below the uniform policy on CartPole, at every point of its search."""
    sources = {row.config for name, row in table1.ROWS.items() if name.endswith("_dac")}
    assert sources and all(load_config(source).gradient_penalty == 10.0 for source in sources)


def test_offline_methods_share_data_and_evaluation():
    for name in tuning.SEARCHES:
        task, setting, method = name.split("_", 2)
        if task == "inverted" or setting == "online":
            continue
        own, other = (load_config(f"table1:{task}_{setting}_{m}") for m in (method, "bc"))
        searched = tuning.SEARCHES[name][1].keys()
        for key in {"env", "demos", "normalize_obs", "hidden", "eval_episodes", "gamma"} - searched:
            assert own[key] == other[key], (name, key)


@pytest.mark.parametrize("task", ["cartpole", "acrobot"])
def test_methods_with_a_replay_share_what_keeps_values_in_place(task):
    configs = [load_config(f"table1:{task}_online_{method}") for method in tuning.ONLINE]
    off_policy = [config for config in configs if config.feed == "replay"]
    assert len(off_policy) == 5
    for config in off_policy:
        assert config.target_network and config.terminal == "absorbing", config.method


def test_methods_on_the_pendulum_share_data_networks_and_evaluation():
    configs = [load_config(f"table1:{table1.DOUBLE}_online_{method}") for method in tuning.PENDULUM]
    for key in ("env", "demos", "normalize_obs", "hidden", "batch_size", "eval_episodes", "gamma"):
        assert all(config[key] == configs[0][key] for config in configs), key


def test_a_stopped_search_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.tables.tuning.RUNS", tmp_path)
    begun, gone_on = tmp_path / "tuning/acrobot_full_bc", []
    begun.mkdir(parents=True)
    (begun / "sweep.json").write_text(json.dumps({"rows": []}))
    monkeypatch.setattr(tuning, "run_sweep", lambda *given, **options: gone_on.append(given[2]))
    tuning.search("acrobot_full_bc", tmp_path)
    assert gone_on == [begun]


def test_a_search_decides_the_settings_and_no_row_runs_before_it(monkeypatch, tmp_path):
    best = {"critic_lr": 0.123, "temperature": 0.456}
    grids = {name: tuning.SEARCHES[name][1] for name in ("cartpole_full_iq", "cartpole_full_bc")}
    other = grids["cartpole_full_bc"] | {"weight_decay": (0.5,)}  # of another grid than now asked for
    point = {"point": best, "normalized_iqm": 0.5}
    made = {"points": [point], "provenance": {"hardware": "h", "commit": "c" * 40}}
    rows = [made | {"name": "cartpole_full_iq", "best": best, "grid": grids["cartpole_full_iq"]}]
    rows += [made | {"name": "cartpole_full_bc", "best": best, "grid": other}]
    (tmp_path / "tuning.json").write_text(json.dumps({"rows": rows}))
    monkeypatch.setattr("experiments.tables.tuning.RESULTS", tmp_path)
    monkeypatch.setattr("experiments.tables.tuning.CHOSEN", tmp_path / "table1.json")
    monkeypatch.setattr("experiments.tables.tuning.RUNS", tmp_path)
    assert table1.ROWS["cartpole_full_iq_3"].prepare(tmp_path) == ""
    for name in ("cartpole_full_bc", "acrobot_sparse_edm"):
        missing = table1.ROWS[f"{name}_1"].prepare(tmp_path)
        assert missing.endswith(f"python -m experiments.tables.tuning --only={name}")
    assert table1.ROWS["hopper_online_dac"].prepare is None
    assert all(row.prepare is None for row in table1.QUICK_TABLE.rows.values())
    begun = tmp_path / "tuning/cartpole_full_iq/sweep.json"
    begun.parent.mkdir(parents=True)
    begun.write_text(json.dumps({"rows": [], "best": None, "programs": []}))
    tuning.write()  # here nothing was run to its end: what is there stays
    kept = {row["name"]: row for row in json.loads((tmp_path / "tuning.json").read_text())["rows"]}
    assert kept["cartpole_full_iq"]["best"] == best
    assert kept.keys() == {"cartpole_full_iq"}
    page = (tmp_path / "tuning.md").read_text()
    assert "| iq | offline | temperature, critic_lr | 1 | 0.50 … 0.50 | 0.50 … 0.50 |" in page
    assert json.loads((tmp_path / "table1.json").read_text()) == {"cartpole_full_iq": best}


def test_configurations_hold_what_the_search_found():
    rows = json.loads((ROOT / "docs/results/tuning.json").read_text())["rows"]
    best_points = {row["name"]: row["best"] for row in rows if row["best"]}
    assert best_points["cartpole_full_iq"]
    assert json.loads((ROOT / tuning.CHOSEN).read_text()) == best_points
    for name, best in best_points.items():
        config = load_config(f"table1:{name}")
        assert all(config[key] == value for key, value in best.items()), name


def test_the_page_holds_what_is_done_and_compares_it(monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.lib.figures.IMAGES", tmp_path)
    rng = np.random.default_rng(0)

    def row(name):
        method = name.removeprefix("cartpole_full_").rsplit("_", 1)[0]
        x = rng.uniform(0.5, 1.0, 10)
        return {
            "name": name, "method": method, "normalized": list(x), "normalized_iqm": float(np.mean(x)),
            "ci95": [0.5, 1.0], "settings": {},
        }  # fmt: skip

    done = [row(f"cartpole_full_{method}_{n}") for method in ("iq", "bc") for n in (1, 3)]
    page = table1.markdown(done)
    assert page.startswith("**IQ-Learn is beaten in")
    assert "| method | cartpole 1, whole | IQ-Learn better, equal, open, worse |" in page
    assert page.count("\n| IQ-Learn | ") == page.count("\n| BC | ") == 1 and "AVRIL |" not in page
    assert len(table1.comparisons(done)["comparisons"]) == 2
    assert (tmp_path / "table1_scores.png").exists()


def figure2_row(method, score, demos=1, own=""):
    about = {"name": f"{own}cartpole_sparse_{method}_{demos}", "method": method.removesuffix("_next")}
    return about | {
        "normalized": [score - 0.01, score, score + 0.01] * 3,
        "normalized_iqm": score,
        "ci95": [score, score],
        "settings": {},
    }


def test_methods_that_see_a_rows_next_action_are_compared_with_each_other_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.lib.figures.IMAGES", tmp_path)
    row = figure2_row
    once = [row("iq", 0.2), row("bc", 0.3), row("avril", 0.6)]
    rows = [*once, row("iq_next", 0.5), row("bc_next", 0.4)]
    pairs = figure2.comparisons(rows)
    found = {
        name: {pair["method"]: pair["difference"] for pair in pairs[name]}
        for name in ("comparisons", "comparisons_both_actions")
    }
    assert found["comparisons"] == pytest.approx({"bc": -0.1, "avril": -0.4})  # 0.2, 0.3, 0.6
    assert found["comparisons_both_actions"] == pytest.approx({"bc": 0.1, "avril": -0.1})  # 0.5, 0.4, 0.6
    page = figure2.markdown(rows)
    assert "IQ-Learn is beaten in 2 of 2" in page.split("## With both actions")[0]
    assert "IQ-Learn is beaten in 1 of 2" in page.split("## With both actions")[1]
    assert "| cartpole | IQ-Learn | 0.200 [0.200, 0.200] | – | – | – | – | 0.92 |" in page


def test_demonstrations_made_here_are_compared_apart(monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.lib.figures.IMAGES", tmp_path)
    row = figure2_row
    rows = [row("iq", 0.3), row("bc", 0.2), row("iq", 0.1, own="own_"), row("bc", 0.9, own="own_")]
    pairs = figure2.comparisons(rows)
    assert [pair["difference"] for pair in pairs["comparisons"]] == pytest.approx([0.1])
    assert [pair["difference"] for pair in pairs["comparisons_made_here"]] == pytest.approx([-0.8])
    assert "beaten in 1 of 1" in figure2.markdown(rows).split("## From experts trained here")[1]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_quick_table_runs_every_method_to_its_end(monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.lib.table.RUNS", tmp_path / "runs")
    monkeypatch.setattr("experiments.lib.table.RESULTS", tmp_path)
    monkeypatch.setattr("experiments.lib.figures.IMAGES", tmp_path)
    for name in table1.QUICK_TABLE.rows:
        assert run_row(table1.QUICK_TABLE, name, tmp_path) == ""
    write_results(table1.QUICK_TABLE)
    rows = json.loads((tmp_path / "table1_quick.json").read_text())["rows"]
    assert all(np.isfinite(row["returns"]).all() for row in rows)
    methods = {row["method"] for row in rows}
    assert methods >= METHODS.keys() - set(FORWARD_RL) - {"pwil"}  # which is in table 3
