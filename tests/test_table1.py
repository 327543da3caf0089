"""Table 1: every configuration exists, has the same budget as the others, and is what the search found."""

import json
import math

import numpy as np
import pytest
from common import ROOT

from experiments import bars, figure2, table1, tuning
from experiments.comparison import compare
from experiments.table import run_row, write_results
from iqlearn_jax.config import TRACED
from iqlearn_jax.methods import METHODS
from iqlearn_jax.settings import load_config
from iqlearn_jax.sweep.problem import check_schedule
from website.text import slug


@pytest.fixture(autouse=True)
def _root(monkeypatch):
    monkeypatch.chdir(ROOT)  # rows name configs/... as commands do


def test_every_row_has_a_configuration_with_a_schedule_that_fits():
    sources = {row.config for row in (*table1.ROWS.values(), *table1.QUICK_TABLE.rows.values())}
    for source in sources:
        check_schedule(load_config(source))


def test_every_search_has_the_same_number_of_points_and_few_programs():
    for name, (_, grid) in tuning.SEARCHES.items():
        load_config(f"configs/table1.py:{name}")
        assert math.prod(len(values) for values in grid.values()) == tuning.size(name)[0], name
        assert grid.keys() <= {*TRACED, "whiten", "value_term"}, name


def test_dac_has_its_papers_gradient_penalty_everywhere():
    """Without one it ended below the uniform policy on CartPole, at every point of its search."""
    sources = {row.config for name, row in table1.ROWS.items() if name.endswith("_dac")}
    assert sources and all(load_config(source).gradient_penalty == 10.0 for source in sources)


def test_offline_methods_share_data_and_evaluation():
    for name in tuning.SEARCHES:
        task, setting, method = name.split("_", 2)
        if task == "inverted" or setting == "online":
            continue
        own, other = (load_config(f"configs/table1.py:{task}_{setting}_{m}") for m in (method, "bc"))
        for key in ("env", "demos", "normalize_obs", "hidden", "eval_episodes", "gamma"):
            assert own[key] == other[key], (name, key)


def test_methods_on_the_pendulum_share_data_networks_and_evaluation():
    for setting, methods in tuning.PENDULUM.items():
        configs = [load_config(f"configs/table1.py:{table1.DOUBLE}_{setting}_{m}") for m in methods]
        for key in ("env", "demos", "normalize_obs", "hidden", "batch_size", "eval_episodes", "gamma"):
            assert all(config[key] == configs[0][key] for config in configs), (setting, key)


def test_a_stopped_search_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.tuning.RUNS", tmp_path)
    begun, gone_on = tmp_path / "tuning/acrobot_full_bc", []
    begun.mkdir(parents=True)
    (begun / "sweep.json").write_text(json.dumps({"rows": []}))
    monkeypatch.setattr(tuning, "run_sweep", lambda *given, **options: gone_on.append(given[2]))
    tuning.search("acrobot_full_bc", tmp_path)
    assert gone_on == [begun]


def test_a_search_decides_the_settings_and_no_row_runs_before_it(monkeypatch, tmp_path):
    best = {"critic_lr": 0.123, "temperature": 0.456}
    rows = [{"name": "cartpole_full_iq", "best": best, "points": None}]
    rows += [{"name": "cartpole_full_bc", "best": None, "points": None}]
    (tmp_path / "tuning.json").write_text(json.dumps({"rows": rows}))
    monkeypatch.setattr("experiments.tuning.RESULTS", tmp_path)
    monkeypatch.setattr("experiments.tuning.RUNS", tmp_path)
    assert table1.ROWS["cartpole_full_iq_3"].prepare(tmp_path) == ""
    for name in ("cartpole_full_bc", "acrobot_sparse_edm"):
        missing = table1.ROWS[f"{name}_1"].prepare(tmp_path)
        assert missing.endswith(f"python -m experiments.tuning --only={name}")
    assert table1.ROWS["hopper_online_dac"].prepare is None
    assert all(row.prepare is None for row in table1.QUICK_TABLE.rows.values())
    begun = tmp_path / "tuning/cartpole_full_iq/sweep.json"
    begun.parent.mkdir(parents=True)
    begun.write_text(json.dumps({"rows": [], "best": None, "programs": []}))
    tuning.write()  # here nothing was run to its end: what is there stays
    kept = {row["name"]: row for row in json.loads((tmp_path / "tuning.json").read_text())["rows"]}
    assert kept["cartpole_full_iq"]["best"] == best
    assert kept.keys() == tuning.SEARCHES.keys()


