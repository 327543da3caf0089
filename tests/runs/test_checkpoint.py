"""Checkpoints on a disk that fails: damaged, cut, half saved, full."""

import resource
import shutil
import sys
from contextlib import closing, contextmanager
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from iqlearn_jax.devices.placement import Placement
from iqlearn_jax.errors import InputError, StorageError
from iqlearn_jax.runs import checkpoint as checkpoint_lib
from iqlearn_jax.runs.checkpoint import Checkpoints
from iqlearn_jax.runs.files import write_arrays
from iqlearn_jax.runs.folder import RunFolder
from iqlearn_jax.runs.manifest import MANIFEST, read_manifest
from tests.common import configure
from tests.runs.comparing import assert_same_state

ANYWHERE = Placement(40, 40, None)  # as many slots as `state` has rows


def state(number):
    """Like a run's: floats, bytes, a key, nothing."""
    key = jax.random.key(number)
    return {"a": jax.random.normal(key, (40, 8)), "b": jnp.zeros((6, 6), jnp.uint8), "key": key, "none": None}


def save(folder, numbers=(4, 8), keep=2):
    with closing(Checkpoints(folder, keep)) as checkpoints:
        for number in numbers:
            checkpoints.save(number, state(number))


def newest(folder, reading=False, like=None):
    with closing(Checkpoints(folder, reading=reading)) as checkpoints:
        like = jax.eval_shape(lambda: state(0)) if like is None else like
        return checkpoints.restore_newest(like, ANYWHERE)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))


