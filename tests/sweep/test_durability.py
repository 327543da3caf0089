"""A run that meets signals, damage, a full disk, changed code or a second process loses nothing silently."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from common import ROOT, made_up_config, made_up_environments
from comparing import assert_no_gap, assert_same_state, lines
from test_checkpoint import flip, small_files

from iqlearn_jax import cli
from iqlearn_jax.errors import InputError, StorageError
from iqlearn_jax.sweep import checkpoint as checkpoint_lib
from iqlearn_jax.sweep import run as run_lib
from iqlearn_jax.sweep import workdir as workdir_lib
from iqlearn_jax.sweep.checkpoint import Checkpoints
from iqlearn_jax.sweep.console import interruptible
from iqlearn_jax.sweep.lock import locked
from iqlearn_jax.sweep.manifest import MANIFEST
from iqlearn_jax.sweep.resuming import code_version
from iqlearn_jax.sweep.run import Stopped, load_run, train
from iqlearn_jax.sweep.workdir import MetricsFile


def small(**changes):
    """Chunks of 4 updates up to 12; checkpoints after 8 and 12 stay."""
    return made_up_config("bc", "demos", "walk", **{"seeds": 2, "updates": 12, "eval_every": 8} | changes)


@pytest.fixture(scope="module", autouse=True)
def environment():
    """What a finished run leaves is no matter here, and costs more than training."""
    with made_up_environments(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_lib, "finish", lambda *_: {"returns": [], "normalized_iqm": None})
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("durability") / "whole"
    train(small(), workdir)
    return workdir


@pytest.fixture
def parts(whole, tmp_path):
    """A copy as a kill leaves it: the newest checkpoint after 8 of 12 updates, later lines of metrics."""
    workdir = tmp_path / "parts"
    shutil.copytree(whole, workdir)
    shutil.rmtree(workdir / "checkpoints" / "12")
    return workdir


def assert_same_run(whole, parts, config=None):
    config = small() if config is None else config
    assert_same_state(load_run(whole, config)[1], load_run(parts, config)[1])
    assert lines(whole) == lines(parts)
    assert_no_gap(parts, config)


def saved(monkeypatch):
    """Numbers of updates after which a run state is saved, as they come."""
    numbers, original = [], Checkpoints.save

    def save(self, updates, state):
        numbers.append(updates)
        original(self, updates, state)

    monkeypatch.setattr(Checkpoints, "save", save)
    return numbers


def at_chunk(monkeypatch, number, act):
    """Calls `act` while chunk `number` (1, 2, ...) is being written."""
    done, original = [], run_lib.write_metrics

    def write(*arguments):
        done.append(1)
        if len(done) == number:
            act()
        original(*arguments)

    monkeypatch.setattr(run_lib, "write_metrics", write)


# Saved by time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "numbers"), [(0.0, [12]), (1.5, [8, 12]), (0.5, [4, 8, 12])])
def test_saves_by_time_change_no_result(minutes, numbers, whole, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoint_lib, "monotonic", lambda: now[0])
    original = run_lib.one_chunk

    def minute_long(*arguments):
        now[0] += 60.0
        return original(*arguments)

    monkeypatch.setattr(run_lib, "one_chunk", minute_long)
    found = saved(monkeypatch)
    config = small(checkpoint_every=0, checkpoint_minutes=minutes)
    train(config, tmp_path / "run")
    assert found == numbers
    assert_same_state(load_run(whole, small())[1], load_run(tmp_path / "run", config)[1])
    assert lines(whole) == lines(tmp_path / "run")


def test_a_checkpoint_does_not_outlive_the_snapshot_before_it(tmp_path, monkeypatch):
    """Resuming from 4 never writes snapshot 4 again; so it must be whole before checkpoint 4 begins."""
    seen, original = [], Checkpoints.save

    def save(self, updates, state):
        if self._folder.name == "checkpoints":
            seen.append((tmp_path / "snapshots" / str(updates) / MANIFEST).exists())
        original(self, updates, state)

    monkeypatch.setattr(Checkpoints, "save", save)
    train(small(snapshot_every=4), tmp_path)
    assert seen == [True, True, True]


# Signals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, cli.PREEMPTED)])
def test_a_signal_saves_the_chunk_in_progress(number, code, whole, tmp_path, monkeypatch, capsys):
    assert cli.PREEMPTED == 75
    config, folder = small(checkpoint_every=0), tmp_path / "run"
    with monkeypatch.context() as patch:
        at_chunk(patch, 2, lambda: os.kill(os.getpid(), number))
        patch.setattr("iqlearn_jax.settings.load_config", lambda _: config)
        assert cli.main(["train", "--config=any", f"--workdir={folder}"]) == code
    printed = capsys.readouterr()
    assert f"go on with: iqlearn train --workdir={folder} --resume" in printed.out
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["8"]
    train(config, folder, resume=True)
    assert_same_state(load_run(whole, small())[1], load_run(folder, config)[1])
    assert lines(whole) == lines(folder)


def test_handlers_are_put_back_and_a_second_ctrl_c_ends():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interruptible() as stop:
        assert stop() == 0
        os.kill(os.getpid(), signal.SIGINT)
        assert stop() == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def test_a_second_sigterm_ends():
    code = (
        "import os, signal; from iqlearn_jax.sweep.console import interruptible\n"
        "with interruptible() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGTERM); print(stop() == signal.SIGTERM, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM); print('alive')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (found.stdout.split(), found.returncode) == (["True"], -signal.SIGTERM)


# Damage ---------------------------------------------------------------------------------------------------


def test_a_run_goes_on_from_the_last_good_checkpoint(whole, tmp_path, capsys):
    shutil.copytree(whole, tmp_path / "parts")
    flip(tmp_path / "parts" / "checkpoints" / "12" / MANIFEST)
    assert int(load_run(tmp_path / "parts", small())[1].updates[0]) == 8  # evaluation, beside training
    assert "12 is damaged (manifest.json is damaged); left there" in capsys.readouterr().err
    train(small(), tmp_path / "parts", resume=True)
    assert "moved to" in capsys.readouterr().err
    assert (tmp_path / "parts" / "checkpoints-damaged" / "12").is_dir()
    assert_same_run(whole, tmp_path / "parts")


def test_without_a_good_checkpoint_nothing_starts_anew(parts):
    flip(parts / "checkpoints" / "8" / MANIFEST)
    before = (parts / "metrics.jsonl").read_text()
    with pytest.raises(InputError, match="no checkpoint is left that can be read"):
        train(small(), parts, resume=True)
    assert (parts / "metrics.jsonl").read_text() == before


# Full disk ------------------------------------------------------------------------------------------------


def test_a_full_disk_while_saving_leaves_what_was_saved(whole, parts, monkeypatch, capsys):
    arguments = ["train", f"--workdir={parts}", "--resume"]
    with monkeypatch.context() as patch, small_files(2**20) as limit:
        at_chunk(patch, 1, lambda: limit((parts / "metrics.jsonl").stat().st_size + 2000))
        assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.count("error: ") == 1
    assert f"{parts / 'checkpoints'}: not saved" in said
    assert "make room" in said
    assert "Traceback" not in said
    train(small(), parts, resume=True)
    assert_same_run(whole, parts)


def test_a_full_disk_under_the_metrics_is_one_line_and_leaves_no_half_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path, upto=0)
    metrics.write(4, 0, 1.0, [0, 1], {"x": [1.0, 2.0]})
    size = path.stat().st_size
    with small_files(size + size // 2), pytest.raises(StorageError, match="cannot be written"):
        metrics.write(8, 0, 1.0, [0, 1], {"x": [1.0, 2.0]})
    assert path.stat().st_size > size  # part of it
    MetricsFile(path, upto=4).write(8, 0, 1.0, [0, 1], {"x": [1.0, 2.0]})
    found = [(line["update"], line["seed"]) for line in lines(tmp_path)]
    assert found == [(4, 0), (4, 1), (8, 0), (8, 1)]


def test_lines_are_on_the_disk_before_a_checkpoint(tmp_path, monkeypatch):
    synced, original = [], MetricsFile.sync

    def sync(self):
        original(self)
        synced.append(lines(tmp_path)[-1]["update"])

    monkeypatch.setattr(MetricsFile, "sync", sync)
    numbers = saved(monkeypatch)
    train(small(), tmp_path)
    assert synced == numbers == [4, 8, 12]


# Changed code, configuration, demonstrations ---------------------------------------------------------------


def provenance(workdir):
    return json.loads((workdir / "provenance.json").read_text())


def test_another_commit_is_refused_and_can_be_forced(whole, parts, monkeypatch, capsys):
    first, version = provenance(parts)["commit"], re.escape(code_version(provenance(parts)))
    monkeypatch.setattr(workdir_lib, "_commit", lambda: "abc")
    with pytest.raises(InputError, match=rf"code: {version} before, commit abc now.*--force"):
        train(small(), parts, resume=True)
    load_run(parts, small())  # evaluation may use newer code
    assert cli.main(["train", f"--workdir={parts}", "--resume", "--force"]) == 0
    assert "warning: resumed by force: code: " in capsys.readouterr().err
    found = provenance(parts)
    assert found["commit"] == first
    assert [entry["commit"] for entry in found["resumed"]] == ["abc"]
    assert "commit abc now" in found["resumed"][0]["forced"][0]
    assert found["resumed"][0].keys() >= {"commit", "versions", "started"}
    assert_same_run(whole, parts)
    train(small(), parts, resume=True)  # the code that trained last
    assert [entry["forced"] for entry in provenance(parts)["resumed"][1:]] == [[]]


def test_outside_a_checkout_the_package_version_counts(parts, monkeypatch):
    made = provenance(parts) | {"commit": "unknown"}
    (parts / "provenance.json").write_text(json.dumps(made | {"versions": {"iqlearn_jax": "0.0.9"}}))
    monkeypatch.setattr(workdir_lib, "_commit", lambda: "unknown")
    monkeypatch.setattr(workdir_lib, "_versions", lambda: {"iqlearn_jax": "0.1.0"})
    with pytest.raises(InputError, match=r"iqlearn_jax 0\.0\.9 before, iqlearn_jax 0\.1\.0 now"):
        train(small(), parts, resume=True)
    monkeypatch.setattr(workdir_lib, "_versions", lambda: {"iqlearn_jax": "0.0.9"})
    train(small(), parts, resume=True)


def test_another_configuration_by_force_becomes_the_folders(parts):
    config = small(updates=16)
    with pytest.raises(InputError, match="updates: 12 before, 16 now"):
        train(config, parts, resume=True)
    train(config, parts, resume=True, force=True)
    assert_no_gap(parts, config)
    assert json.loads((parts / "config.json").read_text())["updates"] == 16
    assert provenance(parts)["resumed"][0]["forced"] == ["updates: 12 before, 16 now"]
    load_run(parts, config)


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


def test_other_demonstrations_by_force(parts, capsys):
    made = provenance(parts)
    (parts / "provenance.json").write_text(json.dumps(made | {"demos_digest": "0" * 40}))
    with pytest.raises(InputError, match="demonstrations changed"):
        train(small(), parts, resume=True)
    train(small(), parts, resume=True, force=True)
    assert "warning: resumed by force: demonstrations changed (digest 000000000000" in capsys.readouterr().err
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
        "import sys; from pathlib import Path; from iqlearn_jax.sweep.lock import locked\n"
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


def test_stopped_keeps_its_number():
    assert Stopped(signal.SIGTERM).number == signal.SIGTERM
    assert isinstance(Stopped(), KeyboardInterrupt)
