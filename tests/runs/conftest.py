"""A tiny run, trained once per module, and a copy of it that was killed."""

import shutil

import pytest

from iqlearn_jax.training.evaluation import make_evaluator
from iqlearn_jax.training.problem import make_loop
from iqlearn_jax.training.train import train
from tests.common import all_keys_but, made_once, made_up_environments
from tests.runs.durable import small


def without_lengths(problem):
    """What the programs of a run from demonstrations at constant rates read; with a replay, updates too."""
    config = problem.config
    assert config.feed == "demos" and config.lr_decay == 0
    return all_keys_but(config, "updates", "checkpoint_", "snapshot_", "eval_every")


LOOP, EVALUATOR = made_once(make_loop, without_lengths), made_once(make_evaluator, without_lengths)


@pytest.fixture(scope="module")
def environment():
    """Lives of one configuration share its programs, as compiling takes longer than training.

    What a finished run leaves is no matter here, and costs more than training.
    """
    with made_up_environments(), pytest.MonkeyPatch.context() as patch:
        unplayed = {"returns": None, "agreement": None, "normalized_iqm": None}
        patch.setattr("iqlearn_jax.training.summary.finish", lambda *_: unplayed)
        for module in ("session", "reopen"):
            patch.setattr(f"iqlearn_jax.training.{module}.make_loop", LOOP)
        patch.setattr("iqlearn_jax.training.evaluation.make_evaluator", EVALUATOR)
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
