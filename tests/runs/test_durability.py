"""A run that meets signals, damage or a full disk loses nothing silently."""

import os
import shutil
import signal

import pytest

from iqlearn_jax.cli import main as cli
from iqlearn_jax.cli.common import PREEMPTED
from iqlearn_jax.errors import InputError, StorageError
from iqlearn_jax.runs.checkpoint import Checkpoints
from iqlearn_jax.runs.files import MetricsFile
from iqlearn_jax.runs.manifest import MANIFEST
from iqlearn_jax.training import train as session_lib
from iqlearn_jax.training.console import interruptible
from iqlearn_jax.training.reopen import load_run
from iqlearn_jax.training.session import Stopped
from iqlearn_jax.training.train import train
from tests.runs.comparing import assert_same_state, lines
from tests.runs.durable import assert_same_run, at_chunk, small
from tests.runs.test_checkpoint import flip, small_files

pytestmark = pytest.mark.usefixtures("environment")


def saved(monkeypatch):
    """Numbers of updates after which a run state is saved, as they come."""
    numbers, original = [], Checkpoints.save

    def save(self, updates, state):
        numbers.append(updates)
        original(self, updates, state)

    monkeypatch.setattr(Checkpoints, "save", save)
    return numbers


# Saved by time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "numbers"), [(0.0, [12]), (1.5, [8, 12]), (0.5, [4, 8, 12])])
def test_saves_by_time_change_no_result(minutes, numbers, whole, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("iqlearn_jax.runs.folder.monotonic", lambda: now[0])
    original = session_lib.one_chunk

    def minute_long(*arguments):
        now[0] += 60.0
        return original(*arguments)

    monkeypatch.setattr(session_lib, "one_chunk", minute_long)
    saved_at = saved(monkeypatch)
    config = small(checkpoint_every=0, checkpoint_minutes=minutes)
    train(config, tmp_path / "run")
    assert saved_at == numbers
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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, PREEMPTED)])
def test_a_signal_saves_the_chunk_in_progress(number, code, whole, tmp_path, monkeypatch, capsys):
    assert PREEMPTED == 75
    config, folder = small(checkpoint_every=0), tmp_path / "run"
    with monkeypatch.context() as patch:
        at_chunk(patch, 2, lambda: os.kill(os.getpid(), number))
        patch.setattr("iqlearn_jax.config.files.load_config", lambda _: config)
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


def test_stopped_keeps_its_number():
    assert Stopped(signal.SIGTERM).number == signal.SIGTERM
    assert isinstance(Stopped(), KeyboardInterrupt)


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
    written = [(line["update"], line["seed"]) for line in lines(tmp_path)]
    assert written == [(4, 0), (4, 1), (8, 0), (8, 1)]


def test_lines_are_on_the_disk_before_a_checkpoint(tmp_path, monkeypatch):
    synced, original = [], MetricsFile.sync

    def sync(self):
        original(self)
        synced.append(lines(tmp_path)[-1]["update"])

    monkeypatch.setattr(MetricsFile, "sync", sync)
    numbers = saved(monkeypatch)
    train(small(), tmp_path)
    assert synced == numbers == [4, 8, 12]
