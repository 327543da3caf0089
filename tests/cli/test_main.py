"""The program itself: help, versions, and output that nobody reads."""

import os
import subprocess
import sys

import pytest

from iqlearn_jax.cli import commands
from iqlearn_jax.cli import main as cli
from tests.cli.small import ROOT
from tests.data.made_up import make_demos


def run(*arguments, code="", **more):
    command = ["-c", code, *arguments] if code else ["-m", "iqlearn_jax.cli", *arguments]
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=ROOT, timeout=120, **more
    )


def test_no_arguments_and_help(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main([]) == 2
    assert cli.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in commands.COMMANDS)
    assert all(len(line) <= 80 for line in printed.splitlines())


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_has_help_that_fits_80_columns(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main([name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: iqlearn {name}")
    assert [line for line in printed.splitlines() if len(line) > 80] == []
    assert "\n" not in commands.command(name).HELP


def test_version(capsys):
    import iqlearn_jax

    assert cli.main(["--version"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"iqlearn_jax {iqlearn_jax.__version__} (jax ")
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}." in printed


def test_help_loads_nothing_that_takes_time():
    code = (
        "import sys; from iqlearn_jax.cli.main import main; main(sys.argv[1:])\n"
        "slow = {'jax', 'flax', 'numpy', 'scipy', 'rich', 'gymnasium', 'brax', 'matplotlib'}\n"
        "print('loaded', sorted(slow & set(sys.modules)))"
    )
    for arguments in (["--help"], ["--version"], ["train", "--help"], ["demos", "inspect", "--help"]):
        assert run(*arguments, code=code).stdout.splitlines()[-1] == "loaded []", arguments


@pytest.mark.parametrize("arguments", [["list", "keys"], ["list", "configs"], ["demos", "inspect", "FILE"]])
def test_output_that_nobody_reads_is_no_error(arguments, tmp_path):
    """The reader of `iqlearn ... | head -1` is gone; here it is from the start."""
    from iqlearn_jax.data.save import save

    save(tmp_path / "a.npz", make_demos())
    arguments = [str(tmp_path / "a.npz") if word == "FILE" else word for word in arguments]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = subprocess.run(
            [sys.executable, "-m", "iqlearn_jax.cli", *arguments],
            stdout=writing, stderr=subprocess.PIPE, cwd=ROOT, timeout=120,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert process.stderr == b""
    assert process.returncode == cli.CLOSED == 141
