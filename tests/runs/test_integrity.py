"""A run's folder whose files were edited, exchanged, lost or damaged is refused in one line."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from iqlearn_jax.cli import main as cli
from iqlearn_jax.errors import InputError, StorageError
from iqlearn_jax.report.read import read_run
from iqlearn_jax.runs.files import write_arrays, write_json
from iqlearn_jax.runs.folder import RunFolder, read_config, read_normalization
from iqlearn_jax.runs.history import read_history
from iqlearn_jax.runs.manifest import read_manifest
from iqlearn_jax.training.reopen import load_run
from iqlearn_jax.training.train import train
from tests.runs.comparing import assert_same_state
from tests.runs.durable import assert_same_run, at_chunk, small

pytestmark = pytest.mark.usefixtures("environment")


def edit(path, **changes):
    """As somebody with an editor does."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def strip_digests(workdir):
    """As folders of earlier versions are."""
    provenance = json.loads((workdir / "provenance.json").read_text())
    del provenance["digests"], provenance["seeds"]
    write_json(workdir / "provenance.json", provenance)


# Edited ---------------------------------------------------------------------------------------------------


def test_an_edited_configuration_is_refused_unless_forced(parts, capsys):
    edit(parts / "config.json", gamma=0.5)
    changed = small(gamma=0.5)
    with pytest.raises(InputError, match=r"config\.json was changed since.*--resume --config\.KEY=VALUE"):
        load_run(parts, changed)
    with pytest.raises(InputError, match=r"config\.json was changed since.*--resume --force"):
        train(changed, parts, resume=True)
    assert cli.main(["train", f"--workdir={parts}", "--resume", "--force"]) == 0
    assert "resumed by force: config.json was changed" in capsys.readouterr().err
    load_run(parts, changed)  # it is the folder's now
    train(changed, parts, resume=True)


def test_a_moved_file_of_demonstrations_is_no_other_configuration(parts):
    moved = shutil.copy(read_config(parts)["demos.path"], parts / "moved.npz")
    edit(parts / "config.json", **{"demos.path": str(moved)})
    load_run(parts, small(demos__path=str(moved)))


def test_other_statistics_are_refused_by_everybody(parts):
    path = parts / "normalization.npz"
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | {"obs_std": 2 * arrays["obs_std"]}))
    words = r"normalization\.npz: missing or damaged \(digest"
    for use in (lambda: load_run(parts, small()), lambda: train(small(), parts, resume=True)):
        with pytest.raises(InputError, match=words):
            use()
    arrays.pop("digest")
    write_arrays(path, arrays | {"obs_std": 2 * arrays["obs_std"]})  # sealed anew
    with pytest.raises(InputError, match="its arrays are not those of the run"):
        load_run(parts, small())


def test_folders_without_digests_are_read_as_they_are(whole, parts):
    strip_digests(parts)
    path = parts / "normalization.npz"
    arrays = read_normalization(parts)
    np.savez(path, **arrays)
    train(small(), parts, resume=True)
    assert_same_run(whole, parts)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_a_flipped_bit_in_an_array_file_is_named_everywhere(parts, share):
    path, whole = parts / "normalization.npz", read_normalization(parts)
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 0x10
    path.write_bytes(content)
    try:
        arrays = read_normalization(parts)
    except InputError as error:
        assert f"{path}: missing or damaged (" in str(error)
    else:  # a bit that says nothing, of a time stamp say
        assert arrays.keys() == whole.keys()
        assert all(np.array_equal(arrays[name], whole[name]) for name in whole)


def test_edited_rewards_are_refused_by_the_report(parts):
    rewards = {
        "recovered": np.arange(3.0),
        "true": np.arange(3.0),
        "episode": np.zeros(3),
        "source": np.array(["a"] * 3),
    }
    write_arrays(parts / "rewards.npz", rewards)
    write_json(parts / "summary.json", {"method": "bc", "env": "walk", "seeds": [1], "returns": [1.0]})
    assert read_run(parts).rewards.keys() == rewards.keys()
    np.savez(parts / "rewards.npz", **(rewards | {"true": np.ones(3)}))
    with pytest.raises(InputError, match=r"rewards\.npz: missing or damaged \(digest"):
        read_run(parts)


