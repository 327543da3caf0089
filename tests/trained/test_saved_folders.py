"""Folders and reward files that version 0.1.0 (commit 6e09cca) left are read as they were then."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

import iqlearn_jax as iq
from iqlearn_jax.cli.main import main
from iqlearn_jax.runs.provenance import config_changes
from iqlearn_jax.trained.load import returns_at

SAVED = Path(__file__).parent / "saved" / "v0_1_0.tar.xz"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The unpacked folders "offline" and "online", and what that version computed with them."""
    folder = tmp_path_factory.mktemp("saved")
    with tarfile.open(SAVED) as archive:
        archive.extractall(folder, filter="data")
    return folder, json.loads((folder / "expected.json").read_text())


@pytest.mark.parametrize("name", ["offline", "online"])
def test_policies_and_rewards_are_the_same(saved, name, monkeypatch):
    folder, expected = saved[0], saved[1][name]
    monkeypatch.chdir(folder)  # its demonstrations were named by a path relative to the clone
    run = iq.load(folder / name)
    obs = np.array(expected["obs"], np.float32)
    np.testing.assert_array_equal(run.policy(0)(obs), expected["action"])
    reward = run.reward(0)(obs, np.array(expected["action"]), obs[::-1], np.zeros(len(obs), bool))
    np.testing.assert_allclose(reward, expected["reward"], rtol=1e-6, atol=1e-6)
    assert run.history["update"].tolist() == [100, 200]
    np.testing.assert_allclose(
        run.returns, json.loads((folder / name / "summary.json").read_text())["returns"]
    )


@pytest.mark.slow
def test_evaluations_are_the_same(saved, monkeypatch):
    folder, expected = saved
    monkeypatch.chdir(folder)
    returns = [returns.tolist() for *_, returns in returns_at(folder / "offline", 3)]
    assert returns == expected["offline"]["returns"]


@pytest.mark.slow
def test_training_goes_on_where_code_may_differ(saved, monkeypatch, capsys):
    folder, _ = saved
    monkeypatch.chdir(folder)
    command = ["train", f"--workdir={folder / 'online'}", "--resume"]
    assert main(command) == 2  # by other code
    assert "insist with --resume --force" in capsys.readouterr().err
    assert main([*command, "--force", "--config.updates=300"]) == 0
    assert iq.load(folder / "online").history["update"].tolist() == [100, 200, 300]


def test_an_exported_reward_is_the_same(saved):
    folder, expected = saved[0], saved[1]["online"]
    reward = iq.load_reward(folder / "online_reward.npz")
    obs = np.array(expected["obs"], np.float32)
    rewards = reward(obs, np.array(expected["action"]), obs[::-1], np.zeros(len(obs), bool))
    np.testing.assert_allclose(rewards, expected["reward"], rtol=1e-6, atol=1e-6)


def test_a_key_that_changes_nothing_there_is_no_other_configuration(saved, monkeypatch):
    """The policy class, which those folders do not know: it matters offline, with continuous actions."""
    folder, _ = saved
    monkeypatch.chdir(folder)
    config = iq.load(folder / "online").config
    assert config.policy_class == "sac"
    config.policy_class = "auto"
    changed = config_changes(folder / "online", config)
    assert not [line for line in changed if line.startswith("policy_class")]
