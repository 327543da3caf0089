"""Simulators that do not come back are ended wherever they are asked for something."""

import time

import gymnasium
import numpy as np
import pytest

from iqlearn_jax.envs.host import HostEnvs
from iqlearn_jax.envs.registry import ENVIRONMENTS, open_by_name, register_env
from iqlearn_jax.errors import SimulatorError

NAP = 120  # seconds; what is not ended fails by its time


class Sleepy(gymnasium.Env):
    """Sleeps in the calls (name, number) that `hangs` holds, counted over all of its kind."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    hangs, calls, info = (), {}, {}

    def __init__(self):
        self.count("make")

    def count(self, name):
        Sleepy.calls[name] = Sleepy.calls.get(name, 0) + 1
        if (name, Sleepy.calls[name]) in Sleepy.hangs:
            time.sleep(NAP)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.count("reset")
        return np.zeros(2, np.float32), dict(Sleepy.info)

    def step(self, action):
        self.count("step")
        return np.zeros(2, np.float32), 1.0, False, False, {}


class Tired(gymnasium.Wrapper):
    def __init__(self, env):
        super().__init__(env)
        time.sleep(NAP)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """And whoever waits until the simulator wakes has failed."""
    before = dict(ENVIRONMENTS)
    monkeypatch.setattr("iqlearn_jax.envs.failing.PATIENCE", 0.6)
    for name, value in (("hangs", ()), ("calls", {}), ("info", {})):
        monkeypatch.setattr(Sleepy, name, value)
    register_env("sleepy", lambda: Sleepy())
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < NAP / 2
    ENVIRONMENTS.clear()
    ENVIRONMENTS.update(before)


def opened():
    return open_by_name("sleepy", kwargs={"max_episode_steps": 6})


def hangs(*calls):
    """From now on, in the calls that are counted from here."""
    Sleepy.calls, Sleepy.hangs = {}, calls


@pytest.mark.parametrize(
    ("call", "where"),
    [("make", "when it was made"), ("reset", "at its first reset"), ("step", "at its first step")],
)
def test_when_it_is_opened(call, where):
    hangs((call, 1))
    with pytest.raises(SimulatorError, match=f"environment 'sleepy' has not come back {where}"):
        opened()


def test_when_it_is_made_by_gymnasium(monkeypatch):
    hangs(("make", 1))
    monkeypatch.setitem(
        gymnasium.registry, "Sleepy-v0", gymnasium.envs.registration.EnvSpec("Sleepy-v0", Sleepy)
    )
    with pytest.raises(SimulatorError, match="'Sleepy-v0' has not come back when it was made"):
        open_by_name("Sleepy-v0", "gymnasium")


def test_when_it_is_wrapped():
    with pytest.raises(SimulatorError, match="'sleepy' has not come back when it was wrapped"):
        open_by_name("sleepy", wrappers=[f"{__name__}:Tired"])


@pytest.mark.parametrize("call", [("reset", 2), ("step", 2)])
def test_when_its_mask_is_tried(call):
    Sleepy.info = {"action_mask": np.int8([0, 1])}
    hangs(call)
    with pytest.raises(SimulatorError, match="'sleepy' has not come back at its first"):
        opened()


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (("make", 2), "when it was made"),
        (("reset", 2), r"at the reset of episode 0 \(seed 7, environment 1\)"),
    ],
)
def test_when_simulators_are_made_for_training(call, where):
    handle = opened()
    hangs(call)
    with pytest.raises(SimulatorError, match=f"has not come back {where}"):
        HostEnvs(handle, [7], 2)


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (("reset", 1), r"at the reset of episode 0 \(seed 7, environment 0\)"),
        (("step", 5), r"at step 2 of episode 0 \(seed 7, environment 1\)"),
    ],
)
def test_when_a_state_is_restored_and_another_try_succeeds(call, where):
    envs = HostEnvs(opened(), [7], 2)
    for _ in range(3):
        envs.step(np.zeros((1, 2), int))
    saved = envs.state()
    hangs(call)
    with pytest.raises(SimulatorError, match=f"has not come back {where}"):
        envs.restore(saved)
    assert envs.watch.since is None
    hangs()
    envs.restore(saved)
    for name, leaf in envs.state().items():
        np.testing.assert_array_equal(leaf, saved[name])


def test_a_patient_start_is_not_ended():
    """Each request has the time for itself."""
    handle = opened()

    def slow(env):
        reset = env.reset
        env.reset = lambda **options: time.sleep(0.2) or reset(**options)
        return env

    made = handle.make
    object.__setattr__(handle, "make", lambda: slow(made()))
    assert HostEnvs(handle, [7], 5).obs.shape == (1, 5, 2)