def test_checkpoints_of_another_run_are_refused(whole, parts, tmp_path):
    other = small(first_seed=7)
    train(other, tmp_path / "other")
    shutil.copytree(tmp_path / "other" / "checkpoints" / "12", parts / "checkpoints" / "12")
    words = r"12 was saved by another run \(seeds \[7, 8\] there"
    with pytest.raises(InputError, match=words):
        load_run(parts, small())
    with pytest.raises(InputError, match=words):
        train(small(), parts, resume=True)
    assert read_manifest(parts / "checkpoints" / "8")["run"]["seeds"] == [5000, 5001]


# Lost -----------------------------------------------------------------------------------------------------


def test_lost_checkpoints_are_no_new_start(whole, tmp_path):
    for number, lose in enumerate(("folder", "content")):
        lost = tmp_path / str(number)
        shutil.copytree(whole, lost)
        shutil.rmtree(lost / "checkpoints")
        if lose == "content":
            (lost / "checkpoints").mkdir()
        before = (lost / "metrics.jsonl").read_text()
        with pytest.raises(InputError, match="the checkpoints of this run are gone"):
            train(small(), lost, resume=True)
        assert (lost / "metrics.jsonl").read_text() == before


def test_a_run_that_stopped_before_its_first_checkpoint_begins_again_and_says_so(whole, tmp_path, capsys):
    shutil.copytree(whole, tmp_path / "parts")
    shutil.rmtree(tmp_path / "parts" / "checkpoints")
    (tmp_path / "parts" / "checkpoints").mkdir()
    lines = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "parts" / "metrics.jsonl").write_text("".join(lines[:4]))
    train(small(), tmp_path / "parts", resume=True)
    assert "stopped before its first checkpoint" in capsys.readouterr().err
    assert_same_run(whole, tmp_path / "parts")


def test_an_empty_checkpoint_is_passed_over(whole, parts, capsys):
    (parts / "checkpoints" / "80").mkdir()
    assert int(load_run(parts, small())[1].updates[0]) == 8
    assert "80 is damaged (it is empty); left there" in capsys.readouterr().err
    train(small(), parts, resume=True)
    assert_same_run(whole, parts)


@pytest.mark.parametrize(
    "how",
    [
        lambda folder: folder.rename(folder.with_name("away")),  # at once, a checkpoint may be half written
        lambda folder: [os.remove(path) for path in folder.glob("*.*")],
    ],
    ids=["moved", "emptied"],
)
def test_a_folder_that_is_gone_while_training_ends_it(tmp_path, monkeypatch, how):
    at_chunk(monkeypatch, 2, lambda: how(tmp_path / "run"))
    with pytest.raises(StorageError, match="removed or emptied while it was trained in"):
        train(small(), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


# Damaged --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.json", "provenance.json", "spec.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"a": 1', None])
def test_damaged_json_is_one_line(parts, capsys, name, content):
    (parts / name).unlink()
    if content is None:
        os.mkfifo(parts / name)
    else:
        (parts / name).write_bytes(content)
    assert cli.main(["train", f"--workdir={parts}", "--resume"]) == 2
    said = capsys.readouterr().err
    assert said.count("error: ") == 1 and said.splitlines()[-1].startswith("error: ")
    assert f"{name}: " in said and "unforeseen" not in said


@pytest.mark.parametrize(
    "line",
    [b"3", b'{"update": "x"}', b'{"update": 4}', b"\xff", b'{"update": 4, "run": 0, "env_steps": null}'],
)
def test_a_damaged_line_of_metrics_is_named(parts, line):
    lines = (parts / "metrics.jsonl").read_bytes().split(b"\n")
    (parts / "metrics.jsonl").write_bytes(b"\n".join([lines[0], line, *lines[1:]]))
    for use in (
        lambda: train(small(), parts, resume=True),
        lambda: read_history(parts / "metrics.jsonl", 2),
        lambda: RunFolder(parts, small()).rewind(8),
    ):
        with pytest.raises(InputError, match=r"metrics\.jsonl: line 2 is.*remove it"):
            use()


def test_how_jax_computes_is_compared(parts):
    path = Path(parts) / "provenance.json"
    made = json.loads(path.read_text())
    assert made["jax"]["threefry_partitionable"] in (True, False)
    before = not made["jax"]["threefry_partitionable"]
    edit(path, jax=made["jax"] | {"threefry_partitionable": before})
    with pytest.raises(InputError, match=f"JAX_THREEFRY_PARTITIONABLE: {before} before, {not before} now"):
        train(small(), parts, resume=True)
    del made["jax"]  # folders of earlier versions
    write_json(path, made)
    state = load_run(parts, small())[1]
    assert_same_state(state, load_run(parts, small())[1])
