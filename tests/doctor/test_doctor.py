"""The doctor on metric histories: each trouble by its name, silence on healthy runs, one line per kind."""

import json

import numpy as np
import pytest

from iqlearn_jax.cli import main as cli
from iqlearn_jax.config.values import as_plain
from iqlearn_jax.doctor import remedies, rules
from iqlearn_jax.doctor.doctor import Doctor, diagnose, examine_folder
from iqlearn_jax.doctor.doubts import doubts
from iqlearn_jax.doctor.remedies import DIAGNOSES
from iqlearn_jax.doctor.rules import History
from iqlearn_jax.errors import InputError
from iqlearn_jax.runs.files import MetricsFile, write_json
from iqlearn_jax.runs.history import read_history
from iqlearn_jax.training.problem import find_spec
from tests.common import configure
from tests.doctor.doctor_cases import CONTINUOUS, DISCRETE, case_of, healthy, recorded


def doctor_of(folder):
    """What training makes, on the metrics that the folder has so far."""
    return Doctor(case_of(), read_history(folder / "metrics.jsonl", 3), folder)


UP = np.linspace(0, 1, 20)
OFFLINE = {
    "feed": "demos", "regularize": "expert", "value_term": "expert", "target_network": False
}  # fmt: skip
WORST = {  # kind -> configuration, the sick run's metrics, part of the remedy
    "rewards_out_of_bounds": ({}, {"iq__reward_expert": 3.2}, "critic_lr=1e-05"),
    "unbounded_rewards": ({"regularize": "expert"}, {"iq__reward_policy": -15 * UP}, "regularize=both"),
    "value_term_drift": ({"value_term": "mixture"}, {"iq__value": -70 * UP}, "value_term=policy"),
    "values_out_of_bounds": ({}, {"iq__value": 230.0}, "clip_targets=True"),
    "survival_bias": ({"terminal": "zero"}, {"iq__value": 12.0}, "terminal=absorbing or bounded"),
    "termination_bias": ({"terminal": "zero"}, {"iq__value": -12.0}, "terminal=absorbing or bounded"),
    "reward_gap_inverted": (
        {"target_network": False}, {"iq__reward_expert": -0.4 * UP, "iq__reward_policy": 0.4 * UP},
        "target_network=True",
    ),
    "policy_uniform": ({"temperature": 5.0}, {"policy__entropy": 0.69}, "temperature=0.5"),
    "policy_collapsed": (OFFLINE, {"policy__entropy": 1e-6, "eval__likeness": 0.3}, "demos.trajectories"),
    "policy_lost": ({"critic_lr": 0.1}, {"eval__likeness": np.where(UP < 0.6, 0.8, 0.05)}, "_lr=0.0001"),
    "critic_explosion": ({}, {"critic__grad_norm": np.exp(10 * UP)}, "critic_lr=1e-05"),
    "penalty_saturated": ({}, {"iq__penalty": 100 * UP}, "critic_lr=1e-05"),
}  # fmt: skip
MILD = {  # the same metrics, still within what healthy runs do
    "rewards_out_of_bounds": {"iq__reward_expert": 2.8},
    "unbounded_rewards": {"iq__reward_policy": -9 * UP},
    "value_term_drift": {"iq__value": -45 * UP},
    "values_out_of_bounds": {"iq__value": 190.0},
    "survival_bias": {"iq__value": 9.0},
    "termination_bias": {"iq__value": -9.0},
    "reward_gap_inverted": {"iq__reward_expert": -0.05, "iq__reward_policy": 0.05},
    "policy_uniform": {"policy__entropy": 0.6},
    "policy_collapsed": {"policy__entropy": 1e-6, "eval__likeness": 0.6},
    "policy_lost": {"eval__likeness": np.where(UP < 0.6, 0.8, 0.3)},
    "critic_explosion": {"critic__grad_norm": np.exp(4 * UP)},
    "penalty_saturated": {"iq__penalty": 50 * UP},
}


def test_every_kind_has_its_case():
    assert set(WORST) == set(MILD) == set(DIAGNOSES)


