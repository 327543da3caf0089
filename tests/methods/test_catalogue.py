"""The catalogue of methods: keys that each declares are those that it reads; methods of one's own."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from iqlearn_jax.config.schema import KEYS, Key
from iqlearn_jax.config.values import base_config, check, traced_keys
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import (
    METHODS,
    Method,
    catalogue,
    check_keys,
    check_policy_keys,
    make_method,
    register_method,
)
from iqlearn_jax.methods.method import DEMOS
from iqlearn_jax.methods.parts import make_parts
from iqlearn_jax.types import Batch, RoundTransition
from tests.common import configure, deterministic_mdp, hyper, random_rows, spec_of, table_spec

DISCRETE, BOX = spec_of(obs_shape=(2,), num_actions=3), spec_of(obs_shape=(2,))
TABLE = table_spec(deterministic_mdp(4, 3, 0), 3)
ROWS, WINDOW, RMS = 8, 2, optax.scale_by_rms()
ONLINE, ON_POLICY = {"feed": "replay"}, {"feed": "rollout"}
LEARNED = {"learn_temperature": True, "target_network": True}
SETTINGS = {
    "iq": [
        (DISCRETE, ONLINE | LEARNED | {"excess_entropy": True, "terminal": "absorbing"}),
        (BOX, {"divergence": "w1", "gradient_penalty": 10.0, "learn_std": True}),
        (BOX, ONLINE | {"state_only": True, "infer_actions": True}),
        (DISCRETE, ON_POLICY),
    ],
    "bc": [(DISCRETE, {}), (BOX, {"learn_std": True}), (BOX, {"policy_class": "sac"})],
    "regularized_bc": [(DISCRETE, {})],
    "value_dice": [(DISCRETE, {}), (BOX, ONLINE | {"gradient_penalty": 10.0})],
    "avril": [(DISCRETE, {})],
    "edm": [(DISCRETE, {"chain_count": 20})],
    "rl": [(DISCRETE, ONLINE | LEARNED | {"excess_entropy": True}), (BOX, ONLINE)],
    "ppo": [(DISCRETE, ON_POLICY), (BOX, ON_POLICY)],
    "pqn": [(DISCRETE, ON_POLICY)],
    "sqil": [(DISCRETE, ONLINE | LEARNED), (BOX, ONLINE | {"terminal": "absorbing"}), (BOX, ON_POLICY)],
    "pwil": [(DISCRETE, ONLINE | LEARNED), (BOX, ONLINE | {"reward_input": "state", "anchor": 1.0})],
    "adril": [(DISCRETE, ONLINE | LEARNED), (BOX, ONLINE | {"terminal": "absorbing"})],
    "dac": [
        (DISCRETE, ONLINE | LEARNED | {"gradient_penalty": 1.0}),
        (BOX, ONLINE | {"terminal": "absorbing"}),
        (DISCRETE, ON_POLICY),
    ],
    "gail": [(DISCRETE, ON_POLICY | {"gradient_penalty": 1.0}), (BOX, ON_POLICY | {"terminal": "absorbing"})],
    "airl": [(DISCRETE, ON_POLICY | {"gradient_penalty": 1.0}), (BOX, ON_POLICY | {"terminal": "absorbing"})],
    "asaf": [(DISCRETE, ON_POLICY | {"window": WINDOW}), (BOX, ON_POLICY | {"window": WINDOW})],
    "max_entropy_deep": [(DISCRETE, ONLINE | LEARNED), (BOX, ONLINE | {"terminal": "absorbing"})],
    "max_entropy": [(TABLE, {})],
    "max_margin": [(TABLE, {})],
    "lstd_mu": [(DISCRETE, {}), (TABLE, {"reward_input": "state"})],
    "dsfn": [(DISCRETE, {"target_network": True}), (DISCRETE, {"reward_input": "state"})],
    "max_likelihood": [(TABLE, {})],
    "max_entropy_dynamics": [(TABLE, {})],
}


class RecordedConfig:
    """A configuration that remembers which of its keys were read; those of the grid count as the keys."""

    def __init__(self, node, reads, prefix=""):
        self._node, self._reads, self._prefix = node, reads, prefix

    def __getitem__(self, name):
        value = self._node[name]
        if isinstance(value, ConfigDict):
            return RecordedConfig(value, self._reads, "" if name == "grid" else f"{name}.")
        self._reads.add(self._prefix + name)
        return value

    __getattr__ = __getitem__

    def get(self, name, default):
        return self[name] if name in self._node else default


class RecordedHparams(dict):
    """Hyperparameters that remember which of them were read; not those that a method puts in their place."""

    def __init__(self, leaves, reads, replaced=frozenset()):
        super().__init__(leaves)
        self.reads, self.replaced = reads, replaced

    def __getitem__(self, name):
        if name not in self.replaced:
            self.reads.add(name)
        return super().__getitem__(name)

    def __or__(self, other):
        return RecordedHparams({**self, **other}, self.reads, self.replaced | other.keys())


def batch_of(config, spec):
    expert, policy = (jax.tree.map(jnp.asarray, random_rows(spec, ROWS, seed)) for seed in (0, 1))
    rest = {"initial": expert.obs, "next_action": expert.action}
    if config.feed == "demos":
        return Batch(expert=expert, **rest)
    if config.method == "adril":
        policy = RoundTransition(**vars(policy), round=jnp.zeros(ROWS, jnp.int32))
    if config.method == "asaf":
        expert = jax.tree.map(lambda x: x.reshape(-1, WINDOW, *x.shape[1:]), expert)
    if config.feed == "rollout":
        policy = jax.tree.map(lambda x: x[:, None], policy)
    return Batch(expert=expert, policy=policy, **rest)


def reads_of(method, spec, changes):
    """(keys with `of_method` that are read when the method is made, learns, acts and rewards; shapes of its
    state before and after an update by RMS, where an optimiser can be given); nothing runs.
    """
    sizes = {"hidden": (4,), "batch_size": ROWS, "features": 4, "online__rollout_steps": ROWS}
    config, reads, entry = configure(method=method, **sizes | changes), set(), METHODS[method]
    parts = [make_parts(config, spec, entry, None, RMS)] if "optimizer" in entry.parts else []
    made = entry.make(RecordedConfig(config, reads), spec, *parts)
    hparams = RecordedHparams(hyper(config, spec), reads)
    batch, key = batch_of(config, spec), jax.random.key(0)
    rows = jax.tree.map(jnp.asarray, random_rows(spec, ROWS, 2))

    def everything(key):
        before = made.init(key, hparams)
        state, _ = made.update(hparams, before, batch, jax.random.key(1))
        rewards = None if made.reward is None else made.reward(hparams, state, rows, jax.random.key(2))
        end = None if made.end_reward is None else made.end_reward(hparams, state)
        value = None if made.value is None else made.value(hparams, state, rows.obs, jax.random.key(3))
        action = made.act(hparams, state, rows.obs, jax.random.key(4), False)
        return before, state, action, rewards, end, value

    before, after, *_ = jax.eval_shape(everything, key)
    return {name for name in reads if name in KEYS and KEYS[name].of_method}, before, after


@pytest.mark.parametrize("method", SETTINGS)
def test_methods_read_the_keys_that_they_declare_and_no_other(method):
    """And move every network by the optimiser that is given."""
    entry, reads = METHODS[method], []
    for setting in SETTINGS[method]:
        read, before, after = reads_of(method, *setting)
        assert read <= entry.keys | entry.refuses  # refused ones have their defaults
        assert jax.tree.structure(after) == jax.tree.structure(before)
        if "optimizer" in entry.parts:
            no_adam_but_the_temperatures(after)
        reads.append(read)
    used_elsewhere = DEMOS | {"reward_path", "data.path"}
    assert entry.keys - used_elsewhere <= set.union(*reads)
    assert not entry.keys & entry.refuses


def no_adam_but_the_temperatures(state):
    kinds = {field: type(value) for field, value in vars(state).items() if field.split("_")[-1] == "opt"}
    assert kinds.pop("temperature_opt", optax.ScaleByAdamState) is optax.ScaleByAdamState
    assert kinds and set(kinds.values()) == {optax.ScaleByRmsState}


def test_the_catalogue_is_complete_and_says_what_is_in_it():
    assert METHODS.keys() == SETTINGS.keys()
    assert {name for entry in METHODS.values() for name in entry.keys} == {
        name for name, key in KEYS.items() if key.of_method
    }
    for name, entry in METHODS.items():
        assert (name in catalogue.FORWARD_RL) == (not entry.keys & DEMOS) == ("reward_path" in entry.keys)
        assert 20 < len(entry.meaning) <= 110 and "\n" not in entry.meaning and "20" in entry.meaning
        assert entry.parts <= {"critic", "actor", "optimizer"} and entry.feeds <= {
            "demos",
            "replay",
            "rollout",
        }


@pytest.mark.parametrize(
    ("method", "name"),
    [(method, name) for method, entry in METHODS.items() for name in sorted(entry.refuses)],
)
def test_refused_keys_must_have_their_defaults(method, name):
    feed, spec = min(METHODS[method].feeds), SETTINGS[method][0][0]
    default = KEYS[name].default
    config = configure(method=method, feed=feed, **{name: not default if default is False else default + 1})
    with pytest.raises(InputError, match=f"config.{name} is .*'{method}'.*--config.{name}={default}"):
        make_method(config, spec)


def test_unknown_methods_list_near_ones():
    with pytest.raises(InputError, match=r"unknown method 'value_dise'; did you mean .*value_dice"):
        METHODS["value_dise"]


# Keys that were set on purpose ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "names", "message"),
    [
        (
            {"method": "bc", "alpha": 0.1},
            ["alpha"],
            "config.alpha is 0.1, but method 'bc' .* iq, max_",
        ),
        ({"method": "bc", "grid__gamma": (0.9, 0.99)}, ["grid.gamma"], r"config.grid.gamma is \(0.9, 0.99\)"),
        ({"method": "rl", "feed": "replay"}, ["demos.path"], "config.demos.path is '', but method 'rl'"),
        ({"critics": 2, "method": "avril"}, ["critics"], "near keys that 'avril' reads: critic_lr"),
        (
            {},
            ["online.num_envs"],
            "config.online.num_envs is 1, but config.feed 'demos' .*--config.feed=replay or",
        ),
        ({"feed": "rollout", "method": "ppo"}, ["online.capacity"], "'rollout' .*--config.feed=replay$"),
        ({"target_rate": 0.1}, ["target_rate"], "while config.target_network is False; set .*=True$"),
        (
            {"grid__temperature_lr": (0.1,)},
            ["grid.temperature_lr"],
            "while config.learn_temperature is False",
        ),
        ({"absorbing_entropy": True}, ["absorbing_entropy"], "'zero'; set --config.terminal=absorbing$"),
        ({}, ["alhpa"], "unknown config key 'alhpa'; did you mean .*alpha"),
    ],
)
def test_keys_that_nothing_reads_are_refused(changes, names, message):
    with pytest.raises(InputError, match=message) as caught:
        check_keys(configure(**changes), names)
    assert "\n" not in str(caught.value)


def test_keys_that_are_read_are_not():
    check_keys(configure(method="bc", feed="demos"), ["critic_lr", "grid.critic_lr", "seeds", "demos.path"])
    config = configure(method="rl", feed="replay", target_network=True, target_rate=0.1)
    check_keys(config, ["online.num_envs", "reward_path", "target_rate", "target_entropy"])


@pytest.mark.parametrize(
    ("changes", "name", "spec", "message"),
    [
        (
            {"actor_lr": 1e-3},
            "actor_lr",
            DISCRETE,
            "config.actor_lr is 0.001, but .*read off Q; leave it out$",
        ),
        ({"method": "dac", "feed": "replay"}, "actor_lr", DISCRETE, "config.actor_lr is 0.0003"),
        ({}, "grid.policy_std", DISCRETE, "config.grid.policy_std .* discrete"),
        ({}, "actor_lr", BOX, "config.actor_lr is 0.0003, but policy class 'gaussian_q'"),
        ({"policy_class": "sac"}, "learn_std", BOX, "config.learn_std is False, but policy class 'sac'"),
    ],
)
def test_keys_that_only_another_kind_of_policy_reads_are_refused(changes, name, spec, message):
    with pytest.raises(InputError, match=message):
        check_policy_keys(configure(**changes), ["seeds", name], spec)


def test_keys_that_a_policy_reads_are_not():
    check_policy_keys(configure(policy_class="sac"), ["actor_lr", "policy_class", "critic_lr"], BOX)
    check_policy_keys(configure(), ["policy_std", "grid.policy_std", "learn_std"], BOX)
    check_policy_keys(configure(method="ppo", feed="rollout"), ["actor_lr"], DISCRETE)  # has an actor


# Methods of one's own -------------------------------------------------------------------------------------


@pytest.fixture
def clean():
    """Leaves catalogue and table as they were."""
    methods, keys, added = dict(METHODS), dict(KEYS), dict(catalogue._ADDED)
    yield
    for known, before in ((METHODS, methods), (KEYS, keys), (catalogue._ADDED, added)):
        known.clear()
        known.update(before)


def make_shrinking(config, spec):
    """Its one parameter shrinks by the share `shrink`, `times` times an update."""

    def init(key, hparams):
        return jnp.ones(())

    def update(hparams, state, batch, key):
        return state * (1.0 - hparams["shrink"]) ** config.times, {"loss": state}

    def act(hparams, state, obs, key, deterministic=False):
        return jnp.zeros(obs.shape[0], jnp.int32)

    return Method(init, update, act, None)


SHRINK = {
    "shrink": Key(0.5, "share", 0.0, 1.0, traced=True),
    "times": Key(2, "how often", 1, of_method=True),
    "critic_lr": None,
}


def test_a_registered_method_brings_its_keys(clean):
    before = base_config()
    for _ in range(2):  # a notebook's cell that runs twice
        register_method("shrinking", make_shrinking, SHRINK, feeds=["demos"], meaning="shrinks")
    assert "shrink" in traced_keys() and KEYS["shrink"].of_method
    assert METHODS["shrinking"].keys == DEMOS | {"shrink", "times", "critic_lr"}
    before.method = "shrinking"
    with pytest.raises(InputError, match=r"config.shrink is missing: .*; make it anew"):
        make_method(before, DISCRETE)
    before.method = "iq"  # whom the new key does not concern
    check(before)
    assert "shrink" not in make_method(before, DISCRETE).defaults
    config = configure(method="shrinking", times=3)
    check_keys(config, ["shrink", "grid.shrink", "times", "critic_lr"])
    with pytest.raises(InputError, match=r"'shrinking' does not read it"):
        check_keys(config, ["alpha"])
    method = make_method(config, DISCRETE)
    state, _ = method.update({"shrink": 0.1}, method.init(None, {}), None, None)
    assert float(state) == pytest.approx(0.9**3)
    state, _ = method.update({}, method.init(None, {}), None, None)
    assert float(state) == pytest.approx(0.5**3)
    with pytest.raises(InputError, match=r"config.times is 0; expected a number in \[1, inf\]"):
        make_method(configure(method="shrinking", times=0), DISCRETE)
    with pytest.raises(InputError, match="learns from demos"):
        make_method(configure(method="shrinking", feed="replay"), DISCRETE)


def test_a_registered_method_may_change_its_keys_but_no_others(clean):
    register_method("shrinking", make_shrinking, SHRINK)
    register_method("shrinking", make_shrinking, SHRINK | {"times": Key(1, "how often", 1)})
    assert KEYS["times"].default == 1 and KEYS["times"].of_method
    register_method("other", make_shrinking, ["shrink", "times"])
    with pytest.raises(InputError, match="'times' of method 'other' exists with another row"):
        register_method("other", make_shrinking, {"times": Key(5, "hours")})
    with pytest.raises(InputError, match="'alpha' of method 'other' exists with another row"):
        register_method("other", make_shrinking, {"alpha": Key(5.0, "its own")})
    with pytest.raises(
        InputError, match=r"unknown config key of method 'other' 'critic_rl'; did you mean crit"
    ):
        register_method("other", make_shrinking, ["critic_rl"])
    with pytest.raises(InputError, match="'iq' is one of the library's own"):
        register_method("iq", make_shrinking, [])
    assert METHODS["other"].keys == DEMOS | {"shrink", "times"}


# Hyperparameters ------------------------------------------------------------------------------------------


def test_hyperparameters_have_the_configurations_values_unless_they_are_given():
    config = configure(gamma=0.9, hidden=(4,), whiten=True)
    method = make_method(config, DISCRETE)
    hparams = method.hparams(gamma=0.8)
    assert hparams.keys() == {*traced_keys(), "obs_mean", "obs_std", "obs_turn"}
    assert all(isinstance(x, jax.Array) and x.dtype == jnp.float32 for x in hparams.values())
    assert float(hparams["gamma"]) == pytest.approx(0.8) and float(method.defaults["gamma"]) == pytest.approx(
        0.9
    )
    np.testing.assert_array_equal(hparams["obs_turn"], np.eye(2))
    batch = batch_of(config, DISCRETE)

    def learned(given):
        state = method.init(jax.random.key(0), given)
        state, metrics = jax.jit(method.update)(given, state, batch, jax.random.key(1))
        rest = (
            method.reward(given, state, batch.expert, jax.random.key(2)),
            method.value(given, state, batch.expert.obs, jax.random.key(3)),
        )
        action = method.act(given, state, batch.expert.obs, jax.random.key(4), deterministic=True)
        return jax.tree.leaves((state, metrics, rest, action))

    for a, b in zip(learned({"gamma": 0.8}), learned(hparams), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("whole", [True, False])
def test_unknown_hyperparameters_are_refused_before_anything_runs(whole):
    method = make_method(configure(hidden=(4,)), DISCRETE)
    with pytest.raises(InputError, match=r"unknown hyperparameter 'critic_rate'; did you mean .*critic_lr"):
        method.hparams(critic_rate=0.1)
    given = (method.hparams() if whole else {}) | {"gama": jnp.float32(0.9)}
    with pytest.raises(InputError, match=r"unknown hyperparameter 'gama'; did you mean .*gamma"):
        jax.eval_shape(method.init, jax.random.key(0), given)
    state = method.init(jax.random.key(0), {})
    with pytest.raises(InputError, match="unknown hyperparameter 'gama'"):
        jax.eval_shape(lambda h: method.act(h, state, jnp.zeros((1, 2)), jax.random.key(1), True), given)
