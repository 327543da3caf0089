"""A folder that is trained once, and the command line that must refuse."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from iqlearn_jax.cli import main as cli
from tests.cli.small import CARTPOLE, SMALL
from tests.common import cartpole_demos


@pytest.fixture(scope="session")
def demos(tmp_path_factory):
    return cartpole_demos(tmp_path_factory.mktemp("demos") / "cartpole.npz")


class Trained(NamedTuple):
    """A folder, and what its training returned and printed."""

    folder: Path
    code: int
    said: str


@pytest.fixture(scope="session")
def trained(demos, tmp_path_factory):
    """A folder trained once."""
    folder, said = tmp_path_factory.mktemp("run") / "done", io.StringIO()
    with redirect_stdout(said):
        code = cli.main(["train", CARTPOLE, f"--workdir={folder}", f"--demos={demos}", *SMALL])
    return Trained(folder, code, said.getvalue())


@pytest.fixture
def refused(capsys):
    """Runs the command line, which must refuse with code 2 and one line without a traceback; returns it."""

    def run(*argv):
        assert cli.main([str(arg) for arg in argv]) == 2
        printed = capsys.readouterr()
        assert printed.err.startswith("error: ")
        assert printed.err.count("\n") == 1
        assert "Traceback" not in printed.err
        return printed.err

    return run
