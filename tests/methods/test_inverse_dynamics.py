"""The inverse model against Bayes' rule and against dynamics that can be solved for the action."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods.iq.inverse_dynamics import inferring
from iqlearn_jax.methods.method import Method
from iqlearn_jax.types import Batch
from tests.common import HIGH, LOW, compiled, configure, hyper, random_rows, spec_of

DISCRETE = spec_of(obs_shape=(1,), num_actions=2)
CONTINUOUS = spec_of(obs_shape=(2,))
RIGHT = np.array([[0.9, 0.2], [0.6, 0.5]])  # P(s' = 1 | s, a), states 0 and 1
MIXING = np.array([[0.0004, -0.0002], [0.006, 0.008]])  # s' − s of a step, far smaller than s itself


def learned(spec, rows, expert, updates=800):
    """The actions that the model gives `expert` after learning from `rows`, 256 in an update."""
    config = configure(
        state_only=True, infer_actions=True, feed="replay", hidden=(32,), discriminator_lr=3e-3
    )
    agent, hparams = make_agent(config, spec), hyper(config, spec)

    def update(hparams, state, batch, key):
        return state.replace(step=state.step + 1), {"action": batch.expert.action}

    shell = Method(agent.init, update, agent.act, None, frozenset({"replay"}))
    method = inferring(config, spec, agent.preprocess, shell)
    state = method.init(jax.random.key(0), hparams)

    def step(state, number):
        start = (number * 256) % (len(rows.reward) - 256)
        part = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(jnp.asarray(x), start, 256), rows)
        key = jax.random.fold_in(jax.random.key(1), number)
        return method.update(hparams, state, Batch(policy=part, expert=part), key)[0], None

    state, _ = jax.jit(lambda state: jax.lax.scan(step, state, jnp.arange(updates)))(state)
    last = jax.tree.map(lambda x: x[:256], rows)
    batch = Batch(policy=last, expert=expert)
    _, metrics = jax.jit(method.update)(hparams, state, batch, jax.random.key(2))
    return np.asarray(metrics["action"])


def test_discrete_actions_are_drawn_by_bayes_rule():
    """p(a | s, s') = π(a) P(s' | s, a) / Σ, with a uniform learner, in all four (s, s')."""
    rng = np.random.default_rng(0)
    rows = random_rows(DISCRETE, 8192)
    state = rng.integers(0, 2, 8192)
    following = (rng.random(8192) < RIGHT[state, rows.action]).astype(int)
    rows = rows.replace(obs=np.float32(state)[:, None], next_obs=np.float32(following)[:, None])
    actual = learned(DISCRETE, rows, rows.replace(action=0 * rows.action))
    for s in (0, 1):
        for after, chance in ((1, RIGHT[s]), (0, 1 - RIGHT[s])):
            here = (state == s) & (following == after)
            assert actual[here].mean() == pytest.approx(chance[1] / chance.sum(), abs=0.06)


def test_continuous_actions_solve_the_step():
    """s' = s + M·unit(a), on a box that is neither ±1 nor centred: the action comes back, blank before."""
    rows = random_rows(CONTINUOUS, 4096)
    unit = (rows.action - 0.5 * (HIGH + LOW)) / (0.5 * (HIGH - LOW))
    rows = rows.replace(next_obs=np.float32(rows.obs + unit @ MIXING))
    actual = learned(CONTINUOUS, rows, rows.replace(action=0 * rows.action), updates=1000)
    assert np.abs(actual - rows.action).mean() < 0.05 * np.mean(HIGH - LOW)
    assert (actual >= LOW).all() and (actual <= HIGH).all()


@pytest.mark.parametrize("spec", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
def test_rewards_do_not_depend_on_the_action_in_the_row(spec):
    config = configure(state_only=True, infer_actions=True, feed="replay", hidden=(8,))
    method, hparams = compiled(config, spec), hyper(config, spec)
    state, rows = method.init(jax.random.key(0), hparams), random_rows(spec, 6)
    blank = method.reward(hparams, state, rows.replace(action=rows.action * 0), jax.random.key(1))
    np.testing.assert_array_equal(method.reward(hparams, state, rows, jax.random.key(1)), blank)


@pytest.mark.parametrize(
    ("changes", "spec", "message"),
    [
        ({}, DISCRETE, "config.infer_actions .*config.state_only is False; set it"),
        (
            {"state_only": True, "feed": "replay"},
            spec_of(obs_shape=(10, 10, 4), num_actions=3),
            r"shape \[10, 10, 4\]; set --config.infer_actions=False",
        ),
    ],
)
def test_meaningless_ones_are_refused(changes, spec, message):
    with pytest.raises(InputError, match=message):
        compiled(configure(infer_actions=True, **changes), spec)
