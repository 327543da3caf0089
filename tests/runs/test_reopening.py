"""Resuming with other code, configuration or demonstrations; two processes in one folder."""

import json
import os
import re
import socket
import subprocess
import sys

import pytest

from iqlearn_jax.cli import main as cli
from iqlearn_jax.config.values import as_plain
from iqlearn_jax.errors import InputError
from iqlearn_jax.runs import provenance as workdir_lib
from iqlearn_jax.runs.files import write_json
from iqlearn_jax.runs.lock import locked
from iqlearn_jax.runs.provenance import code_version
from iqlearn_jax.training.reopen import load_run
from iqlearn_jax.training.resume import open_stopped
from iqlearn_jax.training.train import train
from tests.common import ROOT, made_up_config
from tests.runs.comparing import assert_no_gap
from tests.runs.durable import assert_same_run, at_chunk, small

pytestmark = pytest.mark.usefixtures("environment")


# Changed code, configuration, demonstrations ---------------------------------------------------------------


def provenance(workdir):
    return json.loads((workdir / "provenance.json").read_text())


def test_another_commit_is_refused_and_can_be_forced(whole, parts, monkeypatch, capsys):
    first, version = provenance(parts)["commit"], re.escape(code_version(provenance(parts)))
    monkeypatch.setattr(workdir_lib, "_commit", lambda: "abc")
    with pytest.raises(InputError, match=rf"code: {version} before, abc now.*--force"):
        train(small(), parts, resume=True)
    load_run(parts, small())  # evaluation may use newer code
    assert cli.main(["train", f"--workdir={parts}", "--resume", "--force"]) == 0
    assert "warning: resumed by force: code: " in capsys.readouterr().err
    record = provenance(parts)
    assert record["commit"] == first
    assert [entry["commit"] for entry in record["resumed"]] == ["abc"]
    assert "abc now" in record["resumed"][0]["forced"][0]
    assert record["resumed"][0].keys() >= {"commit", "versions", "started"}
    assert_same_run(whole, parts)
    train(small(), parts, resume=True)  # the code that trained last
    assert [entry["forced"] for entry in provenance(parts)["resumed"][1:]] == [[]]


def test_outside_a_checkout_the_package_version_counts(parts, monkeypatch):
    made = provenance(parts) | {"commit": "unknown"}
    (parts / "provenance.json").write_text(json.dumps(made | {"versions": {"iqlearn_jax": "0.0.9"}}))
    monkeypatch.setattr(workdir_lib, "_commit", lambda: "installed, version 0.1.0")
    with pytest.raises(
        InputError, match=r"installed, version 0\.0\.9 before, installed, version 0\.1\.0 now"
    ):
        train(small(), parts, resume=True)
    monkeypatch.setattr(workdir_lib, "_commit", lambda: "installed, version 0.0.9")
    train(small(), parts, resume=True)


def test_another_configuration_by_force_becomes_the_folders(parts):
    config = small(eval_every=4)
    with pytest.raises(InputError, match="eval_every: 8 before, 4 now"):
        train(config, parts, resume=True)
    train(config, parts, resume=True, force=True)
    assert_no_gap(parts, config)
    assert json.loads((parts / "config.json").read_text())["eval_every"] == 4
    assert provenance(parts)["resumed"][0]["forced"] == ["eval_every: 8 before, 4 now"]
    load_run(parts, config)


def test_more_updates_need_no_force(whole, parts, tmp_path):
    """The run goes on as one that was longer from the start; fewer updates are another configuration."""
    longer = small(updates=16)
    train(longer, tmp_path / "longer")
    train(longer, parts, resume=True)
    assert json.loads((parts / "config.json").read_text())["updates"] == 16
    assert_same_run(tmp_path / "longer", parts, longer)
    with pytest.raises(InputError, match="updates: 16 before, 12 now"):
        train(small(), parts, resume=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden": (9,)}, "saved by another configuration or code"),
        ({"log_every": 6, "updates": 12, "eval_every": 6, "checkpoint_every": 6}, "divisor of the 8 updates"),
    ],
)
def test_what_force_cannot_bridge_is_refused_and_changes_nothing(changes, words, parts):
    before = {path: path.read_bytes() for path in parts.glob("*.json*")}
    with pytest.raises(InputError, match=words):
        train(small(**changes), parts, resume=True, force=True)
    assert before == {path: path.read_bytes() for path in parts.glob("*.json*")}
    assert not (parts / "checkpoints-damaged").exists()


@pytest.mark.parametrize(
    ("method", "feed", "found"),
    [("iq", "demos", "config.method is 'iq'"), ("bc", "replay", "config.feed is")],
)
def test_another_learner_starts_a_new_folder(tmp_path, method, feed, found):
    """BC's checkpoint has the arrays of IQ-Learn's: BC's optimiser, and a target that BC never moved."""
    write_json(tmp_path / "config.json", as_plain(small()))
    for force in (False, True):
        with pytest.raises(InputError, match=f"{found}.*was trained with.*--init-from={tmp_path}"):
            open_stopped(made_up_config(method, feed, "walk"), tmp_path, force)


def test_other_demonstrations_by_force(parts, capsys):
    made = provenance(parts)
    (parts / "provenance.json").write_text(json.dumps(made | {"demos_digest": "0" * 40}))
    with pytest.raises(InputError, match="demonstrations or reward file changed"):
        train(small(), parts, resume=True)
    train(small(), parts, resume=True, force=True)
    assert (
        "warning: resumed by force: demonstrations or reward file changed (digest 000000000000"
        in capsys.readouterr().err
    )
    assert provenance(parts)["resumed"][0]["demos_digest"] == made["demos_digest"]
    load_run(parts, small())


def test_force_is_for_resuming(tmp_path, capsys):
    assert cli.main(["train", "--config=any", f"--workdir={tmp_path}", "--force"]) == 2
    assert "--force without --resume" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{}", '{"commit": "unknown", "demos_digest": null}'])
def test_a_damaged_provenance_is_named(content, parts):
    (parts / "provenance.json").write_text(content)
    with pytest.raises(InputError, match=r"provenance.json: missing or damaged"):
        train(small(), parts, resume=True)


# Two processes --------------------------------------------------------------------------------------------


def test_a_second_process_is_refused_by_name_and_readers_are_not(whole, parts):
    with locked(parts):
        who = rf"in use by process {os.getpid()} on {socket.gethostname()}"
        with pytest.raises(InputError, match=who):
            train(small(), parts, resume=True)
        with pytest.raises(InputError, match=who):
            train(small(), parts)
        load_run(parts, small())
    train(small(), parts, resume=True)
    assert_same_run(whole, parts)


def test_the_lock_is_held_while_training_and_freed_after_it(tmp_path, monkeypatch):
    held = []

    def other():
        with pytest.raises(InputError, match="in use"), locked(tmp_path):
            pass
        held.append(1)

    at_chunk(monkeypatch, 2, other)
    train(small(), tmp_path)
    assert held
    with locked(tmp_path):
        pass


def test_the_kernel_frees_the_lock_of_a_killed_process(tmp_path):
    code = (
        "import sys; from pathlib import Path; from iqlearn_jax.runs.lock import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen(command, **pipes) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {holder.pid} on"), locked(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with locked(tmp_path):
            pass


def test_a_refused_start_leaves_no_folder_and_a_refused_resumption_no_lock(tmp_path):
    with pytest.raises(InputError):
        train(small(updates=13), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="no such file"):
        train(small(), tmp_path, resume=True)
    assert not list(tmp_path.iterdir())
