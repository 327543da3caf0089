"""Environments by name: which backend, what its arguments do, registered ones, never a stale class."""

import importlib.util
import subprocess
import sys

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.config.values import base_config
from iqlearn_jax.envs import api
from iqlearn_jax.envs.api import Environment, Step
from iqlearn_jax.envs.host import HostEnvs, evaluate_host
from iqlearn_jax.envs.registry import (
    BACKENDS,
    ENVIRONMENTS,
    from_gymnax,
    handle_from_spec,
    list_envs,
    open_by_name,
    open_env,
    register_env,
    resolve_backend,
    spec_from_spaces,
)
from iqlearn_jax.errors import InputError
from iqlearn_jax.loops.host import random_play
from iqlearn_jax.training.evaluation import random_return
from iqlearn_jax.training.problem import make_loop, make_problem
from iqlearn_jax.types import EnvSpec
from tests.common import made_up_config


class Walk(gymnasium.Env):
    """A counter; each step is worth `gain`."""

    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, gain=1.0, dim=1):
        self.gain = gain
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (dim,), np.float32)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.obs(), {}

    def step(self, action):
        self.steps += 1
        return self.obs(), self.gain, False, self.steps == 7, {}

    def obs(self):
        return np.full(self.observation_space.shape, self.gain * self.steps, np.float32)


class Doubled(gymnasium.ObservationWrapper):
    def __init__(self, env):
        super().__init__(env)
        low, high = np.tile(env.observation_space.low, 2), np.tile(env.observation_space.high, 2)
        self.observation_space = gymnasium.spaces.Box(low, high)

    def observation(self, observation):
        return np.tile(observation, 2)


class Negated(gymnasium.ObservationWrapper):
    def observation(self, observation):
        return -observation


@pytest.fixture(autouse=True)
def as_before():
    """Leaves both registries as they were."""
    ours, theirs = dict(ENVIRONMENTS), dict(gymnasium.registry)
    yield
    for registry, entries in ((ENVIRONMENTS, ours), (gymnasium.registry, theirs)):
        registry.clear()
        registry.update(entries)


def returns(handle):
    played = evaluate_host(handle, lambda obs: np.zeros(obs.shape[:2], int), [0], 2)
    return played.returns.ravel().tolist()


@pytest.mark.parametrize(
    ("env_id", "backend"),
    [
        ("CartPole-v1", "gymnax"),
        ("FourRooms", "gridworld"),
        ("Gridworld-3x7", "gridworld"),
        ("Hopper-v5", "gymnasium"),
        ("LunarLander-v3", "gymnasium"),
        ("ALE/Pong-v5", "gymnasium"),
        ("module:Name-v0", "gymnasium"),
    ],
)
def test_auto_takes_the_device_before_the_host(env_id, backend):
    if backend == "gymnax":
        pytest.importorskip("gymnax")
    assert resolve_backend(env_id, "auto") == backend


