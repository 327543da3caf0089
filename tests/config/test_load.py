"""Configurations from files and the command line: types, near names, one-line errors."""

import numpy as np
import pytest

from iqlearn_jax.config.files import import_modules, load_config, shipped_configs
from iqlearn_jax.config.values import (
    as_plain,
    assign,
    base_config,
    check,
    from_flat,
    keys,
    override,
    traced_keys,
)
from iqlearn_jax.errors import InputError
from iqlearn_jax.training.problem import make_problem
from tests.common import ROOT, configure


def test_every_traced_key_is_a_number_of_the_configuration():
    config = base_config()
    assert all(type(config[name]) is float for name in traced_keys())


@pytest.mark.parametrize(
    ("argument", "key", "value"),
    [
        ("--config.alpha=2", "alpha", 2.0),
        ("--config.alpha=1e-3", "alpha", 1e-3),
        ("--config.updates=500", "updates", 500),
        ("--config.clip_targets=true", "clip_targets", True),
        ("--config.clip_targets=False", "clip_targets", False),
        ("--config.env.id=Acrobot-v1", "env.id", "Acrobot-v1"),
        ("--config.env.id=3", "env.id", "3"),
        ("--config.demos.path=a=b.npz", "demos.path", "a=b.npz"),
        ("--config.hidden=(32,)", "hidden", (32,)),
        ("--config.online.num_envs=4", "online.num_envs", 4),
    ],
)
def test_overrides(argument, key, value):
    config = base_config()
    override(config, [argument])
    for part in key.split("."):
        config = config[part]
    assert config == value
    assert type(config) is type(value)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.gama=0.9", "unknown config key 'gama'; did you mean gamma"),
        ("--config.demos.pth=x", "unknown config key 'demos.pth'; did you mean demos.path"),
        ("--config.demos=x", "unknown config key 'demos'"),
        ("--config.gamma.x=1", "unknown config key 'gamma.x'; did you mean gamma"),
        ("--config.xyzzy=1", "unknown config key 'xyzzy'; known: "),
        ("--config.updates=many", "config.updates is 'many'; expected int, e.g. --config.updates="),
        ("--config.updates=1.5", "config.updates is 1.5; expected int"),
        ("--config.updates=True", "config.updates is True; expected int"),
        ("--config.clip_targets=1", "config.clip_targets is 1; expected bool"),
        ("--config.gamma=high", "config.gamma is 'high'; expected float"),
        ("--config.gamma=True", "config.gamma is True; expected float"),
        ("--config.hidden=64", "config.hidden is 64; expected tuple"),
        ("--config.gamma", "unknown argument '--config.gamma'"),
        ("--confg.gamma=1", "unknown argument '--confg.gamma=1'"),
        ("gamma=1", "unknown argument 'gamma=1'"),
    ],
)
def test_wrong_overrides_are_refused(argument, message):
    with pytest.raises(InputError) as caught:
        override(base_config(), [argument])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_key_cannot_be_set_in_a_config_file_either():
    with pytest.raises((KeyError, AttributeError)):
        base_config().gama = 0.5
    with pytest.raises(TypeError):
        base_config().updates = "many"


def test_a_configuration_without_a_key_is_refused_by_name():
    config = base_config()
    with config.unlocked():
        del config["updates"]
    with pytest.raises(InputError, match=r"config.updates is missing: .*make it anew"):
        check(config)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("cartpol:offline", "unknown config 'cartpol'; did you mean cartpole"),
        (
            "configs/cartpol.py:offline",
            "no file 'configs/cartpol.py'; those that come with the library",
        ),
        ("cartpole:ofline", "unknown config in cartpole 'ofline'; did you mean offline"),
        (
            "configs/cartpole.py:ofline",
            "config in configs/cartpole.py 'ofline'; did you mean offline",
        ),
        ("cartpole", "unknown config in cartpole ''; known: "),
        ("configs", "unknown config 'configs'"),
    ],
)
def test_unknown_config_names(source, message, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError) as caught:
        load_config(source)
    assert message in str(caught.value)