@pytest.mark.parametrize("kind", WORST)
def test_each_kind_is_named_with_run_bound_and_remedy(kind):
    changes, metrics, remedy = WORST[kind]
    findings = diagnose(case_of(**changes), healthy(**metrics))
    assert set(findings) == {kind}
    finding = findings[kind]
    assert finding.runs == [1] and remedy in finding.remedy and finding.meaning
    assert finding.update < 1000 and abs(finding.value - finding.bound) > 0


@pytest.mark.parametrize("kind", ["reward_gap_inverted", "survival_bias", "rewards_out_of_bounds"])
def test_learning_from_rollouts_is_online_too(kind):
    changes, metrics, remedy = WORST[kind]
    findings = diagnose(case_of(feed="rollout", **changes), healthy(**metrics))
    assert set(findings) == {kind} and remedy in findings[kind].remedy
    assert diagnose(case_of(feed="rollout"), healthy(iq__reward_max=100.0)) == {}  # single rows leave bounds


@pytest.mark.parametrize("kind", MILD)
def test_nothing_is_said_within_the_limits(kind):
    assert diagnose(case_of(**WORST[kind][0]), healthy(**MILD[kind])) == {}


@pytest.mark.parametrize("metric", ["iq__reward_expert", "iq__value", "iq__penalty", "critic__grad_norm"])
def test_one_odd_chunk_says_nothing(metric):
    rows = healthy()
    rows.metrics[metric.replace("__", "/")][12, 1] = 1e6
    assert diagnose(case_of(), rows) == {}


def test_what_shrinks_from_the_start_is_no_trouble():
    """Values behind bounded ends are ±200 from the first update on: rewards there begin near 200."""
    shrinking = 400 * np.exp(-8 * UP)
    findings = diagnose(case_of(), healthy(iq__penalty=shrinking, iq__reward_policy=0.1 * shrinking))
    assert findings == {}


def test_values_are_warned_of_before_they_leave_their_bound():
    rows = healthy(iq__value=300 * UP, policy__temperature=0.1)
    finding = diagnose(case_of(), rows)["values_out_of_bounds"]
    assert 100 < finding.value < 200 and finding.bound == pytest.approx((2 + 0.1 * np.log(2)) / 0.01)


def test_values_of_starts_have_the_same_bounds():
    finding = diagnose(case_of(), healthy(iq__initial_value=-230.0))["values_out_of_bounds"]
    assert (finding.metric, finding.runs, finding.bound) == ("iq/initial_value", [1], pytest.approx(-200))


@pytest.mark.parametrize("value", [12.0, -12.0])
def test_ends_matter_only_where_there_are_some_and_the_learner_can_choose(value):
    end_free = healthy(iq__value=value, iq__end_rate=0.0)
    assert diagnose(case_of(terminal="zero"), end_free) == {}
    assert diagnose(case_of(**OFFLINE, terminal="zero"), healthy(iq__value=value)) == {}


@pytest.mark.parametrize("value", [1e4, -1e4, -1e4 * UP])
@pytest.mark.parametrize("value_term", ["policy", "mixture"])
def test_without_a_bound_of_the_reward_no_value_is_minded(value, value_term):
    """Reverse KL: r is any number (ℝ), so V and V(s0) are too, above and below ends."""
    unbounded = {"divergence": "reverse_kl", "regularize": "expert", "terminal": "zero"}
    rows = healthy(iq__value=value, iq__initial_value=value, iq__reward_expert=500.0)
    assert diagnose(case_of(**unbounded, value_term=value_term), rows) == {}


def test_single_rewards_offline_need_a_bad_evaluation_or_an_order_of_magnitude():
    """χ² over the expert's rows, α = 0.5: r ≤ 1. The largest of a batch may be noise; 20 is none."""
    case, odd = case_of(**OFFLINE), {"iq__reward_max": 4.0}
    assert diagnose(case, healthy(**odd)) == {}
    assert set(diagnose(case, healthy(**odd, eval__likeness=0.3))) == {"rewards_out_of_bounds"}
    assert set(diagnose(case, healthy(iq__reward_max=20.0))) == {"rewards_out_of_bounds"}