def test_auto_takes_a_registered_name_first_and_gymnasium_without_gymnax(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnax", None)
    assert resolve_backend("CartPole-v1", "auto") == "gymnasium"
    register_env("CartPole-v1", Walk)
    assert resolve_backend("CartPole-v1", "auto") == "registered"
    assert resolve_backend("CartPole-v1", "gymnasium") == "gymnasium"


@pytest.mark.parametrize(
    ("env_id", "backend", "hint"),
    [
        ("CartPol-v1", "gymnax", "did you mean CartPole-v1"),
        ("CartPol-v1", "auto", "did you mean CartPole-v1"),
        ("hoper", "auto", "did you mean hopper"),
        ("hoper", "spring", "did you mean hopper"),
        ("hopper", "auto", "set env.backend to one of spring, positional, generalized, mjx"),
        ("xyzzyxyzzy", "auto", "iqlearn list envs"),
        ("Gridworld-0x8", "gridworld", "did you mean Gridworld-"),
        ("Gridworld-900x900", "auto", "unknown gridworld"),
        ("hopper", "sprng", "did you mean spring"),
        ("swimmer", "spring", "Unsupported backend"),
        ("Hoper-v5", "gymnasium", "did you mean.* Hopper-v5"),
        ("CartPole-v9", "gymnasium", "did you mean.* CartPole-v1"),
        ("no id!", "gymnasium", "unknown gymnasium environment"),
        ("Hopper-v2", "gymnasium", r"pip install iqlearn_jax\[mujoco\]"),
        ("walk", "registered", r"not registered here \(none is\); import the module"),
        ("walk", "none", "no simulator"),
    ],
)
def test_unusable_names(env_id, backend, hint):
    ENVIRONMENTS.clear()
    with pytest.raises(InputError, match=hint):
        open_by_name(env_id, backend)


def test_same_arguments_give_the_same_handle():
    assert open_by_name("CartPole-v1", "gymnax") is open_by_name("CartPole-v1")
    assert open_by_name("CartPole-v1", "gymnasium") is open_by_name("CartPole-v1", "gymnasium")
    config = base_config()
    assert open_env(config.env) is open_by_name("CartPole-v1")
    assert open_by_name("CartPole-v1") is not open_by_name("CartPole-v1", kwargs={"max_episode_steps": 9})


@pytest.mark.parametrize(
    ("env_id", "backend", "more"),
    [
        ("CartPole-v1", "gymnax", {}),
        ("CartPole-v1", "gymnasium", {"sutton_barto_reward": True}),
        ("FourRooms", "gridworld", {}),
    ],
)
def test_a_time_limit_among_the_arguments(env_id, backend, more):
    handle = open_by_name(env_id, backend, {"max_episode_steps": 13} | more)
    assert handle.spec.max_episode_steps == 13
    if handle.device is None:
        return
    state = api.start(handle.device, jax.random.key(0)).replace(steps=jnp.int32(12))
    assert api.advance(handle.device, state, jnp.int32(0), jax.random.key(1))[1].truncated
    assert open_by_name(env_id, backend).spec.max_episode_steps != 13


def test_arguments_reach_what_makes_the_environment():
    with_reward = open_by_name("CartPole-v1", "gymnasium", {"sutton_barto_reward": True})
    assert with_reward.new(1)[0].unwrapped._sutton_barto_reward
    assert open_by_name("Catch-bsuite", "gymnax", {"rows": 6}).spec.obs_shape == (6, 5)
    register_env("walk", Walk)
    assert open_by_name("walk", kwargs={"dim": 3}).spec.obs_shape == (3,)


@pytest.mark.slow
def test_arguments_of_brax():
    handle = open_by_name("hopper", "spring", {"exclude_current_positions_from_observation": False})
    assert handle.spec.obs_shape == (12,)


@pytest.mark.parametrize(
    ("env_id", "backend", "kwargs"),
    [
        ("CartPole-v1", "gymnax", {"no": 1}),
        ("CartPole-v1", "gymnasium", {"no": 1}),
        ("FourRooms", "gridworld", {"no": 1}),
        ("walk", "registered", {"no": 1}),
        ("CartPole-v1", "gymnax", {"max_episode_steps": 0}),
        ("CartPole-v1", "gymnasium", {"max_episode_steps": "9"}),
    ],
)
def test_arguments_that_it_does_not_take(env_id, backend, kwargs):
    register_env("walk", Walk)
    with pytest.raises(InputError, match=r"env\.kwargs"):
        open_by_name(env_id, backend, kwargs)


def test_wrappers_from_the_innermost():
    register_env("walk", Walk)
    names = [f"{__name__}:{wrapper.__name__}" for wrapper in (Doubled, Negated)]
    handle = open_by_name("walk", wrappers=names)
    assert handle.spec.obs_shape == (2,)
    assert HostEnvs(handle, [0], 1).step(np.zeros((1, 1), int)).next_obs.tolist() == [[[-1.0, -1.0]]]
    assert type(handle.new(1)[0]) is Negated
    config = base_config()
    config.env.id, config.env.backend, config.env.wrappers = "CartPole-v1", "gymnasium", (names[0],)
    assert open_env(config.env).spec.obs_shape == (8,)


def test_wrappers_that_cannot_be():
    with pytest.raises(InputError, match="'CartPole-v1' is simulated on the device"):
        open_by_name("CartPole-v1", "gymnax", wrappers=["gymnasium.wrappers:FlattenObservation"])
    for name in ("gymnasium.wrappers:No", "no_such_module:No", "FlattenObservation"):
        with pytest.raises(InputError, match="expected 'module:Name'"):
            open_by_name("CartPole-v1", "gymnasium", wrappers=[name])


def edited(gain):
    """The class as a notebook's cell has it after an edit."""
    return type("Edited", (Walk,), {"__init__": lambda self: Walk.__init__(self, gain)})


@pytest.mark.parametrize("where", ["ours", "gymnasium"])
def test_a_class_that_is_registered_again_replaces_the_old_one(where):
    def opened(gain):
        if where == "ours":
            register_env("edited", edited(gain))
            return open_by_name("edited")
        gymnasium.registry.pop("Edited-v0", None)
        gymnasium.register("Edited-v0", edited(gain), max_episode_steps=5)
        return open_by_name("Edited-v0")

    first = opened(1.0)
    steps = 7 if where == "ours" else 5
    assert returns(first) == [steps] * 2
    second = opened(3.0)
    assert second is not first
    assert returns(second) == [3.0 * steps] * 2
    assert HostEnvs(second, [0], 1).step(np.zeros((1, 1), int)).reward == 3.0
    assert returns(first) == [steps] * 2  # who holds the old one keeps the old class


def test_a_wrapper_that_is_edited_is_used_afresh(monkeypatch):
    def opened(gain):
        if gain is not None:
            paid = {"reward": lambda self, reward: gain * reward}
            cell = type("Paid", (gymnasium.RewardWrapper,), paid)
            monkeypatch.setattr(sys.modules[__name__], "Paid", cell, raising=False)
        return open_by_name("walk", wrappers=[f"{__name__}:Paid"])

    register_env("walk", Walk)
    first = opened(2.0)
    assert opened(None) is first and returns(first) == [14.0] * 2
    second = opened(5.0)
    assert second is not first and returns(second) == [35.0] * 2
    assert HostEnvs(second, [0], 1).step(np.zeros((1, 1), int)).reward == 5.0
    assert returns(first) == [14.0] * 2  # who holds the old one keeps the old class


def test_training_evaluation_and_random_play_use_the_class_of_now():
    config = made_up_config("rl", "replay", "edited", online__learning_starts=20)
    for gain in (1.0, 3.0):
        register_env("edited", edited(gain))
        problem = make_problem(config)
        assert random_return(problem) == 7 * gain
        assert random_play(problem.handle).max() == 6 * gain
        np.testing.assert_allclose(problem.hparams["obs_mean"], 3 * gain, rtol=0.05)
        loop = make_loop(problem)
        run = loop.init(*problem.inputs)  # 10 steps of random play in each environment
        np.testing.assert_array_equal(run.env["last_return"], np.full((3, 2), 7 * gain))
        np.testing.assert_array_equal(run.env["episode_return"], np.full((3, 2), 3 * gain))


def test_a_device_environment_that_is_registered_again():
    register_env("line", lambda: line(1.0))
    first = open_by_name("line")
    assert first is open_by_name("line") and first.backend == "registered"
    register_env("line", lambda: line(2.0))
    assert open_by_name("line").device is not first.device


def line(gain):
    spec = EnvSpec("line", (1,), np.dtype(np.float32), 2, None, None, 4)
    step = lambda state, action, key: Step(state, state, jnp.float32(gain), jnp.bool_(False))  # noqa: E731
    return Environment(spec, lambda key: (jnp.zeros(1), jnp.zeros(1)), step)


def test_a_factory_may_make_what_gymnasium_or_gymnax_make():
    gymnax = pytest.importorskip("gymnax")
    register_env("limited", lambda: gymnasium.make("CartPole-v1", max_episode_steps=11))
    assert open_by_name("limited").spec.max_episode_steps == 11
    register_env("pair", lambda: gymnax.make("CartPole-v1"))
    register_env("object", lambda: gymnax.make("CartPole-v1")[0])
    theirs = open_by_name("CartPole-v1", "gymnax").spec
    for name in ("pair", "object"):
        handle = open_by_name(name)
        assert handle.device is not None and handle.spec.id == name
        assert handle.spec._replace(id=theirs.id) == theirs


def test_a_factory_that_names_the_time_limit_gets_it():
    seen = []
    register_env("takes", lambda max_episode_steps=3: seen.append(max_episode_steps) or Walk())
    assert open_by_name("takes", kwargs={"max_episode_steps": 5}).spec.max_episode_steps == 5
    assert seen == [5]


def test_factories_that_cannot_be():
    with pytest.raises(InputError, match="expected a function or class"):
        register_env("walk", Walk())
    register_env("walk", lambda: 3)
    with pytest.raises(InputError, match="its factory returned a int; expected an Environment"):
        open_by_name("walk")
    one = Walk()
    register_env("walk", lambda: one)
    with pytest.raises(InputError, match="returned the same environment twice"):
        HostEnvs(open_by_name("walk"), [0], 2)


class Plane:
    """An environment in gymnax's style: a point moves by what it is told, within a time limit of 9."""

    def __init__(self):
        self.default_params = type("Params", (), {"max_steps_in_episode": 9})()

    def reset_env(self, key, params):
        place = jax.random.uniform(key, (2,))
        return place, place

    def step_env(self, key, state, action, params):
        place = state + action
        return place, place, -jnp.sum(place), place[0] > 2, {}

    def action_space(self, params):
        return gymnasium.spaces.Box(-1, 1, (2,))

    def observation_space(self, params):
        return gymnasium.spaces.Box(-np.inf, np.inf, (2,))


def test_an_object_in_the_style_of_gymnax():
    env = from_gymnax(Plane())
    assert (env.spec.id, env.spec.obs_shape, env.spec.max_episode_steps) == ("Plane", (2,), 9)
    state = api.start(env, jax.random.key(0))
    _, seen = api.advance(env, state, jnp.array([5.0, 0.5]), jax.random.key(1))
    np.testing.assert_array_equal(seen.action, [1.0, 0.5])
    np.testing.assert_allclose(seen.next_obs, state.obs + seen.action)
    with pytest.raises(InputError, match="not in gymnax's style"):
        from_gymnax(Walk())


def test_spaces_alone_are_enough_to_learn_offline():
    walk = Walk(dim=3)
    spec = spec_from_spaces(walk.observation_space, walk.action_space, "mine", 50)
    assert (spec.id, spec.obs_shape, spec.num_actions, spec.max_episode_steps) == ("mine", (3,), 2, 50)
    handle = handle_from_spec(spec)
    assert (handle.backend, handle.device, handle.make) == ("none", None, None)
    with pytest.raises(InputError, match=r"'mine' \(backend 'none'\) has no simulator"):
        returns(handle)


def test_environments_are_used_again_but_not_after_a_crash():
    register_env("walk", Walk)
    handle = open_by_name("walk")
    with handle.borrowed(2) as envs:
        first = {id(env) for env in envs}
    with handle.borrowed(2) as envs:
        assert {id(env) for env in envs} == first
    with pytest.raises(ZeroDivisionError), handle.borrowed(2):
        raise ZeroDivisionError
    with handle.borrowed(2) as again:
        assert not any(env in again for env in envs)


def gymnax_is_here():
    return importlib.util.find_spec("gymnax") is not None


def test_list():
    register_env("walk", Walk)
    names = list_envs()
    assert set(names) == set(BACKENDS)
    assert "walk" in names["registered"] and "hopper" in names["mjx"] and "FourRooms" in names["gridworld"]
    assert "CartPole-v1" in names["gymnasium"] and ("CartPole-v1" in names["gymnax"]) == gymnax_is_here()
    if not gymnasium.__version__.startswith("1.1."):  # which has it still, for mujoco-py
        assert "Hopper-v2" not in names["gymnasium"]


def test_missing_packages_name_their_extras(monkeypatch):
    modules = sys.modules
    monkeypatch.setitem(modules, "gymnax", None)
    with pytest.raises(InputError, match=r"pip install iqlearn_jax\[gymnax\]"):
        open_by_name("Acrobot-v1", "gymnax", {"max_episode_steps": 3})
    monkeypatch.setitem(modules, "Box2D", None)
    for name in [name for name in modules if name.startswith("gymnasium.envs.box2d")]:
        monkeypatch.delitem(modules, name)
    with pytest.raises(InputError, match=r"pip install iqlearn_jax\[box2d\]"):
        open_by_name("LunarLander-v3")
    monkeypatch.setitem(modules, "ale_py", None)
    with pytest.raises(InputError, match=r"pip install iqlearn_jax\[atari\]"):
        open_by_name("ALE/Pong-v5")


def test_a_module_that_registers_with_gymnasium_is_named_before_the_id(tmp_path, monkeypatch):
    (tmp_path / "own_walk.py").write_text(
        "import gymnasium\n"
        "place = 'gymnasium.envs.classic_control:CartPoleEnv'\n"
        "gymnasium.register('OwnWalk-v0', place, max_episode_steps=7)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = open_by_name("own_walk:OwnWalk-v0").spec
    assert (spec.id, spec.max_episode_steps) == ("own_walk:OwnWalk-v0", 7)
    with pytest.raises(InputError, match=r"no_such_module.*PYTHONPATH"):
        open_by_name("no_such_module:OwnWalk-v0")
    with pytest.raises(InputError, match="own_walk:Other-v0"):
        open_by_name("own_walk:Other-v0")


def test_imports_load_no_more_than_they_need_and_say_nothing():
    """The registry no simulator, training no statistics before its end; brax would talk."""
    code = (
        "import sys, iqlearn_jax.envs.registry\n"
        "print(sorted({'brax', 'gymnax', 'gymnasium', 'mujoco'} & {*sys.modules}))\n"
        "import iqlearn_jax.cli.main, iqlearn_jax.training.train\n"
        "print('scipy.stats' in sys.modules)\n"
        "import iqlearn_jax.rewards.brax, iqlearn_jax.envs.brax"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == "[]\nFalse\n"


def test_an_environment_that_was_an_object_is_asked_for_by_name():
    with pytest.raises(InputError, match=r"object of the program that trained.*evaluate --env=NAME"):
        open_by_name("given:Walk", "registered")