def test_a_file_without_configs(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("x = 1\n")
    with pytest.raises(InputError, match="CONFIGS"):
        load_config(f"{path}:offline")


WRONG_WHEN_IMPORTED, WRONG_WHEN_CALLED = (
    [
        ("CONFIGS = {\n  'a': (\n}\n", r"mine_bad.py:\d: SyntaxError: "),
        (
            "x = 1\nCONFIGS = {'a': nothing}\n",
            "mine_bad.py:2: NameError: name 'nothing' is not defined; mend it",
        ),
        ("import no_such_module\n", "mine_bad.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
    ],
    [
        ("def a():\n    return 1 / 0\nCONFIGS = {'a': a}\n", "mine_bad.py:2: ZeroDivisionError: "),
        (
            "from iqlearn_jax.config import base_config as b\ndef a():\n    b().no = 1\nCONFIGS = {'a': a}\n",
            "mine_bad.py:3: AttributeError: ",  # raised inside of ml_collections
        ),
    ],
)


@pytest.mark.parametrize(("code", "said"), WRONG_WHEN_IMPORTED + WRONG_WHEN_CALLED)
def test_what_a_users_own_file_raises_is_one_line_with_the_place(code, said, tmp_path):
    path = tmp_path / "mine_bad.py"
    path.write_text(code)
    with pytest.raises(InputError, match=f"--config={path}:a failed at .*{said}"):
        load_config(f"{path}:a")


@pytest.mark.parametrize(("code", "said"), WRONG_WHEN_IMPORTED)
def test_a_module_that_fails_says_so_each_time(code, said, tmp_path):
    path = tmp_path / "mine_bad.py"
    path.write_text(code)
    for _ in range(2):  # half a module is not taken for an imported one
        with pytest.raises(InputError, match=f"--import={path} failed at .*{said}"):
            import_modules([str(path)])


@pytest.mark.parametrize("source", shipped_configs())
def test_all_shipped_configs_load_and_survive_their_folder(source):
    config_names = load_config_names(source)
    assert config_names
    for name in config_names:
        config = load_config(f"{source}:{name}")
        assert sorted(keys(config)) == sorted(keys(base_config()))
        assert config.is_locked
        assert as_plain(from_flat(as_plain(config))) == as_plain(config)
        assert type(from_flat(as_plain(config)).hidden) is tuple


@pytest.mark.parametrize(
    "source",
    ["cartpole:offline", "cartpole:online", "acrobot:offline", "lunarlander:offline", "mujoco:hopper_online",
     "brax:inverted_pendulum", "gridworld:offline", "minatar:breakout"]
)  # fmt: skip
def test_configs_that_scripts_rely_on(source):
    assert load_config(source)


def load_config_names(source):
    with pytest.raises(InputError) as caught:
        load_config(f"{source}:qqqqqqqq")
    return [name.strip() for name in str(caught.value).split("known: ")[1].split(",")]


@pytest.mark.parametrize(
    "name",
    ["method", "seeds", "first_seed", "updates", "demos.path", "demos.trajectories", "demos.subsample",
             "env.id", "env.backend", "temperature", "gamma", "divergence", "alpha"]
)  # fmt: skip
def test_keys_that_scripts_rely_on(name):
    assert name in keys(base_config())


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"feed": "demo"}, ("config.feed", "demos")),
        ({"updates": 1100}, ("config.updates", "config.log_every")),
        ({"eval_every": 700}, ("config.eval_every", "config.log_every")),
        ({"checkpoint_every": 700}, ("config.checkpoint_every", "config.log_every")),
        ({"snapshot_every": 700}, ("config.snapshot_every", "config.log_every")),
        ({"feed": "replay", "online__updates_per_step": 3}, ("config.log_every", "online.updates_per_step")),
        ({"feed": "rollout", "env__backend": "gymnasium"}, ("config.feed", "config.env.backend", "gymnax")),
        ({"log_every": 0}, ("config.log_every",)),
        ({"updates": -500}, ("config.updates",)),
        ({"seeds": 0}, ("config.seeds",)),
        ({"env__backend": "gymnx"}, ("backend", "gymnax")),
        ({"env__id": "CartPol-v1"}, ("CartPol-v1", "CartPole-v1")),
        ({"env__id": "CartPol-v1", "env__backend": "gymnasium"}, ("CartPol-v1", "CartPole-v1")),
        ({"method": "iqq"}, ("method", "iqq", "iq")),
        ({}, ("config.demos.path", "--demos=")),
        ({"demos__path": "/nowhere.npz"}, ("/nowhere.npz",)),
    ],
)
def test_unusable_problems_are_refused_before_anything_is_compiled(changes, fields):
    pytest.importorskip("gymnax")  # without it every case is refused for want of it
    with pytest.raises(InputError) as caught:
        make_problem(configure(**changes))
    assert all(field in str(caught.value) for field in fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gamma", 1.0), ("gamma", 1.5), ("gamma", -0.1), ("gamma", float("nan")),
        ("temperature", 0.0), ("temperature", -1.0), ("alpha", 0.0), ("alpha", -1.0),
        ("critic_lr", -1e-3), ("target_rate", 2.0), ("gradient_penalty", -1.0), ("weight_decay", -1.0),
        ("batch_size", 0), ("critics", 0), ("eval_episodes", -1), ("first_seed", -1), ("target_period", -1),
        ("online.num_envs", 0), ("online.learning_starts", -1), ("online.capacity", 0), ("hidden", (0,)),
        ("hidden", ("a",)), ("eval_every", -500), ("checkpoint_every", -500), ("margin", 0.0),
        ("reward_weight", -1.0), ("replay_share", 1.0), ("orthogonal", -1.0), ("chain_count", 0),
        ("chain_steps", 0), ("chain_step_size", -1.0), ("chain_noise", -1.0), ("chain_restart", 1.5),
        ("clip_range", 0.0), ("gae_lambda", 1.5), ("epochs", 0), ("window", -1), ("minibatches", 0),
        ("online.rollout_steps", 0),
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused_by_name(key, value):
    """Each of these otherwise ends in NaN or in a traceback from inside a library."""
    config = configure(method="rl", feed="replay")
    assign(config, key, value)
    with pytest.raises(InputError) as caught:
        make_problem(config)
    assert f"config.{key}" in str(caught.value)


def test_numpy_does_not_leak_into_the_folder():
    config = base_config()
    assert not any(isinstance(value, np.generic) for value in as_plain(config).values())