def test_the_newest_evaluation_counts_and_none_is_no_evidence():
    """Collapsed all along; evaluations at chunks 5 (unlike the demonstrations) and 15 (like them)."""
    rows = healthy(policy__entropy=1e-9, eval__likeness=np.nan)
    rows.metrics["eval/likeness"][:] = np.nan
    assert diagnose(case_of(**OFFLINE), rows) == {}
    rows.metrics["eval/likeness"][[5, 15]] = [[0.9, 0.3, 0.9], [0.9, 0.9, 0.9]]
    assert diagnose(case_of(**OFFLINE), rows)["policy_collapsed"].update == 300
    assert (
        diagnose(case_of(**OFFLINE), History(rows.updates[14:], {k: v[14:] for k, v in rows.metrics.items()}))
        == {}
    )


def test_a_policy_is_lost_after_two_evaluations_or_at_the_end():
    """Once may be an odd evaluation, unless it is that of the final policy; never had, it is not lost."""
    once = np.where(UP[12] == UP, 0.05, 0.8)
    assert diagnose(case_of(), healthy(eval__likeness=once)) == {}
    final = healthy(eval__likeness=np.where(UP == 1, 0.05, 0.8))
    finding = diagnose(case_of(), final)["policy_lost"]
    assert (finding.update, finding.metric) == (1000, "eval/likeness")
    assert "snapshot_every=2000" in finding.remedy and "--at=likeness" in finding.remedy
    assert diagnose(case_of(updates=2000), final) == {}
    assert diagnose(case_of(), healthy(eval__likeness=np.where(UP < 0.6, 0.4, 0.0))) == {}


def test_a_policy_that_came_back_is_not_lost_at_the_end():
    """Said while it is so; a run that ends like the demonstrations is named no longer, the others are."""
    away = np.where((UP > 0.4) & (UP < 0.7), 0.05, 0.8)
    likeness = np.stack([away, np.where(UP > 0.4, 0.05, 0.8), np.full_like(away, 0.8)], axis=1)
    rows = healthy()
    rows.metrics["eval/likeness"][:] = likeness
    rows.metrics["eval/likeness"][:10, 1] = 0.8  # lost later than the other
    finding = diagnose(case_of(), rows)["policy_lost"]
    assert (finding.runs, finding.update) == ([1], 600)
    assert diagnose(case_of(), rows.upto(len(rows) - 1))["policy_lost"].runs == [0, 1]
    rows.metrics["eval/likeness"][:, 1] = away
    assert diagnose(case_of(), rows) == {}


def test_a_burst_after_calm_is_no_explosion():
    """Gradients of 1 while learning, 0.001 once it is done, then 0.5: 500 times the median."""
    calm = np.r_[np.ones(3), np.full(14, 1e-3), np.full(3, 0.5)]
    assert diagnose(case_of(), healthy(critic__grad_norm=calm)) == {}
    assert "critic_explosion" in diagnose(
        case_of(), healthy(critic__grad_norm=np.r_[calm[:17], np.full(3, 50)])
    )


def test_shuffled_demonstrations_are_told_from_a_high_temperature():
    shuffled = diagnose(case_of(**OFFLINE, temperature=0.5), healthy(policy__entropy=0.69))
    assert "inspect" in shuffled["policy_uniform"].remedy


def test_entropy_of_continuous_actions_counts_per_dimension():
    wide = diagnose(case_of(CONTINUOUS), healthy(policy__entropy=0.68))
    narrow = diagnose(case_of(CONTINUOUS), healthy(policy__entropy=-11.0, eval__likeness=0.3))
    assert (set(wide), set(narrow)) == ({"policy_uniform"}, {"policy_collapsed"})
    assert diagnose(case_of(CONTINUOUS), healthy(policy__entropy=-8.5, eval__likeness=0.3)) == {}


def test_runs_that_stopped_being_finite_and_other_methods_are_left_alone():
    assert diagnose(case_of(), healthy(iq__value=np.nan, iq__penalty=np.nan)) == {}
    assert diagnose(case_of(method="sqil"), healthy(iq__value=500.0)) == {}