def test_configurations_hold_what_the_search_found():
    rows = json.loads((ROOT / "docs/results/tuning.json").read_text())["rows"]
    found = {row["name"]: row["best"] for row in rows}
    assert found["cartpole_full_iq"]
    for name, best in found.items():
        config = load_config(f"configs/table1.py:{name}")
        assert all(config[key] == value for key, value in (best or {}).items()), name


def test_the_page_says_what_is_pending_and_compares_what_is_done(monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.figures.IMAGES", tmp_path)
    rng = np.random.default_rng(0)

    def row(name):
        method = name.removeprefix("cartpole_full_").rsplit("_", 1)[0]
        x = rng.uniform(0.5, 1.0, 10)
        return {
            "name": name, "method": method, "normalized": list(x), "normalized_iqm": float(np.mean(x)),
            "ci95": [0.5, 1.0], "env_steps": 0, "wall_seconds": 900.0,
        }  # fmt: skip

    done = [row(f"cartpole_full_{method}_{n}") for method in ("iq", "bc") for n in (1, 3)]
    page = table1.markdown([*done, {"task": "acrobot_full_iq_1", "note": "pending"}])
    assert page.startswith("**IQ-Learn is beaten in")
    assert "4 of 5 rows are done, in 1.0 hours of one core" in page
    assert page.count("pending") > 10
    assert (tmp_path / "table1_scores.png").exists()


def test_bars_that_are_missed_and_weak_rows_lead_to_a_cause_that_is_written():
    def row(score, low):
        return {"normalized_iqm": score, "ci95": [low, 1.0], "normalized": [low, score, 1.0]}

    done = {"cartpole_full_bc_10": row(0.95, 0.9), "cartpole_sparse_edm_1": row(0.3, 0.15)}
    lines = bars.bars_table(done).splitlines()
    assert sum("| met |" in line for line in lines) == 1
    assert any("cartpole_sparse_edm_1" in line and "[cause](notes.md#edm-" in line for line in lines)
    assert sum("pending" in line for line in lines) == len(bars.BARS) - 2
    assert "| met |" not in bars.bars_table(done, worst=0.91)  # a seed of the first is below
    done = {"acrobot_full_lstd_mu_1": row(0.5, 0.0), "acrobot_online_iq": row(0.5, 0.2)}
    table = bars.weak_table(done | {"acrobot_online_sqil": row(0.05, 0.01)})
    assert "acrobot_full_lstd_mu_1" in table and "acrobot_online_iq" not in table
    assert "| acrobot_online_sqil | 0.050 [0.010, 1.000] | cause not found |" in table
    headings = {slug(line.lstrip("# ")) for line in (ROOT / "docs/results/notes.md").open() if line[0] == "#"}
    assert set(bars.NOTES.values()) - {""} <= headings
    assert bars.cause("lunarlander_sparse_value_dice_1") == "cause not found"
    assert bars.BARS.keys() | bars.FIGURE2_BARS.keys() <= table1.ROWS.keys()


def test_at_few_demonstrations_the_better_baselines_are_named_with_a_cause():
    scores = {"iq": 0.5, "bc": 0.9, "edm": 0.1, "avril": 0.55}
    spread = {"avril": [-1.0, 1.0]}  # an interval that holds IQ-Learn's score
    done = {
        f"cartpole_sparse_{name}_1": {
            "method": name, "normalized": [score + x for x in (spread.get(name, [0.0]) * 8)[:8]],
            "normalized_iqm": score, "ci95": None,
        }
        for name, score in scores.items()
    }  # fmt: skip
    others = ("bc", "edm", "avril", "value_dice")
    lines = bars.few_table(done, compare(done), ["cartpole"], others).splitlines()
    first, second = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:])
    assert first[0] == "cartpole, 1" and first[2].startswith("bc ([cause](notes.md#iq-learn-on-thinned")
    assert first[3:] == ["avril", "value_dice"]
    assert second[1:] == ["pending", "–", "–", ", ".join(others)]


