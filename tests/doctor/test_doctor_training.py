"""Real runs made to fail on purpose, each in its own way, and default presets: what the doctor says."""

import dataclasses
import json

import numpy as np
import pytest

from iqlearn_jax.config.files import load_config
from iqlearn_jax.config.values import assign
from iqlearn_jax.data.demos import load
from iqlearn_jax.data.save import save
from iqlearn_jax.doctor.rules import UNLIKE
from iqlearn_jax.training.train import train
from tests.common import ROOT

SHORT = {"seeds": 2, "first_seed": 100, "log_every": 100, "eval_episodes": 5}
EARLY = 0.8  # of the updates


def shuffled(folder):
    """The bundled demonstration with its actions dealt to other observations."""
    demos = load(ROOT / "iqlearn_jax/data/bundled/CartPole-v1.npz")
    order = np.random.default_rng(0).permutation(len(demos))
    save(folder / "shuffled.npz", dataclasses.replace(demos, actions=demos.actions[order]))
    return str(folder / "shuffled.npz")


def findings(folder, monkeypatch, name, updates, **changes):
    """What the doctor wrote about a short run of cartpole:NAME, with five evaluations."""
    monkeypatch.setattr("iqlearn_jax.training.summary.finish", lambda *_: {})
    monkeypatch.chdir(ROOT)
    source = name if ":" in name else f"cartpole:{name}"
    config = load_config(source)
    short = SHORT | {"updates": updates, "eval_every": updates // 5, "checkpoint_every": updates}
    for key, value in (short | changes).items():
        assign(config, key.replace("__", "."), value)
    train(config, folder / "run")
    content = json.loads((folder / "run" / "doctor.json").read_text())["findings"]
    return {entry["kind"]: entry for entry in content}


def last_metrics(folder):
    """The last line of both runs."""
    return [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()[-2:]]


def falls(last):
    """The pole falls: 500 steps are the expert's, 22 the uniform policy's."""
    return last["eval/return"] < 200 and last["eval/likeness"] < UNLIKE


def draws_blindly(last):
    """Greedy evaluations may do well; the policy itself has not left the uniform one, of log 2 nats."""
    return last["policy/entropy"] > 0.85 * np.log(2) and last["eval/likeness"] < UNLIKE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "updates", "changes", "kind", "remedy", "failed"),
    [
        ("online", 1500, {"regularize": "expert"}, "unbounded_rewards", "regularize=both", falls),
        (
            "online", 3000, {"terminal": "zero", "target_rate": 0.02}, "survival_bias", "terminal=absorbing",
            falls,
        ),
        ("offline", 2000, {"temperature": 20.0}, "policy_uniform", "temperature=2", draws_blindly),
        ("online", 1500, {"critic_lr": 1.0}, "penalty_saturated", "critic_lr=0.1", falls),
        ("sparse", 4000, {"temperature": 1e-6}, "policy_collapsed", "temperature=1e-05", falls),
    ],
    ids=["chi2_over_expert", "terminal_zero", "too_hot", "rate_too_high", "too_cold"],
)  # fmt: skip
def test_runs_made_to_fail_do_and_are_named_early(
    tmp_path, monkeypatch, name, updates, changes, kind, remedy, failed
):
    by_kind = findings(tmp_path, monkeypatch, name, updates, **changes)
    assert all(map(failed, last_metrics(tmp_path)))
    assert remedy in by_kind[kind]["remedy"]
    assert by_kind[kind]["update"] <= EARLY * updates
    assert sorted(by_kind[kind]["runs"]) == [0, 1]


@pytest.mark.slow
def test_shuffled_demonstrations_are_named(tmp_path, monkeypatch):
    by_kind = findings(tmp_path, monkeypatch, "offline", 2000, demos__path=shuffled(tmp_path))
    assert all(draws_blindly(last) and falls(last) for last in last_metrics(tmp_path))
    assert "inspect" in by_kind["policy_uniform"]["remedy"]
    assert by_kind["policy_uniform"]["update"] <= EARLY * 2000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "updates"),
    [("offline", 4000), ("online", 6000), ("brax:inverted_pendulum", 3000)],
    ids=["discrete_offline", "discrete_online", "continuous_online"],
)
def test_default_presets_are_left_in_peace(tmp_path, monkeypatch, name, updates):
    assert findings(tmp_path, monkeypatch, name, updates) == {}