def test_two_metrics_of_one_kind_in_one_chunk_are_one_finding():
    """The expert's rewards of run 1 and the learner's of run 2 leave their bounds together."""
    rows = healthy(iq__reward_expert=3.2)
    rows.metrics["iq/reward_policy"][:, 2] = -3.2
    finding = diagnose(case_of(), rows.upto(6))["rewards_out_of_bounds"]
    assert (finding.runs, finding.update, finding.metric) == ([1, 2], 300, "iq/reward_expert")


def test_each_run_of_a_grid_has_its_own_bounds():
    """α = 0.5 bounds V by 200, α = 5 by 2,000."""
    case = case_of(seeds=1, grid__alpha=(0.5, 5.0, 0.5))
    history = healthy()
    history.metrics["iq/value"][:] = 400.0
    assert diagnose(case, history)["values_out_of_bounds"].runs == [0, 2]


@pytest.mark.parametrize(
    ("changes", "spec", "metrics", "remedy"),
    [
        (
            {"learn_temperature": True, "target_entropy": -3.0}, DISCRETE, {"iq__value": -230.0},
            "excess_entropy=True",
        ),
        (
            {"state_only": True}, CONTINUOUS, {"policy__entropy": -11.0, "eval__likeness": 0.3},
            "infer_actions=True",
        ),
    ],
)  # fmt: skip
def test_remedies_that_depend_on_the_configuration(changes, spec, metrics, remedy):
    (finding,) = diagnose(case_of(spec, **changes), healthy(**metrics)).values()
    assert remedy in finding.remedy


def test_bounds_of_values_follow_the_entropy_that_values_count():
    """τ = 0.1: log|A| nats above 0, or above a target of −20, whose room is worth 200 more."""
    learned = {"learn_temperature": True, "target_entropy": -20.0}
    history = healthy(iq__value=330.0, policy__temperature=0.1)
    assert "values_out_of_bounds" in diagnose(case_of(**learned), history)
    assert "values_out_of_bounds" not in diagnose(case_of(excess_entropy=True, **learned), history)


@pytest.mark.parametrize(
    ("name", "kind", "remedy"),
    [
        ("chi2_over_expert", "unbounded_rewards", "regularize=both"),
        ("value_term_mixture", "value_term_drift", "value_term=policy"),
        ("actor_rate_3e_5", "penalty_saturated", "actor_lr=0.0003"),
        ("cartpole_1x20_iq", "critic_explosion", "target_network=False"),
    ],
)
def test_real_runs_that_failed_are_named_before_their_end(name, kind, remedy):
    case, history = recorded(name)
    finding = diagnose(case, history)[kind]
    assert remedy in finding.remedy
    assert finding.update <= 0.8 * history.updates[-1]


@pytest.mark.parametrize(
    "name", ["cartpole_1_iq", "acrobot_1_iq", "cartpole_1x20_online", "inverted_double_pendulum", "preset"]
)
def test_real_runs_of_the_presets_are_left_in_peace(name):
    assert diagnose(*recorded(name)) == {}


def test_what_cannot_be_judged_is_said():
    """No finding, and no clean bill either."""
    assert doubts(case_of(), healthy()) == []
    blind = healthy(eval__likeness=np.nan)
    (said,) = doubts(case_of(), blind)
    assert said.startswith("policy_collapsed, policy_lost in 1 of 3 runs: no eval/likeness so far")
    unbounded = {"divergence": "reverse_kl", "regularize": "expert"}
    assert "nothing bounds the reward" in doubts(case_of(**unbounded), healthy())[0]
    assert "width is set" in doubts(case_of(CONTINUOUS, **OFFLINE), healthy())[0]


# A folder ---------------------------------------------------------------------------------------------------


def columns(history, chunk):
    return {name: rows[chunk] for name, rows in history.metrics.items()}


def watch(doctor, history, chunks):
    for chunk in chunks:
        doctor.see(int(history.updates[chunk]), columns(history, chunk))