DAMAGES = {
    "flip": (flip, "changed"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes, expected"),
    "empty": (lambda path: path.write_bytes(b""), "has 0 bytes"),
    "delete": (lambda path: path.unlink(), "missing"),
}


@contextmanager
def small_files(limit):
    """No file may grow beyond so many bytes, as if the disk were full; yields what moves the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def change(limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))

    change(limit)
    try:
        yield change
    finally:
        change(soft)


@pytest.mark.parametrize("kind", DAMAGES)
def test_any_damaged_file_makes_the_checkpoint_before_it_the_newest(kind, tmp_path, capsys):
    """Orbax alone reads a flipped byte of an array as if nothing were wrong."""
    harm, words = DAMAGES[kind]
    save(tmp_path / "whole")
    files = [*read_manifest(tmp_path / "whole" / "8")["files"]]
    assert any("/d/" in name for name in files)  # where arrays are
    for number, name in enumerate(files):
        folder = tmp_path / str(number) / "checkpoints"
        shutil.copytree(tmp_path / "whole", folder)
        harm(folder / "8" / name)
        assert_same_state(newest(folder), state(4))
        said = capsys.readouterr().err
        assert f"{folder / '8'} is damaged" in said
        assert name in said
        assert words in said
        assert (folder.with_name("checkpoints-damaged") / "8").is_dir()


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_manifest(kind, tmp_path, capsys):
    """It stands for a damaged checkpoint; without one (early versions) the checkpoint is read as it is."""
    save(tmp_path / "checkpoints")
    DAMAGES[kind][0](tmp_path / "checkpoints" / "8" / MANIFEST)
    restored = newest(tmp_path / "checkpoints")
    assert_same_state(restored, state(8 if kind == "delete" else 4))
    assert ("manifest.json is damaged" in capsys.readouterr().err) == (kind != "delete")


def test_a_manifest_that_was_changed_but_can_be_read_is_damaged(tmp_path, capsys):
    save(tmp_path / "checkpoints")
    path = tmp_path / "checkpoints" / "8" / MANIFEST
    path.write_text(path.read_text().replace("float32[40, 8]", "float32[40, 9]"))
    assert_same_state(newest(tmp_path / "checkpoints"), state(4))
    assert "manifest.json is damaged" in capsys.readouterr().err


def test_what_orbax_cannot_read_is_damaged_without_a_manifest_too(tmp_path, capsys):
    save(tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / "8" / MANIFEST).unlink()
    (tmp_path / "checkpoints" / "8" / "default" / "_METADATA").write_text("{")
    assert_same_state(newest(tmp_path / "checkpoints"), state(4))
    assert "8 is damaged (JSONDecodeError" in capsys.readouterr().err


def test_the_last_good_one_is_kept_and_the_damaged_step_can_be_written_again(tmp_path):
    folder = tmp_path / "checkpoints"
    for name in ("8", "8.1"):
        save(folder, [number for number in (4, 8) if not (folder / str(number)).exists()])
        (folder / "8" / "default" / "_METADATA").write_text(name)
        newest(folder)
        assert sorted(path.name for path in folder.iterdir()) == ["4"]
        aside = tmp_path / "checkpoints-damaged" / name / "default" / "_METADATA"
        assert aside.read_text() == name
    save(folder, [8])
    assert_same_state(newest(folder), state(8))


def test_all_damaged_is_an_error_that_stays(tmp_path):
    """Never a silent start from zero, not even at the second try or after what is damaged was moved."""
    folder = tmp_path / "checkpoints"
    save(folder)
    for number in ("4", "8"):
        flip(folder / number / "default" / "_METADATA")
    for _ in range(2):
        with pytest.raises(InputError, match=r"no checkpoint is left.*8: .*_METADATA changed; 4: "):
            newest(folder)
    (tmp_path / "checkpoints-damaged").mkdir()
    for number in ("4", "8"):
        (folder / number).rename(tmp_path / "checkpoints-damaged" / number)
    with closing(Checkpoints(folder)) as checkpoints:
        assert not checkpoints.empty
    with pytest.raises(InputError, match="no checkpoint is left"):
        newest(folder)


def test_readers_pass_over_damage_and_change_nothing(tmp_path, capsys):
    save(tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / "12.orbax-checkpoint-tmp").mkdir()  # another process saves
    flip(tmp_path / "checkpoints" / "8" / MANIFEST)
    before = sorted(tmp_path.rglob("*"))
    assert_same_state(newest(tmp_path / "checkpoints", reading=True), state(4))
    assert sorted(tmp_path.rglob("*")) == before
    assert "left there" in capsys.readouterr().err


def test_what_a_killed_save_left_is_cleaned_up(tmp_path):
    save(tmp_path)
    half = tmp_path / "12.orbax-checkpoint-tmp"
    (half / "default").mkdir(parents=True)
    (half / "default" / "_METADATA").write_text("{")
    assert_same_state(newest(tmp_path), state(8))
    assert not half.exists()
    save(tmp_path, [12])
    assert_same_state(newest(tmp_path), state(12))


def test_a_damaged_snapshot_is_written_again_a_whole_one_is_not(tmp_path, capsys):
    save(tmp_path / "snapshots", keep=None)
    flip(tmp_path / "snapshots" / "8" / MANIFEST)
    with closing(Checkpoints(tmp_path / "snapshots", keep=None)) as snapshots:
        for number in (4, 8):
            snapshots.save(number, state(number + 1))
        like = jax.eval_shape(lambda: state(0))
        snapshots.wait()
        assert_same_state(snapshots.restore(like, 4, ANYWHERE), state(4))
        assert_same_state(snapshots.restore(like, 8, ANYWHERE), state(9))
        flip(tmp_path / "snapshots" / "4" / MANIFEST)
        with pytest.raises(InputError, match=r"4 is damaged \(manifest"):
            snapshots.restore(like, 4, ANYWHERE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"a": jnp.zeros((40, 9))}, r"\['a'\] is float32\[40, 8\] there, float32\[40, 9\] expected"),
        ({"a": jnp.zeros((40, 8), jnp.bfloat16)}, "float32.*bfloat16"),  # orbax would convert
        ({"c": jnp.zeros(3)}, r"\['c'\] is absent there"),
        ({"key": None}, r"\['key'\] is key<fry>\[\] there, absent expected"),
    ],
)
def test_other_arrays_are_no_damage_but_an_error(change, words, tmp_path):
    save(tmp_path / "checkpoints")
    with pytest.raises(InputError, match=words):
        newest(tmp_path / "checkpoints", like=state(0) | change)
    assert not (tmp_path / "checkpoints-damaged").exists()


@pytest.mark.parametrize("surfaces", ["save", "wait", "close"])
def test_a_full_disk_is_one_line_at_the_latest_at_the_next_save(surfaces, tmp_path):
    save(tmp_path)
    checkpoints = Checkpoints(tmp_path)
    ask = {
        "save": lambda: checkpoints.save(16, state(16)),
        "wait": checkpoints.wait,
        "close": checkpoints.close,
    }
    with small_files(200), pytest.raises(StorageError) as caught:
        checkpoints.save(12, state(12))
        ask[surfaces]()
    assert str(tmp_path) in str(caught.value)
    assert "make room" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    checkpoints.close()
    assert_same_state(newest(tmp_path), state(8))
    save(tmp_path, [12])
    assert_same_state(newest(tmp_path), state(12))


def test_nothing_is_committed_without_its_manifest(tmp_path, monkeypatch):
    save(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_lib, "write_manifest", full)
    with pytest.raises(StorageError, match="No space left on device"):
        save(tmp_path, [12])
    assert_same_state(newest(tmp_path), state(8))


def test_overdue_counts_from_the_last_save(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("iqlearn_jax.runs.folder.monotonic", lambda: now[0])
    write_arrays(tmp_path / "normalization.npz", {})
    folder = RunFolder(tmp_path, configure())
    with closing(folder):
        folder.rewind(0)
        assert not folder.overdue(1.0)
        now[0] = 60.0
        assert folder.overdue(1.0)
        assert not folder.overdue(0.0)
        folder.save(4, state(4))
        assert not folder.overdue(1.0)


def test_what_tensorstore_says_to_closed_event_loops_is_not_printed(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    for _ in range(2):
        checkpoint_lib.hush_closed_loops()
    for words in ("Event loop is closed", "something else"):
        sys.unraisablehook(SimpleNamespace(exc_value=RuntimeError(words)))
    assert [str(unraisable.exc_value) for unraisable in seen] == ["something else"]
