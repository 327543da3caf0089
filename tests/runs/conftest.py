"""A tiny run, trained once per module, and a copy of it that was killed."""

import shutil

import pytest

from iqlearn_jax.training.train import train
from tests.common import made_up_environments
from tests.runs.durable import small


@pytest.fixture(scope="module")
def environment():
    """What a finished run leaves is no matter here, and costs more than training."""
    with made_up_environments(), pytest.MonkeyPatch.context() as patch:
        unplayed = {"returns": None, "agreement": None, "normalized_iqm": None}
        patch.setattr("iqlearn_jax.training.summary.finish", lambda *_: unplayed)
        yield


@pytest.fixture(scope="module")
def whole(environment, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("durability") / "whole"
    train(small(), workdir)
    return workdir


@pytest.fixture
def parts(whole, tmp_path):
    """A copy as a kill leaves it: the newest checkpoint after 8 of 12 updates, later lines of metrics."""
    workdir = tmp_path / "parts"
    shutil.copytree(whole, workdir)
    shutil.rmtree(workdir / "checkpoints" / "12")
    return workdir
