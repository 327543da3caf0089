"""`iqlearn completion`: the scripts know commands, options, config names and keys."""

import shutil
import subprocess

import pytest

from iqlearn_jax.cli import commands, completion
from iqlearn_jax.cli import main as cli
from iqlearn_jax.config.schema import KEYS

TRY = """
source {script}
COMP_LINE={line!r} COMP_POINT={point}
_iqlearn 2> /dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def table():
    return completion.candidates()


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    for shell, make in completion.SHELLS.items():
        (folder / shell).write_text(make())
    return folder


def test_what_may_come_next(table):
    assert table[""][: len(commands.COMMANDS)] == list(commands.COMMANDS)
    assert table["demos"] == ["inspect", "validate", "record", "convert", "--help"]
    assert {"--config=", "--resume", "--init-from=", "--config=cartpole:offline"} <= set(table["train*"])
    assert {f"--config.{name}=" for name in KEYS} <= set(table["train*"])
    assert {"--grid=alpha=", "--dry-run", "--seeds="} <= set(table["sweep*"])
    assert set(table["demos record*"]) >= {"--workdir=", "--out=", "--stochastic", "--at="}
    assert {"bash", "zsh", "fish"} <= set(table["completion*"])


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_scripts(shell, scripts, capsys):
    assert cli.main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert text == (scripts / shell).read_text() + "\n"
    assert "cartpole:offline" in text and "--config.gamma=" in text
    if shutil.which(shell):
        assert subprocess.run([shell, "-n", scripts / shell], timeout=60).returncode == 0


def test_another_shell_is_refused(capsys):
    assert cli.main(["completion", "csh"]) == 2
    assert "choose from" in capsys.readouterr().err


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("iqlearn tr", ["train"]),
        ("iqlearn demos ins", ["inspect"]),
        ("iqlearn train --config=cartpole:off", ["offline"]),  # bash takes a : for the start of a word
        ("iqlearn train --config.demos.sub", ["--config.demos.subsample="]),
        ("iqlearn demos inspect a.npz --obs", ["--observation-only"]),
        ("iqlearn train --workdir=/nowhere", [""]),  # files are bash's own
    ],
)
def test_bash_completes(line, replies, scripts):
    code = TRY.format(script=scripts / "bash", line=line, point=len(line))
    reply = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=60)
    assert reply.stdout.split("\n")[:-1] == replies
