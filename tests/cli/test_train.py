"""`iqlearn train` and what it leaves; evaluate, report and resume of the same folder."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from iqlearn_jax.cli import main as cli
from iqlearn_jax.cli.train import print_summary
from iqlearn_jax.rewards import load_reward
from iqlearn_jax.training import summary as summary_lib
from tests.cli.small import CARTPOLE, SMALL, metrics, summary


def test_a_runs_reward_is_exported_and_what_is_none_is_refused(trained, tmp_path, capsys, refused):
    out = tmp_path / "reward.npz"
    assert cli.main(["reward", "export", f"--workdir={trained.folder}", "--run=1", f"--out={out}"]) == 0
    assert "seed 5001, 60 updates" in capsys.readouterr().out
    reward = load_reward(out)
    with np.load(trained.folder / "normalization.npz") as kept:
        np.testing.assert_array_equal(reward.hparams["obs_mean"], kept["obs_mean"][1])
    assert reward.metadata["provenance"] == json.loads((trained.folder / "provenance.json").read_text())
    other, workdir = tmp_path / "other.npz", f"--workdir={trained.folder}"
    assert "holds runs 0..1" in refused("reward", "export", workdir, "--run=2", f"--out={other}")
    assert "unknown reward command" in refused("reward", "praise")
    assert "reward file" in refused("reward", "inspect", trained.folder / "summary.json")
    assert not other.exists()


def test_training_leaves_the_files_of_the_docs(trained):
    workdir = trained.folder
    assert trained.code == 0
    names = {path.name for path in workdir.iterdir()}
    assert names >= {"config.json", "provenance.json", "metrics.jsonl", "summary.json", "rewards.npz",
                     "report.html", "figures", "checkpoints"}  # fmt: skip
    assert not [name for name in names if name.endswith(".tmp")]
    assert list((workdir / "figures").glob("*.png"))


def test_summary_has_the_documented_keys(trained, demos):
    content = summary(trained.folder)
    documented = {
        "method", "env", "backend", "setting", "demos", "demo_trajectories", "demo_subsample",
        "demo_transitions", "seeds", "updates", "env_steps", "expert_return", "random_return", "returns",
        "normalized", "normalized_iqm", "normalized_ci95", "wall_seconds", "updates_per_second", "pearson",
        "spearman", "status",
    }  # fmt: skip
    assert documented <= content.keys()
    assert content["status"] == "done"
    assert content["seeds"] == [5000, 5001]
    assert (content["method"], content["env"], content["setting"]) == ("iq", "CartPole-v1", "offline")
    assert (content["updates"], content["env_steps"], content["normalized_ci95"]) == (60, 0, None)
    with np.load(demos) as file:
        assert content["expert_return"] == pytest.approx(file["rewards"].sum() / 3)
    spread = content["expert_return"] - content["random_return"]
    expected = (np.array(content["returns"]) - content["random_return"]) / spread
    np.testing.assert_allclose(content["normalized"], expected)
    assert 15 < content["random_return"] < 30  # uniformly random CartPole: about 22


def test_points_of_a_grid_get_no_common_score(trained, tmp_path, capsys):
    """Two points of one seed each: an IQM over both would mix different settings."""
    points = summary(trained.folder) | {"seeds": [5000, 5000], "varied": {"alpha": [0.1, 0.5]}}
    (tmp_path / "summary.json").write_text(json.dumps(points))
    print_summary(points, tmp_path)
    said = capsys.readouterr().out
    assert "IQM" not in said
    assert "alpha varied: the report's table has the score of each point" in said
    page = (tmp_path / "report.html").read_text()
    table = page[page.index("<table>") : page.index("</table>")]
    assert "alpha 0.1" in table and "alpha 0.5" in table


def test_returns_that_are_not_finite_are_named_as_such_and_reported(trained, tmp_path, capsys):
    lost = {
        "returns": [None, None],
        "normalized": [None, None],
        "normalized_iqm": None,
        "normalized_ci95": None,
    }
    content = summary(trained.folder) | lost
    (tmp_path / "summary.json").write_text(json.dumps(content))
    print_summary(content, tmp_path)
    said = capsys.readouterr().out
    assert "returns per seed: not finite, not finite" in said
    assert "normalised score: not known, as no return is finite" in said
    assert (tmp_path / "report.html").exists()


def test_without_a_simulator_the_agreement_is_said(tmp_path, capsys):
    print_summary({"returns": None, "agreement": [0.5, 0.875], "normalized_iqm": None}, tmp_path)
    assert "agreement with the demonstrations per seed: 0.5, 0.875" in capsys.readouterr().out


def test_provenance_and_config_have_the_documented_keys(trained, demos):
    workdir = trained.folder
    made = json.loads((workdir / "provenance.json").read_text())
    assert {"commit", "versions", "hardware", "demos_digest", "command", "started"} <= made.keys()
    with np.load(demos) as file:
        assert made["demos_digest"] == json.loads(str(file["metadata"]))["digest"]
    assert "jax" in made["versions"]
    config = json.loads((workdir / "config.json").read_text())
    assert config["demos.path"] == str(demos)
    assert config["updates"] == 60


def test_metrics_have_one_line_per_run_and_chunk(trained):
    lines = metrics(trained.folder)
    assert [(m["update"], m["seed"]) for m in lines] == [(u, s) for u in (20, 40, 60) for s in (5000, 5001)]
    assert all({"env_steps", "iq/loss", "eval/return"} <= m.keys() for m in lines)
    assert all(np.isfinite(list(m.values())).all() for m in lines)


def test_rewards_file_is_as_documented(trained):
    with np.load(trained.folder / "rewards.npz", allow_pickle=False) as file:
        assert set(np.unique(file["source"])) == {"expert", "policy", "random"}
        assert file["recovered"].dtype == file["true"].dtype == np.float32
        assert file["episode"].dtype == np.int32
        assert len({len(file[name]) for name in ("recovered", "true", "episode", "source")}) == 1


def test_evaluate_report_and_resume_of_a_finished_run(trained, capsys, tmp_path):
    workdir = trained.folder
    assert cli.main(["evaluate", f"--workdir={workdir}", "--episodes=3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["seed 5000", "seed 5001"]
    assert cli.main(["report", str(workdir), f"--out={tmp_path}"]) == 0
    assert (tmp_path / "report.html").stat().st_size > 1000
    before = metrics(workdir)
    assert cli.main(["train", f"--workdir={workdir}", "--resume"]) == 0
    assert f"normalised IQM {summary(workdir)['normalized_iqm']:.3f}  (0 " in capsys.readouterr().out
    assert metrics(workdir) == before


def test_training_says_where_it_plays_and_how_far_it_is(trained):
    lines = trained.said.splitlines()
    assert lines[0] == "environment: CartPole-v1 on gymnax (device)"
    assert lines[1].startswith("demonstrations: 2 of 3 episodes, ")
    assert lines[1].endswith(" transitions; all: --config.demos.trajectories=all")
    assert any(line.startswith("iq CartPole-v1 x 2: 60/60 updates (100%), return ") for line in lines)


@pytest.mark.slow
def test_a_finished_run_goes_on_for_more_updates(trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained.folder, copy)
    assert cli.main(["train", f"--workdir={copy}", "--resume", "--config.updates=80"]) == 0
    assert summary(copy)["updates"] == metrics(copy)[-1]["update"] == 80
    assert metrics(copy)[:6] == metrics(trained.folder)


def test_evaluate_agrees_with_the_summary_and_uses_the_saved_normalization(trained, capsys, monkeypatch):
    """A later version may measure observations otherwise; that may not change what a saved run does."""
    from iqlearn_jax.data import sampling as state_lib

    def printed():
        assert cli.main(["evaluate", f"--workdir={trained.folder}", "--episodes=10"]) == 0
        return capsys.readouterr().out

    before = printed()
    returns = [float(line.split()[2]) for line in before.splitlines()]
    np.testing.assert_allclose(returns, summary(trained.folder)["returns"], rtol=1e-3)
    monkeypatch.setattr(state_lib, "MIN_STD", np.inf)
    assert printed() == before


def test_equal_expert_and_random_return_still_gives_a_summary(trained, tmp_path, monkeypatch, demos):
    """Then there is no normalised score; the run may not be lost for it, nor its resumption."""
    copy = tmp_path / "copy"
    shutil.copytree(trained.folder, copy)
    (copy / "summary.json").unlink()
    monkeypatch.setattr(
        summary_lib, "random_return", lambda problem: float(problem.demos.episode_returns.mean())
    )
    assert cli.main(["train", f"--workdir={copy}", "--resume"]) == 0
    assert summary(copy)["normalized_iqm"] is None
    assert summary(copy)["expert_return"] == summary(trained.folder)["expert_return"]


def test_demonstrations_of_zero_rewards_give_no_score(demos, tmp_path, capsys):
    with np.load(demos) as file:
        arrays = dict(file) | {"rewards": np.zeros_like(file["rewards"])}
    del arrays["metadata"]
    np.savez(tmp_path / "zeros.npz", **arrays)
    options = [*SMALL, "--config.updates=20", "--config.snapshot_every=0"]
    argv = ["train", CARTPOLE, f"--workdir={tmp_path / 'run'}", f"--demos={tmp_path / 'zeros.npz'}", *options]
    assert cli.main(argv) == 0
    printed = capsys.readouterr()
    assert "zeros.npz: rewards are 0 at every step" in printed.err
    assert "normalised score: not known, as the demonstrations' rewards are not" in printed.out
    content = summary(tmp_path / "run")
    assert content["normalized_iqm"] is None and content["expert_return"] is None
    assert content["pearson"] is None


def test_demonstrations_below_random_play_give_no_score(monkeypatch):
    """Normalised by them, the worst policy would have the highest score."""
    problem = SimpleNamespace(demos=SimpleNamespace(episode_returns=np.array([10.0, 12.0])))
    monkeypatch.setattr(summary_lib, "random_return", lambda problem: 22.0)
    known = summary_lib.scores(problem, np.array([500.0]))
    assert (known["normalized"], known["normalized_iqm"], known["expert_return"]) == (None, None, 11.0)
