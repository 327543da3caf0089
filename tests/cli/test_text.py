"""At 80 columns nothing is cut off: every number is printed whole."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from iqlearn_jax.cli import sweep
from iqlearn_jax.cli.describe import describe_demos
from iqlearn_jax.cli.text import pairs, table, wrapped
from iqlearn_jax.errors import InputError
from tests.data.made_up import make_demos

POINT = {"temperature": 0.0125, "critic_lr": 0.00025, "actor_lr": 0.000125, "method": "regularized_bc"}


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def fits(text, width=80):
    return all(len(line) <= width for line in text.splitlines()) and "…" not in text


def test_a_table_is_aligned_where_it_fits_and_stacked_where_not():
    rows = [("0.1234567", "12345.678"), ("x", "–")]
    assert table(("left", "right"), rows, width=80).splitlines() == [
        "left       right", "---------  ---------", "0.1234567  12345.678", "x          –",
    ]  # fmt: skip
    stacked = table(("left", "right"), rows, width=18)
    assert stacked == "left   0.1234567\nright  12345.678\n\nleft   x\nright  –"


def test_pairs_wrap_between_words_only():
    long = " ".join(f"{0.123456789 * k:.8f}" for k in range(1, 20))
    text = pairs([("name", long), ("a name that is longer than all columns", "1"), ("none", "")], width=40)
    assert text.split()[1:20] == long.split()
    assert text.endswith("\n  none")
    assert "columns\n        1\n" in text
    assert wrapped("x" * 100, 20) == ["x" * 100]  # one word stays one word


def test_what_is_in_a_file_of_demonstrations():
    record = {"source": "theirs.pkl", "largest_magnitude": 5.1234567, "note": "word " * 40}
    demos = make_demos((500, 20), (False, True))
    demos = dataclasses.replace(demos, metadata={"env": "E", "policy": "P" * 60, "conversion": [record]})
    text = describe_demos(demos, "a.npz")
    assert fits(text)
    for whole in (demos.digest, "520", "5.1234567", f"{demos.observations.min():.4g}", "P" * 60):
        assert whole in text.split()
    returns = demos.episode_returns
    assert all(f"{number:.1f}" in text for number in (returns.mean(), returns.std(), returns.min()))


def test_the_table_of_a_sweep(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("iqlearn_jax.report.page.write_report", lambda folders, out: out / "report.html")
    row = {
        "point": POINT, "normalized_iqm": 0.98765, "ci95": [0.91234, 1.01234], "iqm_return": 4321.5,
        "seeds": list(range(5000, 5064)), "failed": [5001, 5002, 5003],
    }  # fmt: skip
    result = {"rows": [row, row | {"ci95": None}], "best": row | {"note": "an optimistic one"}}
    sweep.print_sweep(result, tmp_path)
    printed = capsys.readouterr().out
    assert fits(printed.partition("report: ")[0])
    for whole in ("0.0125,", "0.00025,", "0.000125,", "0.988", "[0.912,", "1.012]", "4322", "64", "5002,"):
        assert printed.split().count(whole) >= 1, whole
    sweep.print_sweep({"rows": [row | {"point": {"alpha": 0.5}}], "best": None}, tmp_path)
    assert "alpha 0.5  0.988 [0.912, 1.012]  4322    64     5001, 5002, 5003" in capsys.readouterr().out


def test_the_table_of_a_dry_run(monkeypatch, capsys):
    needs = iter([(3 * 2**30, 90.0), (40 * 2**30, None)])

    def estimate(config):
        size, seconds = next(needs)
        return SimpleNamespace(
            runs_per_device=48, bytes=size, free=32 * 2**30, seconds=seconds, fits=seconds is not None
        )

    monkeypatch.setattr("iqlearn_jax.sweeps.estimate.estimate", estimate)
    monkeypatch.setattr("iqlearn_jax.sweeps.sweep.cut", lambda program, most: [program] * 3)
    programs = [
        SimpleNamespace(
            name=f"program-{number}", runs=144, config=None, static={"hidden": (256, 256)} | POINT
        )
        for number in range(2)
    ]
    with pytest.raises(InputError, match=r"program-1 needs 40.00 of 32.00 GiB with 48 runs on a device"):
        sweep.dry_run(programs, 48)
    printed = capsys.readouterr().out
    assert fits(printed)
    for whole in ("256-256,", "144", "48", "3.00", "40.00", "32.00", "4.5"):
        assert whole in printed.split(), whole
    assert "does not fit" in printed


def test_a_key_is_refused_where_no_program_reads_it(monkeypatch):
    def check_keys(config, names):
        if names[0] not in config:
            raise InputError(f"{names[0]} is not read")

    monkeypatch.setattr("iqlearn_jax.methods.check_keys", check_keys, raising=False)
    programs = [SimpleNamespace(config={"alpha"}), SimpleNamespace(config={"alpha", "margin"})]
    sweep.check_read(programs, ["alpha", "margin"])
    with pytest.raises(InputError, match="ridge is not read"):
        sweep.check_read(programs, ["margin", "ridge"])


def test_a_reward_file(monkeypatch):
    from iqlearn_jax.cli.describe import describe_reward

    config = {"method": "iq", "env.backend": "gymnax", "terminal": "absorbing"}
    about = {"run": {"seed": 5000, "updates": 123456}, "provenance": {"commit": "c" * 40}}
    spec = SimpleNamespace(id="made-up", obs_dtype="float32", obs_shape=(17,), discrete=False, action_low=[0])
    reward = SimpleNamespace(
        metadata=about | {"config": config, "digest": "d" * 64},
        spec=spec, end=1.0, sampled=True, gamma=np.float32(0.99),
    )  # fmt: skip
    monkeypatch.setattr("iqlearn_jax.rewards.load_reward", lambda path: reward)
    text = describe_reward("r.npz")
    assert fits(text)
    assert {"d" * 64, "c" * 40, "123456", "0.99", "[17]"} <= {word.rstrip(",") for word in text.split()}
