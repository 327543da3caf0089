"""The examples learn, and the one becomes the other by a handful of lines."""

import difflib
import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "share"), [("soft_dqn", 0.7), ("plug_in", 0.9)])
def test_example_learns(name, share):
    learned, yardstick = load(name).main(seed=0)
    assert yardstick == 500
    assert learned >= share * yardstick


def test_iq_learn_takes_at_most_15_changed_lines():
    before, after = ((EXAMPLES / f"{n}.py").read_text().splitlines() for n in ("soft_dqn", "plug_in"))
    blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    changed = sum(max(b - a, d - c) for kind, a, b, c, d in blocks if kind != "equal")
    assert 0 < changed <= 15
    library = [line for line in after if "import" in line and "iqlearn_jax" in line]
    assert library == ["from iqlearn_jax.ops import objectives, soft"]


def test_iq_learn_does_not_read_the_environments_reward():
    source = (EXAMPLES / "plug_in.py").read_text()
    assert "batch.reward" not in source
