"""Units are free: a verdict stays when rewards, actions or observations are given in another one."""

import dataclasses

import numpy as np
import pytest

from iqlearn_jax.doctor.doctor import diagnose
from iqlearn_jax.doctor.likeness import Demonstrated, likeness, make_reference
from iqlearn_jax.doctor.remedies import DIAGNOSES, less_noise
from iqlearn_jax.doctor.rules import History
from iqlearn_jax.loops.play import Played
from tests.common import spec_of
from tests.data.made_up import make_demos
from tests.doctor.doctor_cases import CONTINUOUS, case_of, healthy
from tests.doctor.test_doctor import MILD, UP, WORST

IN_REWARDS = ("iq/", "policy/temperature", "critic/grad_norm")  # the loss is in rewards, and so its gradient
NO_UNIT = ("iq/end_rate",)


def in_units(history, scale):
    """The same history with rewards `scale` times as large; so are V and E[r²]/4α."""
    rows = {
        name: x * scale if name.startswith(IN_REWARDS) and name not in NO_UNIT else x
        for name, x in history.metrics.items()
    }
    return History(history.updates, rows)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize(("cases", "sick"), [(WORST, True), (MILD, False)], ids=["sick", "healthy"])
@pytest.mark.parametrize("kind", DIAGNOSES)
def test_rewards_in_another_unit(kind, cases, sick, scale):
    """α and τ are in reward units; with both, the problem is the same."""
    changes = WORST[kind][0] | {}
    metrics = WORST[kind][1] if sick else MILD[kind]
    unit = {"alpha": 0.5 * scale, "temperature": changes.get("temperature", 0.1) * scale}
    before = diagnose(case_of(**changes), healthy(**metrics))
    after = diagnose(case_of(**changes | unit), in_units(healthy(**metrics), scale))
    assert set(before) == set(after) == ({kind} if sick else set())
    for name, finding in before.items():
        other = after[name]
        assert (finding.runs, finding.update) == (other.runs, other.update)


ACTIONS = {  # kind -> metrics of a policy over the box ±1, and whether the doctor minds them
    "policy_collapsed": [({"policy__entropy": -11.0, "eval__likeness": 0.3}, True),
                         ({"policy__entropy": -9.0, "eval__likeness": 0.3}, False)],
    "policy_uniform": [({"policy__entropy": 0.68}, True), ({"policy__entropy": 0.5}, False)],
    "values_out_of_bounds": [({"iq__value": -400.0}, True), ({"iq__value": 8.0}, False),
                             ({"iq__value": -150.0}, False)],
    "value_term_drift": [({"iq__value": -70 * UP}, True), ({"iq__value": -45 * UP}, False)],
    "unbounded_rewards": [({"iq__value": -250.0}, True), ({"iq__value": -150.0}, False)],
}  # fmt: skip
ONLINE = {"feed": "replay", "value_term": "policy", "regularize": "both", "target_network": True}
SHARED = {"values_out_of_bounds", "value_term_drift", "unbounded_rewards"}  # V is in the bounds of several


@pytest.mark.parametrize("half", [1e-2, 0.4, 1.0, 2.0])
@pytest.mark.parametrize(
    ("kind", "metrics", "sick"), [(kind, *case) for kind, cases in ACTIONS.items() for case in cases]
)
def test_actions_in_another_unit(kind, metrics, sick, half):
    """Entropies move by the log of the unit, and V by what they are worth, if no episode ends."""
    changes = ONLINE | WORST[kind][0] | ({} if kind != "policy_collapsed" else ONLINE) | {"temperature": 0.1}
    if half > 1 and kind == "value_term_drift":
        pytest.skip("V that rises by the unit hides that it sinks")
    box = spec_of(low=np.float32([-half]), high=np.float32([half]))
    history = healthy(**metrics)
    moved = dict(history.metrics)
    moved["policy/entropy"] = moved["policy/entropy"] + np.log(half)
    for name in ("iq/value", "iq/initial_value"):
        moved[name] = moved[name] + 0.1 * np.log(half) / 0.01
    found = set(diagnose(case_of(box, **changes), History(history.updates, moved)))
    assert (kind in found) == sick
    assert found <= ({kind} | (SHARED if kind in SHARED else set()))


@pytest.mark.parametrize("half", [0.5, 1.0, 3.0])
def test_a_remedy_compares_entropy_in_half_widths_of_the_box(half):
    """The uniform policy over ±½ has 0 nats in the environment's unit; noise is no less for it."""
    box = spec_of(low=np.float32([-half]), high=np.float32([half]))
    assert less_noise(case_of(box, temperature=10.0)) == less_noise(case_of(CONTINUOUS, temperature=10.0))


def likeness_of(obs_unit, action_unit, shift=0.5):
    """Of made-up episodes whose rows lie `shift` beside the demonstrations'."""
    rng = np.random.default_rng(0)

    def rows(size, beside, low=-1.0):
        obs, action = rng.normal(size=(size, 4)) + beside, rng.uniform(low, 1.0, (size, 3))
        return (obs * obs_unit).astype(np.float32), (action * action_unit).astype(np.float32)

    def episodes(beside, low):
        parts = (x.reshape(25, 8, -1) for x in rows(200, beside, low))
        return Played(np.zeros(25), np.full(25, 8), *parts)

    expert, blank = rows(200, 0.0, low=0.5), make_demos((200,), (False,), discrete=False)
    demos = dataclasses.replace(
        blank,
        observations=expert[0],
        next_observations=np.r_[expert[0][1:], expert[0][:1]],
        actions=expert[1],
    )
    box = np.full(3, action_unit, np.float32)
    spec = spec_of(obs_shape=(4,), low=-box, high=box, limit=8)
    data = Demonstrated(spec, demos, [np.arange(200)], [np.array([0])], False)
    reference = make_reference(data, 0, episodes(2.0, -1.0))
    return likeness(data, reference, episodes(shift, 0.3))


@pytest.mark.parametrize("unit", [1e-5, 1e5, np.array([1e-3, 1e3, 1.0, 7.0])], ids=["small", "large", "each"])
def test_observations_and_actions_in_other_units_are_as_like(unit):
    before = likeness_of(1.0, 1.0)
    assert 0.2 < before < 0.9
    assert likeness_of(unit, 1.0) == pytest.approx(before, abs=1e-5)
    assert likeness_of(1.0, 1e-4) == pytest.approx(before, abs=1e-5)
