"""Device environments are traced when they are opened: what they return is what they declare."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import iqlearn_jax
from iqlearn_jax.envs.api import Environment, Step
from iqlearn_jax.envs.registry import ENVIRONMENTS, from_gymnax, open_by_name, register_env
from iqlearn_jax.envs.traced import check_traced
from iqlearn_jax.errors import InputError, SimulatorError
from tests.common import LOW, spec_of

OBS = jnp.zeros(2)
DISCRETE = spec_of(obs_shape=(2,), num_actions=3)


@pytest.fixture(autouse=True)
def as_before():
    before = dict(ENVIRONMENTS)
    yield
    ENVIRONMENTS.clear()
    ENVIRONMENTS.update(before)


def made(spec=DISCRETE, reset=None, step=None, **changes):
    """An environment that keeps to its spec but for what is replaced; functions are called."""
    usual = Step({"at": OBS, "time": jnp.int32(0)}, OBS, jnp.float32(1), jnp.bool_(False))._replace(**changes)
    first = ({"at": OBS, "time": jnp.int32(0)}, OBS)

    def get(value, otherwise):
        return value() if callable(value) else otherwise if value is None else value

    return Environment(spec, lambda key: get(reset, first), lambda state, action, key: get(step, usual))


def fails():
    raise RuntimeError("no licence")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"obs": jnp.zeros(1)},
            r"step\(\) returned as observation shape \(1,\) of float32; expected shape \(2,\)",
        ),
        (
            {"reset": ({"at": OBS, "time": jnp.int32(0)}, jnp.zeros((2, 1)))},
            r"reset\(\) returned as observation shape \(2, 1\)",
        ),
        ({"obs": jnp.zeros(2, jnp.int32)}, r"shape \(2,\) of int32; expected shape \(2,\) and float32"),
        ({"obs": jnp.zeros(2, jnp.float16)}, "as observation shape .* of float16; return as reset"),
        ({"obs": {"a": OBS}}, "as observation a dict"),
        ({"reward": jnp.ones(1)}, r"as reward shape \(1,\) of float32; return one float of shape \(\): jnp"),
        ({"reward": jnp.ones(2)}, r"as reward shape \(2,\)"),
        ({"reward": jnp.complex64(1)}, "of complex64"),
        ({"reward": 1.0}, r"as reward 1\.0, a Python float; return an array: jnp.float32"),
        ({"reward": None}, "as reward a NoneType"),
        ({"terminated": jnp.zeros(1, bool)}, r"as terminated shape \(1,\) of bool; return one bool"),
        ({"terminated": jnp.float32(0)}, r"as terminated shape \(\) of float32; return one bool"),
        ({"terminated": False}, "as terminated False, a Python bool; return an array: jnp.bool_"),
        (
            {"state": {"at": OBS[:1], "time": jnp.int32(1)}},
            r"as state\['at'\] shape \(1,\) of float32; return as reset\(\) returned it, shape \(2,\)",
        ),
        ({"state": {"at": OBS, "time": jnp.float32(1)}}, r"as state\['time'\] shape \(\) of float32"),
        ({"state": (OBS, jnp.int32(1))}, r"a state of structure .*; return that of reset\(\): PyTreeDef"),
        ({"step": (OBS, OBS, 1.0, False, {})}, "step.. returned 5 values; return a Step of state, obs, rew"),
        ({"reset": (OBS, OBS, {})}, r"reset\(\) returned 3 values; return \(state, observation\)"),
        ({"step": fails}, r"failed when its step was traced: RuntimeError: no licence \(test_traced.py:"),
        ({"reset": fails}, "failed when its reset was traced: RuntimeError: no licence"),
    ],
)
def test_what_differs_is_named_in_a_line(changes, expected):
    register_env("mine", lambda: made(**changes))
    with pytest.raises(InputError, match=expected) as refused:
        open_by_name("mine")
    text = str(refused.value)
    assert "environment 'm" in text and "\n" not in text


@pytest.mark.parametrize(
    "env",
    [
        made(),
        made(spec_of(obs_shape=(2,), low=LOW)),
        made(reward=jnp.int32(1)),
        made(reward=np.float32(1), terminated=np.bool_(True)),
        made(reset=lambda: [{"at": OBS, "time": 0}, OBS]),
        made(step=lambda: made().step(None, None, None)),
    ],
)
def test_what_keeps_to_it_opens(env):
    register_env("mine", lambda: env)
    assert open_by_name("mine").device is env


def test_nothing_is_run():
    ran = []

    def step(state, action, key):
        seen = jax.pure_callback(
            lambda: ran.append(1) or np.float32(0), jax.ShapeDtypeStruct((), jnp.float32)
        )
        return Step(state, state, seen, jnp.bool_(False))

    check_traced(Environment(DISCRETE, lambda key: (OBS, OBS), step))
    assert ran == []


def test_one_that_is_given_as_an_object_is_checked_before_training():
    with pytest.raises(InputError, match=r"environment 'made-up': .* as reward shape \(1,\)"):
        iqlearn_jax.train(made(reward=jnp.ones(1)), method="rl", progress=False)


class Style:
    """In gymnax's style; `changes` replaces what a step returns."""

    default_params = None

    def __init__(self, **changes):
        self.changes = changes

    def reset_env(self, key, params):
        return OBS, {"at": OBS}

    def step_env(self, key, state, action, params):
        usual = {"obs": OBS, "state": {"at": OBS}, "reward": jnp.float32(1), "terminated": jnp.bool_(False)}
        return *(usual | self.changes).values(), {}

    def action_space(self, params):
        return type("Discrete", (), {"n": 2})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"obs": jnp.zeros(1)}, r"as observation shape \(1,\)"),
        ({"reward": jnp.ones(2)}, r"as reward shape \(2,\)"),
        ({"terminated": jnp.zeros(2, bool)}, r"as terminated shape \(2,\)"),
        ({"state": {"at": OBS[:1]}}, r"as state\['at'\] shape \(1,\)"),
        ({"state": OBS}, "a state of structure"),
    ],
)
def test_one_in_the_style_of_gymnax_is_checked(changes, expected):
    with pytest.raises(InputError, match=f"'Style': .*{expected}"):
        from_gymnax(Style(**changes))
    register_env("mine", lambda: Style(**changes))
    with pytest.raises(InputError, match=f"'mine': .*{expected}"):
        open_by_name("mine")
    assert from_gymnax(Style(reward=jnp.ones(1), terminated=jnp.zeros(1))).spec.obs_shape == (2,)


def test_one_in_the_style_of_gymnax_whose_reset_fails_is_named():
    env = Style()
    env.reset_env = lambda key, params: fails()
    with pytest.raises(SimulatorError, match="'Style' failed when its reset was traced: RuntimeError"):
        from_gymnax(env)


@pytest.mark.slow
def test_one_that_is_registered_with_brax_is_checked(monkeypatch):
    brax = pytest.importorskip("brax.envs")

    class Wide(brax.Env):
        observation_size, action_size, backend = 2, 1, "spring"

        def __init__(self, backend):
            pass

        def reset(self, rng):
            return brax.State(None, OBS, jnp.float32(0), jnp.float32(0), {}, {})

        def step(self, state, action):
            return state.replace(reward=action)

    monkeypatch.setitem(brax._envs, "wide", Wide)
    with pytest.raises(InputError, match=r"environment 'wide': step\(\) returned as reward shape \(1,\)"):
        open_by_name("wide", "spring")
