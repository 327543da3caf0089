"""The command line as a user meets it: train, stop, resume, evaluate, report, and every refusal."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from common import ROOT, cartpole_demos

from iqlearn_jax import cli
from iqlearn_jax.errors import InputError
from iqlearn_jax.rewards import load_reward
from iqlearn_jax.sweep import finish as finish_lib
from iqlearn_jax.sweep import run as run_lib
from iqlearn_jax.sweep.workdir import as_plain

SMALL = [
    "--config.seeds=2", "--config.hidden=(8,)", "--config.updates=60", "--config.log_every=20",
    "--config.eval_every=20", "--config.eval_episodes=2", "--config.checkpoint_every=0",
    "--config.demos.trajectories=2", "--config.batch_size=8", "--config.snapshot_every=20",
]  # fmt: skip
CLOCKS = ("wall_seconds", "updates_per_second")
CARTPOLE = f"--config={ROOT}/configs/cartpole.py:offline"


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    return cartpole_demos(tmp_path_factory.mktemp("demos") / "cartpole.npz")


@pytest.fixture(scope="module")
def trained(demos, tmp_path_factory):
    """A folder trained once; (folder, exit code)."""
    workdir = tmp_path_factory.mktemp("run") / "done"
    return workdir, cli.main(["train", CARTPOLE, f"--workdir={workdir}", f"--demos={demos}", *SMALL])


@pytest.fixture
def refused(capsys):
    """Runs the command line, which must refuse with code 2 and one line without a traceback; returns it."""

    def run(*argv):
        assert cli.main([str(arg) for arg in argv]) == 2
        printed = capsys.readouterr()
        assert printed.err.startswith("error: ")
        assert printed.err.count("\n") == 1
        assert "Traceback" not in printed.err
        return printed.err

    return run


def test_a_runs_reward_is_exported_and_what_is_none_is_refused(trained, tmp_path, capsys, refused):
    out = tmp_path / "reward.npz"
    assert cli.main(["reward", "export", f"--workdir={trained[0]}", "--run=1", f"--out={out}"]) == 0
    assert "seed 5001, 60 updates" in capsys.readouterr().out
    reward = load_reward(out)
    with np.load(trained[0] / "normalization.npz") as kept:
        np.testing.assert_array_equal(reward.hparams["obs_mean"], kept["obs_mean"][1])
    assert reward.metadata["provenance"] == json.loads((trained[0] / "provenance.json").read_text())
    other, workdir = tmp_path / "other.npz", f"--workdir={trained[0]}"
    assert "holds runs 0..1" in refused("reward", "export", workdir, "--run=2", f"--out={other}")
    assert "unknown reward command" in refused("reward", "praise")
    assert "reward file" in refused("reward", "inspect", trained[0] / "summary.json")
    assert not other.exists()


def metrics(workdir):
    found = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in CLOCKS} for line in found]


def summary(workdir):
    return json.loads((workdir / "summary.json").read_text())


def test_training_leaves_the_files_of_the_docs(trained):
    workdir, code = trained
    assert code == 0
    names = {path.name for path in workdir.iterdir()}
    assert names >= {"config.json", "provenance.json", "metrics.jsonl", "summary.json", "rewards.npz",
                     "report.html", "figures", "checkpoints"}  # fmt: skip
    assert not [name for name in names if name.endswith(".tmp")]
    assert list((workdir / "figures").glob("*.png"))


def test_summary_has_the_documented_keys(trained, demos):
    found = summary(trained[0])
    documented = {
        "method", "env", "backend", "setting", "demos", "demo_trajectories", "demo_subsample",
        "demo_transitions", "seeds", "updates", "env_steps", "expert_return", "random_return", "returns",
        "normalized", "normalized_iqm", "normalized_ci95", "wall_seconds", "updates_per_second", "pearson",
        "spearman", "status",
    }  # fmt: skip
    assert documented <= found.keys()
    assert found["status"] == "done"
    assert found["seeds"] == [5000, 5001]
    assert (found["method"], found["env"], found["setting"]) == ("iq", "CartPole-v1", "offline")
    assert (found["updates"], found["env_steps"], found["normalized_ci95"]) == (60, 0, None)
    with np.load(demos) as file:
        assert found["expert_return"] == pytest.approx(file["rewards"].sum() / 3)
    spread = found["expert_return"] - found["random_return"]
    expected = (np.array(found["returns"]) - found["random_return"]) / spread
    np.testing.assert_allclose(found["normalized"], expected)
    assert 15 < found["random_return"] < 30  # uniformly random CartPole: about 22


def test_points_of_a_grid_get_no_common_score(trained, tmp_path, capsys):
    """Two points of one seed each: an IQM over both would mix different settings."""
    points = summary(trained[0]) | {"seeds": [5000, 5000], "varied": {"alpha": [0.1, 0.5]}}
    (tmp_path / "summary.json").write_text(json.dumps(points))
    cli.print_summary(points, tmp_path)
    said = capsys.readouterr().out
    assert "IQM" not in said
    assert "alpha varied: the report's table has the score of each point" in said
    page = (tmp_path / "report.html").read_text()
    table = page[page.index("<table>") : page.index("</table>")]
    assert "alpha 0.1" in table and "alpha 0.5" in table


def test_provenance_and_config_have_the_documented_keys(trained, demos):
    workdir = trained[0]
    found = json.loads((workdir / "provenance.json").read_text())
    assert {"commit", "versions", "hardware", "demos_digest", "command", "started"} <= found.keys()
    with np.load(demos) as file:
        assert found["demos_digest"] == json.loads(str(file["metadata"]))["digest"]
    assert "jax" in found["versions"]
    config = json.loads((workdir / "config.json").read_text())
    assert config["demos.path"] == str(demos)
    assert config["updates"] == 60


def test_metrics_have_one_line_per_run_and_chunk(trained):
    found = metrics(trained[0])
    assert [(m["update"], m["seed"]) for m in found] == [(u, s) for u in (20, 40, 60) for s in (5000, 5001)]
    assert all({"env_steps", "iq/loss", "eval/return"} <= m.keys() for m in found)
    assert all(np.isfinite(list(m.values())).all() for m in found)


def test_rewards_file_is_as_documented(trained):
    with np.load(trained[0] / "rewards.npz", allow_pickle=False) as file:
        assert set(np.unique(file["source"])) == {"expert", "policy", "random"}
        assert file["recovered"].dtype == file["true"].dtype == np.float32
        assert file["episode"].dtype == np.int32
        assert len({len(file[name]) for name in ("recovered", "true", "episode", "source")}) == 1


def test_evaluate_report_and_resume_of_a_finished_run(trained, capsys, tmp_path):
    workdir = trained[0]
    assert cli.main(["evaluate", f"--workdir={workdir}", "--episodes=3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["seed 5000", "seed 5001"]
    assert cli.main(["report", str(workdir), f"--out={tmp_path}"]) == 0
    assert (tmp_path / "report.html").stat().st_size > 1000
    before = metrics(workdir)
    assert cli.main(["train", f"--workdir={workdir}", "--resume"]) == 0
    assert f"normalised IQM {summary(workdir)['normalized_iqm']:.3f}  (0 " in capsys.readouterr().out
    assert metrics(workdir) == before


def test_evaluate_agrees_with_the_summary(trained, capsys):
    assert cli.main(["evaluate", f"--workdir={trained[0]}", "--episodes=10"]) == 0
    printed = [float(line.split()[2]) for line in capsys.readouterr().out.splitlines()]
    np.testing.assert_allclose(printed, summary(trained[0])["returns"], rtol=1e-3)


def test_a_moment_that_is_none_or_was_not_kept_is_refused(trained, refused):
    workdir = f"--workdir={trained[0]}"
    assert "--at is 'best'" in refused("evaluate", workdir, "--at=best")
    assert "snapshots" in refused("evaluate", workdir, "--at=30")
    assert "--at is '-1'" in refused("demos", "record", workdir, f"--out={trained[0]}/no.npz", "--at=-1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config.gama=0.9"], ("unknown config key 'gama'", "gamma")),
        (["--config.demos.pth=x"], ("unknown config key 'demos.pth'", "demos.path")),
        (["--config.gamma=high"], ("config.gamma", "'high'", "float")),
        (["--config.divergence=ch2"], ("unknown divergence 'ch2'", "chi2")),
        (["--config.method=bcc"], ("unknown method 'bcc'", "bc")),
        (["--config.env.id=CartPole-v2"], ("CartPole-v2", "CartPole-v1")),
        (["--config.env.backend=gymnaz"], ("backend 'gymnaz'", "gymnax")),
        (["--config.env.id=hoper", "--config.env.backend=spring"], ("hoper", "hopper")),
        (["--config.env.id=Hoper-v5", "--config.env.backend=gymnasium"], ("Hoper-v5", "Hopper-v5")),
        (["--demos=/nowhere.npz"], ("/nowhere.npz", "check the path")),
        (["--config.demos.trajectories=9"], ("trajectories", "3", "9")),
        (["--config.demos.subsample=0"], ("subsample", "0")),
        (["--config.updates=61"], ("config.updates is 61", "config.log_every")),
        (["--demo=x"], ("unknown argument '--demo=x'",)),
        (["--config.tensorboard"], ("--config.tensorboard",)),
    ],
)
def test_bad_arguments(refused, demos, tmp_path, arguments, words):
    workdir = tmp_path / "new"
    line = refused("train", CARTPOLE, f"--workdir={workdir}", f"--demos={demos}", *SMALL, *arguments)
    assert all(word in line for word in words), line
    assert not workdir.exists()  # nothing is left behind that would block the next try


def test_bad_config_names_and_commands(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    workdir = f"--workdir={tmp_path / 'new'}"
    assert "did you mean offline" in refused("train", "--config=configs/cartpole.py:ofline", workdir)
    assert "did you mean configs/cartpole.py" in refused(
        "train", "--config=configs/cartpol.py:offline", workdir
    )
    assert "--config is missing" in refused("train", workdir)
    assert "--workdir" in refused("train", "--config=configs/cartpole.py:offline")
    assert "did you mean train" in refused("trian")
    assert "no such file" in refused("evaluate", workdir)
    assert "--episodes" in refused("evaluate", workdir, "--episodes=many")
    assert refused("report", str(tmp_path / "nowhere"))


def test_no_arguments_and_help(capsys):
    assert cli.main([]) == 2
    assert cli.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in cli.COMMANDS)


def test_missing_demonstrations(refused, tmp_path):
    line = refused("train", CARTPOLE, f"--workdir={tmp_path / 'new'}", "--config.demos.path=")
    assert "config.demos.path is empty" in line
    assert "--demos=FILE.npz" in line


def test_a_folder_in_use_is_refused(refused, trained, demos):
    line = refused("train", CARTPOLE, f"--workdir={trained[0]}", f"--demos={demos}", *SMALL)
    assert str(trained[0]) in line
    assert "--resume" in line


def test_a_workdir_that_is_a_file_is_refused(refused, demos, tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    assert str(path) in refused("train", CARTPOLE, f"--workdir={path}", f"--demos={demos}", *SMALL)


def test_resume_with_another_configuration_is_refused(refused, trained, demos):
    line = refused("train", f"--workdir={trained[0]}", "--resume", "--config.gamma=0.5")
    assert "gamma: 0.99 before, 0.5 now" in line
    assert "did you mean" in refused("train", f"--workdir={trained[0]}", "--resume", "--config.gama=0.5")


def test_resume_of_no_run_is_refused(refused, tmp_path, demos):
    assert "no such file" in refused("train", f"--workdir={tmp_path}", "--resume")
    assert refused("train", CARTPOLE, f"--demos={demos}", *SMALL, f"--workdir={tmp_path}", "--resume")


def test_resume_with_changed_demonstrations_is_refused(refused, trained, demos, tmp_path):
    """The same path, another content."""
    original = demos.read_bytes()
    try:
        demos.unlink()
        cartpole_demos(demos, episodes=4)
        line = refused("train", f"--workdir={trained[0]}", "--resume")
    finally:
        demos.write_bytes(original)
    assert "demonstrations or reward file changed" in line
    assert "digest" in line


def test_a_damaged_config_in_the_folder_is_refused(refused, tmp_path):
    (tmp_path / "config.json").write_text('{"gamma": 0.')
    assert "config.json" in refused("train", f"--workdir={tmp_path}", "--resume")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ("missing or damaged", "No such file")),
        (b"PK\x03\x04", ("missing or damaged",)),
        ({"obs_mean": np.zeros((2, 4), np.float32)}, ("expected {'obs_mean': (2, 4), 'obs_std': (2, 4)}",)),
        (
            dict.fromkeys(("obs_mean", "obs_std"), np.ones((1, 4), np.float32)),
            ("'obs_std': (1, 4)", "(2, 4)"),
        ),
    ],
)
@pytest.mark.parametrize("command", [["train", "--resume"], ["evaluate"]])
def test_a_folder_without_its_normalization_is_refused(refused, trained, tmp_path, command, content, words):
    copy = tmp_path / "copy"
    shutil.copytree(trained[0], copy)
    path = copy / "normalization.npz"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    if isinstance(content, dict):
        np.savez(path, **content)
    line = refused(*command, f"--workdir={copy}")
    assert all(word in line for word in ("normalization.npz", *words)), line


def test_saved_normalization_is_what_a_policy_is_used_with(trained, tmp_path, capsys, monkeypatch):
    """A later version may measure observations otherwise; that may not change what a saved run does."""
    from iqlearn_jax.train import state as state_lib

    def printed():
        assert cli.main(["evaluate", f"--workdir={trained[0]}", "--episodes=10"]) == 0
        return capsys.readouterr().out

    before = printed()
    monkeypatch.setattr(state_lib, "MIN_STD", np.inf)
    assert printed() == before


def test_demos_alias_is_the_config_key(demos, trained, tmp_path, monkeypatch):
    """`trained` gave --demos; the same path as a config key makes the same configuration."""
    seen = []

    def train(config, *_):
        seen.append(as_plain(config))
        raise InputError("far enough")

    monkeypatch.setattr(run_lib, "train", train)
    assert cli.main(["train", CARTPOLE, f"--workdir={tmp_path}", f"--config.demos.path={demos}", *SMALL]) == 2
    assert seen == [json.loads((trained[0] / "config.json").read_text())]


def test_equal_expert_and_random_return_still_gives_a_summary(trained, tmp_path, monkeypatch, demos):
    """Then there is no normalised score; the run may not be lost for it, nor its resumption."""
    copy = tmp_path / "copy"
    shutil.copytree(trained[0], copy)
    (copy / "summary.json").unlink()
    monkeypatch.setattr(
        finish_lib, "random_return", lambda problem: float(problem.demos.episode_returns.mean())
    )
    assert cli.main(["train", f"--workdir={copy}", "--resume"]) == 0
    assert summary(copy)["normalized_iqm"] is None
    assert summary(copy)["expert_return"] == summary(trained[0])["expert_return"]


# Ctrl-C ---------------------------------------------------------------------------------------------------


@contextmanager
def started(arguments, **env):
    """The command line in a process of its own, which does not outlive the test; one device, as here."""
    process = subprocess.Popen(
        [sys.executable, "-m", "iqlearn_jax.cli", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "1"} | env,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition, process, seconds=180):
    begun = time.monotonic()
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - begun < seconds
        time.sleep(0.02)


@pytest.mark.slow  # tests/sweep/test_resume.py has the same in one process
def test_ctrl_c_saves_and_the_resumed_run_equals_the_uninterrupted(demos, tmp_path):
    many = [*SMALL, "--config.updates=2_000", "--config.log_every=20", "--config.eval_every=0"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    log = parts / "metrics.jsonl"
    with started(["train", CARTPOLE, f"--workdir={parts}", f"--demos={demos}", *many]) as process:
        wait_for(lambda: log.exists() and log.stat().st_size > 0, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == cli.INTERRUPTED == 130
    assert f"iqlearn train --workdir={parts} --resume" in out
    assert "Traceback" not in err
    stopped = metrics(parts)[-1]["update"]
    assert 0 < stopped < 2_000
    assert (parts / "checkpoints" / str(stopped)).is_dir()
    assert not (parts / "summary.json").exists()
    assert cli.main(["train", f"--workdir={parts}", "--resume"]) == 0
    assert cli.main(["train", CARTPOLE, f"--workdir={whole}", f"--demos={demos}", *many]) == 0
    assert metrics(parts) == metrics(whole)
    first, second = summary(whole), summary(parts)
    assert {k: v for k, v in first.items() if k not in CLOCKS} == {
        k: v for k, v in second.items() if k not in CLOCKS
    }


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
@pytest.mark.slow
def test_a_signal_while_it_compiles_stops_after_the_first_chunk(number, code, demos, tmp_path):
    """An interrupt that Python raises inside a compiler's callback would be lost."""
    workdir = tmp_path / "early"
    endless = ["train", CARTPOLE, f"--workdir={workdir}", f"--demos={demos}", *SMALL]
    endless += ["--config.updates=100_000_000"]
    with started(endless, JAX_ENABLE_COMPILATION_CACHE="false") as process:
        wait_for(lambda: (workdir / "checkpoints").exists(), process)
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert "Traceback" not in err