def test_a_sweep_says_each_kind_once_and_how_far_it_spread(tmp_path, capsys):
    history = healthy(iq__value=230.0)
    history.metrics["iq/value"][10:, 2] = 230.0
    doctor = doctor_of(tmp_path)
    watch(doctor, history, range(20))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: values_out_of_bounds in 1 of 3 runs from update 150 on: iq/value is 230")
    doctor.conclude()
    assert "in 2 of 3 runs from update 150 on" in capsys.readouterr().err
    content = json.loads((tmp_path / "doctor.json").read_text())
    assert content["runs"] == 3 and [entry["runs"] for entry in content["findings"]] == [[1, 2]]


def write_folder(folder, config, history, chunks):
    write_json(folder / "config.json", as_plain(config))
    file = MetricsFile(folder / "metrics.jsonl", upto=10**9)
    for chunk in chunks:
        file.write(int(history.updates[chunk]), 0, 0.0, range(3), columns(history, chunk))


def test_resumed_and_read_afterwards_it_finds_the_same(tmp_path, capsys):
    config = configure(
        feed="replay", regularize="both", value_term="policy", terminal="absorbing", target_network=True,
        seeds=3, updates=1000, log_every=50, temperature=0.1,
    )  # fmt: skip
    history = healthy(iq__value=230.0, policy__entropy=1e-9, eval__likeness=0.3)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    watch(doctor_of(whole), history, range(20))
    write_folder(whole, config, history, range(20))
    watch(doctor_of(parts), history, range(12))
    write_folder(parts, config, history, range(8))  # stopped behind its last checkpoint
    capsys.readouterr()
    watch(doctor_of(parts), history, range(8, 20))
    assert capsys.readouterr().err == ""  # all was said before
    assert (whole / "doctor.json").read_bytes() == (parts / "doctor.json").read_bytes()
    findings, runs, untold = examine_folder(whole, find_spec)
    assert (runs, untold) == (3, []) and [finding._asdict() for finding in findings] == json.loads(
        (whole / "doctor.json").read_text()
    )["findings"]
    assert cli.main(["doctor", f"--workdir={whole}"]) == 0
    assert "2 findings in 3 runs" in capsys.readouterr().out


def test_folders_that_cannot_be_judged_are_refused(tmp_path, capsys):
    assert cli.main(["doctor", f"--workdir={tmp_path}"]) == 2
    write_folder(tmp_path, configure(seeds=3), healthy(), ())
    with pytest.raises(InputError, match="no line yet; wait for the first 500 updates"):
        examine_folder(tmp_path, find_spec)
    write_json(tmp_path / "config.json", as_plain(configure(method="bc")))
    with pytest.raises(InputError, match="knows the metrics of iq only"):
        examine_folder(tmp_path, find_spec)


def test_half_a_line_and_half_a_chunk_are_left_out(tmp_path):
    write_folder(tmp_path, configure(seeds=3), healthy(), range(2))
    path = tmp_path / "metrics.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:5]) + '\n{"update": 1')
    assert read_history(path, 3).clocks["update"] == [50]
    path.write_text("\n".join(["{", *lines]) + "\n")
    with pytest.raises(InputError, match="line 1 is not JSON"):
        read_history(path, 3)


def test_a_policy_whose_entropy_is_set_is_not_judged_by_it():
    """One quadratic critic: σ of half a box is not "uniform", and no remedy names what it has not got."""
    case = case_of(CONTINUOUS, feed="demos", value_term="expert", regularize="expert", policy_std=0.5,
                   target_network=False)  # fmt: skip
    high = healthy(policy__entropy=case.max_entropy)
    assert not any(finding.sick.any() for rule in (rules.policy_uniform, rules.policy_collapsed)
                   for finding in rule(case, high))  # fmt: skip
    assert "critics" not in remedies.steadier(case) and "actor" not in remedies.steadier(case)
    assert case_of(CONTINUOUS, policy_class="sac").has_actor


def test_no_remedy_takes_the_target_network_from_runs_with_other_data():
    """V sinks without one there (docs/demonstrations.md)."""
    settings = {"feed": "demos", "target_network": True, "value_term": "mixture"}
    assert "target_network=False" in remedies.steadier(case_of(**settings))
    assert "target_network" not in remedies.steadier(case_of(data__path="play.npz", **settings))
