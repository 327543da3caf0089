"""A tiny run, trained once per module, and a copy of it that was killed."""

import json
import shutil

import pytest

from iqlearn_jax.config.values import as_plain
from iqlearn_jax.training.evaluation import make_evaluator
from iqlearn_jax.training.problem import make_loop
from iqlearn_jax.training.train import train
from tests.common import made_up_environments
from tests.runs.durable import small

LENGTHS = {"updates", "checkpoint_every", "checkpoint_minutes", "snapshot_every", "eval_every"}


def shared(make):
    """`make`, once for all configurations like `small` that differ in LENGTHS only: no program reads them."""
    made = {}

    def given(problem):
        plain = as_plain(problem.config)
        key = json.dumps({name: value for name, value in plain.items() if name not in LENGTHS})
        return made[key] if key in made else made.setdefault(key, make(problem))

    return given


LOOP, EVALUATOR = shared(make_loop), shared(make_evaluator)


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
