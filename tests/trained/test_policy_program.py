"""A policy as a StableHLO program acts as the policy does."""

import json
import pathlib

import jax
import jax.export
import numpy as np
import pytest

from iqlearn_jax.errors import InputError
from iqlearn_jax.trained import stablehlo
from iqlearn_jax.trained.policy import make_policy
from tests.trained.made_policies import CASES, made, observations

CHOSEN = ("iq", "iq, box", "iq, rooms", "iq, grid", "dsfn", "lstd_mu", "ppo, box")
SLOW = ("iq, rooms", "lstd_mu")
MARKED = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else []) for name in CHOSEN]


@pytest.mark.parametrize("name", MARKED)
def test_a_program_acts_as_its_policy(name, tmp_path):
    pytest.importorskip("flatbuffers")
    path = tmp_path / "policy.stablehlo"
    returned = stablehlo.save_program(path, *made(name))
    program = jax.export.deserialize(bytearray(path.read_bytes()))
    for size in (1, 7):  # the number of observations is open
        obs = observations(CASES[name][0], size, seed=size)
        expected = make_policy(*made(name))(obs)
        np.testing.assert_allclose(program.call(obs), expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(returned(obs), expected)
    assert program.platforms == stablehlo.PLATFORMS


def test_its_companion_says_what_goes_in_and_how_to_load_it(tmp_path):
    pytest.importorskip("flatbuffers")
    stablehlo.save_program(tmp_path / "policy.stablehlo", *made("iq")[:-1], {"run": {"seed": 7}})
    about = json.loads((tmp_path / "policy.stablehlo.json").read_text())
    assert about["obs"] == {"shape": ["B", 3], "dtype": "float32"}
    assert about["run"] == {"seed": 7} and about["config"]["method"] == "iq"
    names = {"jax": jax, "pathlib": pathlib, "obs": observations(CASES["iq"][0], 4)}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert np.shape(eval(about["load"], names)) == (4,)


def test_without_flatbuffers_the_remedy_is_named(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise ImportError("Please install 'flatbuffers'")

    monkeypatch.setattr(jax.export.Exported, "serialize", missing)
    with pytest.raises(InputError, match=r"pip install iqlearn_jax\[stablehlo\]"):
        stablehlo.save_program(tmp_path / "policy.stablehlo", *made("iq"))
    assert not list(tmp_path.iterdir())
