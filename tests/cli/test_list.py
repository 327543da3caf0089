"""`iqlearn list`: what can be named in a configuration, at 80 columns."""

import pytest

from iqlearn_jax.cli import main as cli
from iqlearn_jax.cli.keys import GROUPS, grouped, range_text, short_help, value_text
from iqlearn_jax.cli.list import all_configs, first_sentence, keys_of
from iqlearn_jax.config.files import load_config, shipped_configs
from iqlearn_jax.config.schema import KEYS
from iqlearn_jax.envs import gymnax
from iqlearn_jax.methods import METHODS
from iqlearn_jax.ops.iq.divergences import DIVERGENCES


@pytest.fixture
def listed(capsys, monkeypatch):
    """Runs `iqlearn list ...`, which must fit 80 columns; returns its text."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        assert cli.main(["list", *arguments]) == 0
        text = capsys.readouterr().out
        assert [line for line in text.splitlines() if len(line) > 80] == []
        return text

    return run


def first_words(text):
    return [line.split()[0] for line in text.splitlines() if line and not line.startswith(" ")]


def test_methods_and_divergences(listed):
    assert first_words(listed("methods")) == list(METHODS)
    assert first_words(listed("divergences"))[2:] == list(DIVERGENCES)
    assert " ".join(METHODS["iq"].meaning.split()) in " ".join(listed("methods").split())


def test_configs_are_those_that_can_be_loaded(listed):
    text = listed("configs")
    assert first_words(text) == list(all_configs())
    assert {name.partition(":")[0] for name in all_configs()} == set(shipped_configs())
    assert "cartpole:offline" in text and "One whole demonstration, no environment steps." in text
    assert load_config("cartpole:offline").env.id == "CartPole-v1"


def test_a_config_is_described_by_its_first_sentence():
    def make():
        """One thing, over
        two lines. And another."""

    assert first_sentence(make) == "One thing, over two lines."
    assert first_sentence(lambda: None) == ""


def test_envs_by_backend_and_those_of_a_users_module(listed, tmp_path):
    text = listed("envs")
    assert "gymnasium" in text and "CartPole-v1" in text and "Gridworld" in text
    assert "gymnax" in text or not gymnax.installed()
    (tmp_path / "mine_to_list.py").write_text("SEEN = True\n")
    listed("envs", f"--import={tmp_path / 'mine_to_list.py'}")
    import sys

    assert sys.modules.pop("mine_to_list").SEEN


def test_keys(listed):
    text = listed("keys")
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.startswith("  ")}
    assert rows["gamma"] == ["0.99", "float", "in", "[0,", "1),", "traced"]
    assert rows["demos.trajectories"] == ["1", "int", "in", "[0,", "∞)", "or", '"all",', "static"]
    words = " ".join(text.split())
    assert all(" ".join(key.meaning.split()) in words for key in KEYS.values())
    assert all(f" {name} {value_text(key.default)}"[:-1] in words for name, key in KEYS.items())


def test_keys_of_one_method(listed):
    text = listed("keys", "--method=bc")
    assert "  margin " not in text and "  gamma " not in text  # of others
    assert "  hidden " in text and "  updates " in text
    assert set(keys_of("iq")) >= {"alpha", "divergence", "updates"}
    assert set(keys_of("bc")) - METHODS["bc"].keys == {n for n, key in KEYS.items() if not key.of_method}


def test_unknown_names(capsys):
    assert cli.main(["list", "keys", "--method=bcc"]) == 2
    assert "unknown method 'bcc'; did you mean bc" in capsys.readouterr().err
    assert cli.main(["list", "method"]) == 2
    assert "did you mean methods" in capsys.readouterr().err
    assert cli.main(["list"]) == 2


def test_every_key_is_in_a_group_and_in_the_help_of_train():
    members = [names for _, names in grouped()]
    assert [name for names in members for name in names] == list(KEYS)
    assert [names[0] for names in members] == list(GROUPS.values())
    text = short_help()
    assert all(f"  {name}={value_text(key.default)}" in text for name, key in KEYS.items())


def test_keys_of_a_users_method_are_shown(listed, tmp_path):
    code = """
from iqlearn_jax.config.schema import Key
from iqlearn_jax.methods import register_method
keys = {"boldness": Key(0.5, "how bold it is", 0.0)}
register_method("listed", lambda config, spec: None, keys, meaning="Ours.")
"""
    (tmp_path / "mine_with_keys.py").write_text(code)
    module = f"--import={tmp_path / 'mine_with_keys.py'}"
    try:
        text = listed("keys", "--method=listed", module)
        assert "registered methods:\n  boldness " in text and "how bold it is" in text
        assert "listed" in first_words(listed("methods", module))
    finally:
        METHODS.pop("listed", None)
        KEYS.pop("boldness", None)


def test_ranges_in_words():
    assert range_text(KEYS["alpha"]) == "in (0, ∞)"
    assert range_text(KEYS["gamma"]) == "in [0, 1)"
    assert range_text(KEYS["target_rate"]) == "in [0, 1]"
    assert range_text(KEYS["terminal"]) == "zero | absorbing | bounded"
    assert range_text(KEYS["normalize_obs"]) == range_text(KEYS["target_entropy"]) == ""