def figure2_row(method, score, demos=1, own=""):
    about = {"name": f"{own}cartpole_sparse_{method}_{demos}", "method": method.removesuffix("_next")}
    return about | {
        "normalized": [score - 0.01, score, score + 0.01] * 3,
        "normalized_iqm": score,
        "ci95": [score, score],
    }


def test_methods_that_see_a_rows_next_action_are_compared_with_each_other_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.figures.IMAGES", tmp_path)
    row = figure2_row
    once = [row("iq", 0.2), row("bc", 0.3), row("avril", 0.6)]
    page = figure2.markdown([*once, row("iq_next", 0.5), row("bc_next", 0.4)])
    both = page.split("## With both actions")[1].split("## Every comparison")
    assert "| cartpole, 1 | 0.500 [0.500, 0.500] | avril (" in both[0]
    assert "| cartpole sparse 1 | bc | +0.100 " in both[0]  # with next actions: IQ-Learn 0.5, cloning 0.4
    assert "| cartpole sparse 1 | avril | -0.100 " in both[0]
    assert "| cartpole sparse 1 | bc | -0.100 " in both[1]  # without: 0.2 and 0.3
    assert "next" not in both[1].split("## cartpole")[0]


def test_rows_without_a_target_network_are_those_with_one_but_for_the_switch():
    rows = figure2.TABLE.rows
    twins = {name: row for name, row in rows.items() if "_iq_no_target_" in name}
    assert len(twins) == 21 and all("_sparse_iq_no_target_" in name for name in twins)
    for name, row in twins.items():
        own = rows[name.replace("_no_target", "")]
        assert row.config == own.config and row.prepare == own.prepare
        assert row.changes == {**own.changes, "target_network": False}
        assert figure2.TABLE.folder(name) != figure2.TABLE.folder(name.replace("_no_target", ""))


def test_rows_without_a_target_network_are_compared_apart(monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.figures.IMAGES", tmp_path)
    row = figure2_row
    without = row("iq", 0.5) | {"name": "cartpole_sparse_iq_no_target_1"}
    page = figure2.markdown([row("iq", 0.2), row("bc", 0.3), without])
    _, apart = page.split("## Without a target network")
    apart, every = apart.split("## Every comparison")
    assert "| cartpole sparse 1 | 0.200 [0.200, 0.200] | 0.500 [0.500, 0.500] |" in apart
    assert "| cartpole sparse 1 | bc | +0.200 " in apart and "| cartpole sparse 1 | bc | -0.100 " in every
    assert "## Without" not in figure2.markdown([row("iq", 0.2), row("bc", 0.3)])


def test_demonstrations_made_here_are_compared_apart(monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.figures.IMAGES", tmp_path)
    row = figure2_row
    rows = [row("iq", 0.3), row("bc", 0.2), row("iq", 0.1, own="own_"), row("bc", 0.9, own="own_")]
    _, shared, own = figure2.markdown(rows).split("## Every comparison")
    assert "beaten in 0 of 1" in shared and "| cartpole sparse 1 | bc | +0.100 " in shared
    assert "beaten in 1 of 1" in own and "| own cartpole sparse 1 | bc | -0.800 " in own


def test_steps_to_the_expert_are_those_of_the_first_evaluation_that_reaches_it():
    curve = {"updates": [1, 2, 3], "env_steps": [1000, 2000, 3000], "seconds": [1.5, 3.0, 4.5]}
    curve |= {"returns": [[20.0, 20.0], [95.0, 93.0], [50.0, 60.0]]}
    found = {"curve": curve, "random_return": 10.0, "expert_return": 100.0}
    assert table1.near_expert(found) == ("2,000", "3")  # 94 of 100: 0.93
    assert table1.near_expert(found | {"expert_return": 120.0}) == ("never", "never")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_quick_table_runs_every_method_to_its_end(monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.table.RUNS", tmp_path / "runs")
    monkeypatch.setattr("experiments.table.RESULTS", tmp_path)
    monkeypatch.setattr("experiments.figures.IMAGES", tmp_path)
    for name in table1.QUICK_TABLE.rows:
        assert run_row(table1.QUICK_TABLE, name, tmp_path) == ""
    write_results(table1.QUICK_TABLE)
    rows = json.loads((tmp_path / "table1_quick.json").read_text())["rows"]
    assert all(np.isfinite(row["returns"]).all() for row in rows)
    methods = {row["method"] for row in rows}
    assert methods >= METHODS.keys() - {"rl", "ppo"}
