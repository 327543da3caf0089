"""Fixtures: the command line that must refuse, and the shared files where they are."""

from pathlib import Path

import pytest

from iqlearn_jax.cli.main import main

SHARED = Path(__file__).resolve().parents[3] / "shared" / "demos"


@pytest.fixture
def refused(capsys):
    """Runs the command line, which must refuse with code 2 and one line; returns that line."""

    def run(*argv):
        assert main(["demos", *map(str, argv)]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("error: ")
        assert printed.err.count("\n") == 1 and "Traceback" not in printed.err
        return printed.err

    return run


@pytest.fixture
def shared():
    """Path of a shared file by name; the test is skipped where it is absent."""

    def find(name):
        if not (SHARED / name).is_file():
            pytest.skip(f"{SHARED / name} is not here")
        return SHARED / name

    return find
