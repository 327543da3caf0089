"""One reset and one step before anything is learned: what an environment returns is what it declares."""

import ast
import dataclasses
import re
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from absl import logging
from gymnasium.spaces import Box, Dict, Discrete

from iqlearn_jax.cli.main import main
from iqlearn_jax.envs.host import HostEnvs, evaluate_host
from iqlearn_jax.envs.registry import ENVIRONMENTS, open_by_name, register_env
from iqlearn_jax.errors import InputError, SimulatorError
from iqlearn_jax.training import console


class Plain(gymnasium.Env):
    """A counter of two numbers; `changes` replaces what it returns: a value, or what makes it of the step."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Discrete(3)

    def __init__(self, **changes):
        self.changes = changes

    def get(self, name, usual):
        value = self.changes.get(name, usual)
        return value(self.steps) if callable(value) else value

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        usual = np.zeros(2, np.float32), self.get("info", {})
        return self.get("reset", usual)

    def step(self, action):
        self.steps += 1
        obs = self.get("obs", np.full(2, self.steps, np.float32))
        usual = obs, self.get("reward", 1.0), self.get("terminated", False), False, {}
        return self.get("step", usual)


@pytest.fixture(autouse=True)
def as_before():
    before = dict(ENVIRONMENTS)
    yield
    ENVIRONMENTS.clear()
    ENVIRONMENTS.update(before)


def opened(cls=Plain, **changes):
    register_env("plain", lambda: cls(**changes))
    return open_by_name("plain", kwargs={"max_episode_steps": 6})


def raises(error):
    def step(number):
        raise error

    return step


OBS = np.zeros(2, np.float32)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"obs": np.zeros(3, np.float32)},
            r"step\(\) returned the observation with shape \(3,\), declared \(2,\)",
        ),
        ({"obs": np.zeros((2, 1), np.float32)}, r"shape \(2, 1\), declared \(2,\)"),
        ({"obs": np.float32(0)}, r"shape \(\), declared \(2,\)"),
        (
            {"reward": np.array([1.0])},
            r"as reward an array of shape \(1,\); expected one number: return float",
        ),
        ({"reward": None}, "as reward None, a NoneType"),
        ({"terminated": np.array([False])}, r"as terminated an array of shape \(1,\)"),
        (
            {"step": (OBS, 1.0, False, {})},
            r"step\(\) returned 4 values; expected \(observation, reward, term",
        ),
        ({"step": (OBS, 1.0)}, "number of elements returned: 2"),
        ({"reset": OBS}, r"reset\(\) returned a ndarray; expected \(observation, info\)"),
        ({"reset": (np.zeros(4, np.float32), {})}, r"reset\(\) returned the observation with shape \(4,\)"),
        (
            {"step": raises(RuntimeError("no licence"))},
            r"at its first step: RuntimeError: no licence \(test_first",
        ),
        ({"step": raises(SystemExit(0))}, "failed at its first step: SystemExit: 0"),
        ({"reset": raises(OSError("no display"))}, "failed at its first reset: OSError: no display"),
    ],
)
def test_what_differs_is_named(changes, expected):
    with pytest.raises(InputError, match=expected) as refused:
        opened(**changes)
    assert "environment 'plain'" in str(refused.value)


def test_dictionaries_are_compared_entry_by_entry():
    class Nested(Plain):
        observation_space = Dict({"a": Plain.observation_space, "b": Discrete(2)})

    good = {"a": OBS, "b": 1}
    assert opened(Nested, reset=(good, {}), obs=good).spec.obs_shape == (4,)
    with pytest.raises(InputError, match=r"\['a'\] with shape \(3,\), declared \(2,\)"):
        opened(Nested, reset=(good, {}), obs={"a": np.zeros(3, np.float32), "b": 0})
    with pytest.raises(InputError, match="keys"):
        opened(Nested, reset=({"a": OBS}, {}), obs=good)


def test_what_gymnasium_only_warns_of_is_a_line(caplog):
    logging.get_absl_logger().propagate = True
    opened(obs=np.zeros(2), reward=float("nan"))
    lines = [record.getMessage() for record in caplog.records]
    assert any("dtype to be float32, actual type: float64" in line for line in lines)
    assert any("reward is a NaN" in line for line in lines)
    assert all(line.startswith("environment 'plain': ") and "\x1b" not in line for line in lines)


def test_validate_opens_the_environment_too(tmp_path, capsys):
    register_env("plain", lambda: Plain(reward=np.array([1.0])))
    assert main(["demos", "validate", str(tmp_path / "none.npz"), "--env=plain"]) == 2
    assert "as reward an array" in capsys.readouterr().err


class Masked(Plain):
    def __init__(self, strict):
        super().__init__(info={"action_mask": np.int8([0, 1, 1])})
        self.strict = strict

    def step(self, action):
        if self.strict and action == 0:
            raise ValueError("illegal")
        return super().step(action)


def test_masks_are_refused_where_they_matter_and_said_where_not(caplog):
    with pytest.raises(
        InputError, match=r"refuses actions that info\['action_mask'\] forbids \(ValueError: ill"
    ):
        opened(Masked, strict=True)
    logging.get_absl_logger().propagate = True
    opened(Masked, strict=False)
    assert "policies may choose what it forbids" in caplog.text


LATER = {
    "raises": ({"reward": lambda n: 1 / (n != 4)}, "ZeroDivisionError"),
    "ends the program": (
        {"reward": lambda n: exec("raise SystemExit(0)") if n == 4 else 1.0},
        "SystemExit: 0",
    ),
    "another shape": (
        {"obs": lambda n: np.zeros(3 - (n != 4), np.float32)},
        r"of shape \(3,\); expected \(2,\)",
    ),
    "one that would be spread": ({"obs": lambda n: OBS if n != 4 else OBS[:1]}, r"of shape \(1,\)"),
    "four values": ({"step": lambda n: (OBS, 1.0, False, False, {})[n == 4 :]}, "ValueError"),
}


@pytest.mark.parametrize("kind", LATER)
def test_what_fails_later_is_named_with_its_step_and_leaves_the_state_before(kind):
    changes, said = LATER[kind]
    handle = opened(**changes)
    envs = HostEnvs(handle, [7], 2)
    for _ in range(3):
        envs.step(np.array([[0, 1]]))
    before = envs.state()
    with pytest.raises(SimulatorError, match=said) as failed:
        envs.step(np.array([[2, 2]]))
    assert "'plain' failed at step 4 of episode 0 (seed 7, environment 0)" in str(failed.value)
    for name, leaf in envs.state().items():
        np.testing.assert_array_equal(leaf, before[name])
    with pytest.raises(SimulatorError, match=rf"step 4 of episode 0 of an evaluation \(seed 7\).*{said}"):
        evaluate_host(handle, lambda obs: np.zeros((1, 1), int), [7], 1)


def test_a_reset_that_fails_leaves_the_state_before():
    seen = []
    handle = opened(info=lambda n: seen.append(n) or {})
    envs = HostEnvs(handle, [0], 1)
    envs._envs[0].changes["reset"] = raises(RuntimeError("gone"))
    for _ in range(5):
        envs.step(np.zeros((1, 1), int))
    before = envs.state()
    with pytest.raises(SimulatorError, match=r"at the reset of episode 1 \(seed 0.*gone"):
        envs.step(np.zeros((1, 1), int))
    for name, leaf in envs.state().items():
        np.testing.assert_array_equal(leaf, before[name])


def test_a_simulator_that_hangs_is_ended(monkeypatch):
    import time

    monkeypatch.setattr("iqlearn_jax.envs.failing.PATIENCE", 0.2)
    handle = opened(reward=lambda n: time.sleep(30) or 1.0 if n == 3 else 1.0)
    begun = time.monotonic()
    with pytest.raises(SimulatorError, match=r"has not come back at step 3 of episode 0 of an evaluation"):
        evaluate_host(handle, lambda obs: np.zeros((1, 1), int), [0], 1)
    assert time.monotonic() - begun < 10


def test_time_limits_of_wrappers_are_known():
    limited = gymnasium.wrappers.TimeLimit(Plain(), 4)
    register_env("limited", lambda: gymnasium.wrappers.TimeLimit(Plain(), 4))
    assert limited.spec is None and open_by_name("limited").spec.max_episode_steps == 4
    assert open_by_name("limited", kwargs={"max_episode_steps": 2}).spec.max_episode_steps == 2


def environment_text(handle):
    device = handle.device
    return console.environment_text(
        SimpleNamespace(spec=handle.spec, handle=handle, env=device, has_simulator=True)
    )


def test_an_environment_without_a_time_limit_is_said_to_be_cut():
    register_env("plain", Plain)
    unlimited = open_by_name("plain")
    text = environment_text(unlimited)
    assert text.startswith(
        "plain on registered (host); it states no time limit: episodes are cut after 27,000"
    )
    said = re.search(r'--config.env.kwargs="(.*)"', text)[1].replace("N", "6")
    limited = open_by_name("plain", kwargs=ast.literal_eval(said))  # as it advises
    assert limited.spec.max_episode_steps == 6
    assert environment_text(limited) == "plain on registered (host)"
    atari = dataclasses.replace(unlimited, spec=unlimited.spec._replace(id="ALE/Pong-v5"))
    assert "time limit" not in environment_text(atari)  # whose own limit that is


def test_an_observation_that_is_not_finite_makes_its_episodes_return_unknown():
    handle = opened(obs=lambda n: np.float32([n, np.nan if n == 2 else 0]))
    played = evaluate_host(handle, lambda obs: np.zeros((1, 2), int), [0], 2)
    assert np.isnan(played.returns).all() and played.lengths.tolist() == [[6, 6]]
