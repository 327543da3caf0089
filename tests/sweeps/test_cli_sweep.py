"""iqlearn sweep from the command line: plan, table, refusals."""

import json

import pytest

from iqlearn_jax.cli.main import main
from tests.common import cartpole_demos

SMALL = [
    "sweep", "--config=cartpole:offline", "--config.hidden=(8,)", "--config.updates=60",
    "--config.log_every=20", "--config.eval_every=20", "--config.checkpoint_every=20",
    "--config.eval_episodes=2",
]  # fmt: skip


@pytest.fixture
def demos(tmp_path):
    return f"--demos={cartpole_demos(tmp_path / 'demos.npz')}"


@pytest.mark.slow
def test_a_sweep_from_the_command_line(tmp_path, demos, capsys):
    folder = tmp_path / "sweep"
    command = [
        *SMALL,
        demos,
        f"--workdir={folder}",
        "--seeds=2",
        "--grid=alpha=0.1,0.5",
        "--grid=method=iq,bc",
    ]
    assert main([*command, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "program-0" in said and "program-1" in said and "GiB" in said
    assert not folder.exists()  # a dry run leaves nothing
    assert main(command) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "optimistic" in said and "report" in said
    result = json.loads((folder / "sweep.json").read_text())
    points = [(row["point"]["method"], row["point"]["alpha"]) for row in result["rows"]]
    assert sorted(points) == [("bc", 0.1), ("bc", 0.5), ("iq", 0.1), ("iq", 0.5)]
    assert (folder / "report.html").exists()
    assert main(command) == 0  # given again: nothing to do


def test_what_does_not_fit_is_refused(demos, capsys, monkeypatch):
    from iqlearn_jax.sweeps import estimate

    monkeypatch.setattr(estimate, "memory_free", lambda: 1000)
    assert main([*SMALL, demos, "--seeds=4", "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "with 4 runs on a device" in said
    assert "--runs-per-device" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds=2"], ("--workdir", "--dry-run")),
        (["--seeds=0", "--dry-run"], ("--seeds", "0")),
        (["--runs-per-device=0", "--dry-run"], ("--runs-per-device", "0")),
        (["--grid=alhpa=1,2", "--dry-run"], ("alhpa", "alpha")),
        (["--coordinator=here:1", "--dry-run"], ("--distributed",)),
        (["--distributed", "--processes=2", "--dry-run"], ("--coordinator", "missing")),
    ],
)
def test_bad_commands_are_refused_in_one_line(arguments, words, demos, capsys):
    assert main([*SMALL, demos, *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(word in said for word in words)
