"""`iqlearn reward`: from a trained folder to a file, and back to a run of our own RL."""

import json
import re

import jax
import numpy as np
import pytest

from iqlearn_jax.cli import main as cli
from iqlearn_jax.rewards import load_reward
from iqlearn_jax.runs.folder import stored_config
from iqlearn_jax.training.reopen import load_run, load_snapshot
from tests.common import demos_path, made_up_environments

pytestmark = pytest.mark.slow  # trains; test_cli.py exports from a run that it has anyway
TINY = [
    "--config.hidden=(8,)", "--config.updates=8", "--config.log_every=4", "--config.eval_every=8",
    "--config.eval_episodes=2", "--config.checkpoint_every=0", "--config.batch_size=8",
    "--config.snapshot_every=4",
]  # fmt: skip
CONFIG = """
from iqlearn_jax.config import base_config
def tiny(method, feed):
    config = base_config()
    config.method, config.feed, config.env.id, config.seeds = method, feed, "walk", 2
    config.online.learning_starts = 8
    return config
CONFIGS = {"iq": lambda: tiny("iq", "demos"), "bc": lambda: tiny("bc", "demos"),
           "rl": lambda: tiny("rl", "replay")}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a config file, a run of iq and its second run's exported reward."""
    root = tmp_path_factory.mktemp("cli")
    (root / "tiny.py").write_text(CONFIG)
    with made_up_environments():
        argv = ["train", f"--config={root}/tiny.py:iq", f"--workdir={root}/iq", *TINY]
        assert cli.main([*argv, f"--demos={demos_path('walk')}"]) == 0
        assert cli.main(["reward", "export", f"--workdir={root}/iq", "--run=1", f"--out={root}/r.npz"]) == 0
    return root


def test_the_exported_reward_is_that_of_the_run_that_was_named(folder, capsys):
    assert cli.main(["reward", "inspect", str(folder / "r.npz")]) == 0
    said = capsys.readouterr().out
    assert "made-up (registered)" in said and "seed 5001, 8 updates" in said
    reward = load_reward(folder / "r.npz")
    assert reward.metadata["run"]["index"] == 1
    assert reward.metadata["provenance"] == json.loads((folder / "iq/provenance.json").read_text())
    with np.load(folder / "iq/rewards.npz") as kept, made_up_environments():
        assert kept["recovered"].size
        problem, run = load_run(folder / "iq", stored_config(folder / "iq"))
    rows = jax.tree.map(lambda x: x[:20], problem.rows)
    hparams, state = problem.placement.one((problem.hparams, run.state), 1)
    expected = problem.method.reward(hparams, state, rows, jax.random.key(0))
    np.testing.assert_allclose(
        reward(rows.obs, rows.action, rows.next_obs, rows.terminated), expected, rtol=1e-5
    )


def test_a_snapshots_reward_is_the_one_of_its_time(folder, capsys):
    rewards = {}
    for at, updates in {"4": 4, "8": 8, "likeness": 8, "final": 8}.items():  # evaluated after 8 only
        out = f"{folder}/at_{at}.npz"
        with made_up_environments():
            assert cli.main(["reward", "export", f"--workdir={folder}/iq", f"--at={at}", f"--out={out}"]) == 0
        assert f"seed 5000, {updates} updates" in capsys.readouterr().out
        rewards[at] = load_reward(out)
    with made_up_environments():
        problem, _ = load_run(folder / "iq", stored_config(folder / "iq"))
        kept = load_snapshot(folder / "iq", problem, 4)
    rows = jax.tree.map(lambda x: x[:20], problem.rows)
    parts = rows.obs, rows.action, rows.next_obs, rows.terminated
    values = {at: reward(*parts) for at, reward in rewards.items()}
    hparams, state = problem.placement.one((problem.hparams, kept), 0)
    expected = problem.method.reward(hparams, state, rows, jax.random.key(0))
    np.testing.assert_allclose(values["4"], expected, rtol=1e-5)
    assert np.abs(values["4"] - values["final"]).max() > 1e-3
    for at in ("8", "likeness"):
        np.testing.assert_array_equal(values[at], values["final"])
    counts = {at: reward.metadata["run"] for at, reward in rewards.items()}
    assert counts["8"] == counts["final"] and counts["4"]["failed_at"] == -1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["export", "--workdir={}/iq", "--run=2", "--out={}/x.npz"], "--run is 2; .* holds runs 0..1"),
        (["export", "--workdir={}/none", "--out={}/x.npz"], "no such file"),
        (["export", "--workdir={}/iq"], "--out"),
        (["export", "--workdir={}/iq", "--at=5", "--out={}/x.npz"], "nothing saved after 5 updates.*4, 8"),
        (["export", "--workdir={}/iq", "--at=best", "--out={}/x.npz"], "--at is 'best'; expected 'final'"),
        (["inspect", "{}/tiny.py"], "reward file"),
        (["praise"], "unknown reward command 'praise'"),
    ],
)
def test_what_cannot_be_done_is_one_line(folder, argv, said, capsys):
    with made_up_environments():
        assert cli.main(["reward", *(part.format(folder) for part in argv)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert re.search(said, error)
    assert not (folder / "x.npz").exists()


def test_our_own_rl_trains_on_the_file_and_reports_the_true_return(folder):
    with made_up_environments():
        argv = ["train", f"--config={folder}/tiny.py:rl", f"--workdir={folder}/rl", *TINY]
        assert cli.main([*argv, f"--config.reward_path={folder}/r.npz"]) == 0
        refused = ["train", f"--config={folder}/tiny.py:rl", f"--workdir={folder}/no", *TINY]
        assert cli.main([*refused, f"--config.reward_path={folder}/tiny.py"]) == 2
    returns = json.loads((folder / "rl/summary.json").read_text())["returns"]
    assert all(0 <= value <= 1 for value in returns)  # walk pays 1 at most; Q − γV does not know that
    assert not (folder / "no").exists()


def test_a_changed_reward_file_is_noticed(folder, tmp_path, capsys):
    argv = ["reward", "export", f"--workdir={folder}/iq", f"--out={tmp_path}/r.npz"]
    with made_up_environments():
        assert cli.main([*argv, "--run=1"]) == 0
        rl = ["train", f"--config={folder}/tiny.py:rl", f"--workdir={tmp_path}/rl", *TINY]
        assert cli.main([*rl, f"--config.reward_path={tmp_path}/r.npz"]) == 0
        began = (tmp_path / "r.npz").read_bytes()
        assert cli.main([*argv, "--run=1"]) == 0  # the same reward: only who wrote it, and when
        assert (tmp_path / "r.npz").read_bytes() != began
        assert cli.main(["train", f"--workdir={tmp_path}/rl", "--resume"]) == 0
        assert cli.main([*argv, "--run=0"]) == 0
        assert cli.main(["train", f"--workdir={tmp_path}/rl", "--resume"]) == 2
    assert "reward file changed (digest" in capsys.readouterr().err
