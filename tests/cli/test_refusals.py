"""Every refusal is one line that names what is wrong and what to do."""

import json
import shutil

import numpy as np
import pytest

from iqlearn_jax.cli import main as cli
from tests.cli.small import CARTPOLE, SMALL
from tests.common import ROOT, cartpole_demos


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config.gama=0.9"], ("unknown config key 'gama'", "gamma")),
        (["--config.demos.pth=x"], ("unknown config key 'demos.pth'", "demos.path")),
        (["--config.gamma=high"], ("config.gamma", "'high'", "float")),
        (["--config.divergence=ch2"], ("unknown divergence 'ch2'", "chi2")),
        (["--config.method=bcc"], ("unknown method 'bcc'", "bc")),
        (["--config.margin=2.0"], ("margin", "iq")),
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
        (["--import=nowhere_at_all"], ("--import=nowhere_at_all",)),
        (["--init-from=/nowhere"], ("/nowhere",)),
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
    assert "did you mean offline" in refused("train", "--config=cartpole:ofline", workdir)
    assert "did you mean cartpole" in refused("train", "--config=cartpol:offline", workdir)
    assert "no file 'configs/cartpol.py'" in refused("train", "--config=configs/cartpol.py:offline", workdir)
    assert "--config is missing" in refused("train", workdir)
    assert "--workdir" in refused("train", "--config=cartpole:offline")
    assert "did you mean train" in refused("trian")
    assert "no such file" in refused("evaluate", workdir)
    assert "--episodes" in refused("evaluate", workdir, "--episodes=many")
    assert refused("report", str(tmp_path / "nowhere"))


def test_a_time_that_is_none_or_was_not_kept(trained, refused):
    workdir = f"--workdir={trained.folder}"
    assert "--at is 'best'" in refused("evaluate", workdir, "--at=best")
    assert "snapshots" in refused("evaluate", workdir, "--at=30")
    assert "--at is '-1'" in refused("demos", "record", workdir, f"--out={trained.folder}/no.npz", "--at=-1")


def test_missing_demonstrations(refused, tmp_path):
    line = refused("train", CARTPOLE, f"--workdir={tmp_path / 'new'}", "--config.demos.path=")
    assert "config.demos.path is empty" in line
    assert "--demos=FILE.npz" in line


def test_a_folder_in_use(refused, trained, demos):
    line = refused("train", CARTPOLE, f"--workdir={trained.folder}", f"--demos={demos}", *SMALL)
    assert str(trained.folder) in line
    assert "--resume" in line


def test_a_workdir_that_is_a_file(refused, demos, tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    assert str(path) in refused("train", CARTPOLE, f"--workdir={path}", f"--demos={demos}", *SMALL)


def test_resume_with_another_configuration(refused, trained):
    line = refused("train", f"--workdir={trained.folder}", "--resume", "--config.gamma=0.5")
    assert "gamma: 0.99 before, 0.5 now" in line
    assert "did you mean" in refused("train", f"--workdir={trained.folder}", "--resume", "--config.gama=0.5")
    assert "--force without --resume" in refused("train", CARTPOLE, f"--workdir={trained.folder}", "--force")


def test_resume_of_no_run(refused, tmp_path, demos):
    assert "no such file" in refused("train", f"--workdir={tmp_path}", "--resume")
    assert refused("train", CARTPOLE, f"--demos={demos}", *SMALL, f"--workdir={tmp_path}", "--resume")


def test_resume_with_changed_demonstrations(refused, trained, demos, tmp_path):
    """The same path, another content."""
    original = demos.read_bytes()
    try:
        demos.unlink()
        cartpole_demos(demos, episodes=4)
        line = refused("train", f"--workdir={trained.folder}", "--resume")
    finally:
        demos.write_bytes(original)
    assert "demonstrations or reward file changed" in line
    assert "digest" in line


def test_a_damaged_config_in_the_folder(refused, tmp_path):
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
def test_a_folder_without_its_normalization(refused, trained, tmp_path, command, content, words):
    copy = tmp_path / "copy"
    shutil.copytree(trained.folder, copy)
    path = copy / "normalization.npz"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    if isinstance(content, dict):
        np.savez(path, **content)
        assert "not those of the run" in refused(*command, f"--workdir={copy}")
        made = json.loads((copy / "provenance.json").read_text())
        del made["digests"]  # as folders of early versions are
        (copy / "provenance.json").write_text(json.dumps(made))
    line = refused(*command, f"--workdir={copy}")
    assert all(word in line for word in ("normalization.npz", *words)), line


def test_a_sweep_refuses_keys_that_none_of_its_methods_reads(refused, demos, capsys):
    sweep = ["sweep", CARTPOLE, f"--demos={demos}", "--dry-run", "--seeds=1"]
    line = refused(*sweep, "--grid=method=bc,edm", "--grid=margin=1,2")
    assert "margin" in line
    assert cli.main([*sweep[:3], "--help"]) == 0
