import json

import numpy as np
import pytest

from iqlearn_jax.errors import InputError
from iqlearn_jax.report.read import method_name, read_run, read_runs, series
from tests.report.synthetic import summary, write_run


def test_only_the_summary_is_needed(tmp_path):
    run = read_run(write_run(tmp_path / "run", full=False))
    assert run.label == "IQ-Learn"
    assert not any((run.config, run.provenance, run.metrics, run.rewards, run.maps))
    assert series(run, "eval/return") is None


def test_missing_summary_names_the_file_and_the_runs_below(tmp_path):
    write_run(tmp_path / "iq", full=False)
    with pytest.raises(InputError, match=r"summary\.json: no such file.*runs lie below it: iq"):
        read_runs([tmp_path])
    with pytest.raises(InputError, match="no folder"):
        read_runs([])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("summary.json", b"{", r"summary.json: missing or damaged \(JSONDecodeError"),
        ("summary.json", b"[]", "expected a JSON object, found a list"),
        ("summary.json", b'{"method": "iq"}', "no value for env, seeds, returns"),
        ("config.json", b"nonsense", r"config.json: missing or damaged"),
        ("summary.json", json.dumps(summary() | {"env": [1]}).encode(), r"damaged \(env is \[1\]"),
        (
            "summary.json",
            json.dumps(summary() | {"failed": [3]}).encode(),
            "summary.json: missing or damaged",
        ),
        ("summary.json", json.dumps(summary() | {"varied": {"alpha": [1]}}).encode(), "varied is"),
        ("doctor.json", b'{"findings": [{"kind": "x"}]}', "doctor.json: missing or damaged"),
        ("sweep.json", b'{"programs": [3]}', "sweep.json: missing or damaged"),
        ("provenance.json", b"[" * 100_000, "provenance.json: missing or damaged"),
        ("metrics.jsonl", b'{"a": \n{"b": 1}\n', "metrics.jsonl: line 1"),
        ("metrics.jsonl", b"3\n{}\n", "metrics.jsonl: line 1"),
        ("metrics.jsonl", b'{"a": "\xff"}\n{}\n', "metrics.jsonl: line 1"),
        ("rewards.npz", b"PK not a zip", r"rewards.npz: missing or damaged"),
    ],
)
def test_bad_files_are_named(tmp_path, file, content, message):
    folder = write_run(tmp_path / "run")
    (folder / file).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_runs([folder])


def test_seeds_and_returns_must_match(tmp_path):
    folder = write_run(tmp_path / "run", full=False)
    (folder / "summary.json").write_text(json.dumps({**summary(), "seeds": [1]}))
    with pytest.raises(InputError, match="1 seeds and 8 returns"):
        read_run(folder)


def test_rewards_without_their_keys_or_with_objects_are_refused(tmp_path):
    folder = write_run(tmp_path / "run")
    np.savez(folder / "rewards.npz", recovered=np.zeros(3))
    with pytest.raises(InputError, match="no array true, episode, source"):
        read_run(folder)
    np.savez(folder / "rewards.npz", recovered=np.array([{}], object))
    with pytest.raises(InputError, match=r"missing or damaged \(recovered: .*an object array"):
        read_run(folder)


def test_series_interpolates_resumed_and_unequal_seeds(tmp_path):
    folder = write_run(tmp_path / "run", returns=(1.0, 2.0), full=False)
    lines = [
        {"update": 0, "seed": 0, "m": 0.0},
        {"update": 10, "seed": 0, "m": 5.0},
        {"update": 10, "seed": 0, "m": 10.0},  # logged again after a resume: the later line counts
        {"update": 0, "seed": 1, "m": 4.0},
        {"update": 5, "seed": 1, "m": float("nan")},
        {"update": 20, "seed": 1, "m": 8.0},
        {"update": 5, "seed": 1, "other": 1.0},
    ]
    half = '{"update": 30, "se'  # a killed process leaves half a line
    (folder / "metrics.jsonl").write_text("\n".join([*map(json.dumps, lines), half]))
    curve = series(read_run(folder), "m")
    np.testing.assert_allclose(curve.x, [0, 10])
    np.testing.assert_allclose(curve.y, [[0, 10], [4, 6]])


def test_labels_become_distinct(tmp_path):
    folders = [
        write_run(tmp_path / "a", full=False),
        write_run(tmp_path / "b", full=False),
        write_run(tmp_path / "c", full=False, setting="online"),
        write_run(tmp_path / "d", "bc", full=False),
        write_run(tmp_path / "e", "bc", full=False, env="Acrobot-v1"),
    ]
    labels = [run.label for run in read_runs(folders)]
    assert labels == ["IQ-Learn, offline, a", "IQ-Learn, offline, b", "IQ-Learn, online", "BC", "BC"]


def test_method_names():
    assert [method_name(name) for name in ("iq", "bc", "gail", "max_margin")] == [
        "IQ-Learn",
        "BC",
        "GAIL",
        "max margin",
    ]
