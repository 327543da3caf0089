"""RCAL: its loss, subgradient and reward in NumPy, and its minimum in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.errors import InputError
from iqlearn_jax.ops.baselines.supervised import large_margin
from iqlearn_jax.types import Batch, Transition
from tests.common import compiled, configure, deterministic_mdp, hyper, random_rows, spec_of, table_spec

STATES, ACTIONS, GAMMA, MARGIN, WEIGHT = 5, 3, 0.8, 0.7, 0.3


def setup(**changes):
    config = configure(
        method="regularized_bc", gamma=GAMMA, margin=MARGIN, reward_weight=WEIGHT, critic_lr=0.01, **changes
    )
    spec = table_spec(deterministic_mdp(STATES, ACTIONS, 0, GAMMA), ACTIONS)
    method, hparams = compiled(config, spec), hyper(config, spec)
    return spec, method, hparams, method.init(jax.random.key(0), hparams)


def holding(state, table):
    net = jax.tree.map(lambda _: jnp.asarray(table, jnp.float32)[None], state.critic["net"])
    return state.replace(critic=state.critic | {"net": net})


def by_hand(table, rows):
    """Loss, a subgradient [S, A] and rewards [N], one row at a time."""
    slope, size, losses, rewards = np.zeros_like(table), len(rows.action), [], []
    for s, a, after, end in zip(rows.obs, rows.action, rows.next_obs, rows.terminated, strict=True):
        rival = max(range(ACTIONS), key=lambda b: table[s, b] + MARGIN * (b != a))
        best, factor = table[after].argmax(), 0.0 if end else GAMMA
        reward = table[s, a] - factor * table[after, best]
        losses.append(table[s, rival] + MARGIN * (rival != a) - table[s, a] + WEIGHT * abs(reward))
        rewards.append(reward)
        slope[s, rival] += 1 / size
        slope[s, a] += (WEIGHT * np.sign(reward) - 1) / size
        slope[after, best] -= WEIGHT * np.sign(reward) * factor / size
    return np.mean(losses), slope, np.array(rewards)


def test_loss_subgradient_and_reward_are_those_of_the_paper():
    spec, method, hparams, state = setup()
    table = np.random.default_rng(1).normal(size=(STATES, ACTIONS))
    state, rows = holding(state, table), random_rows(spec, 40, ends=0.2)
    assert rows.terminated.any()
    loss, slope, rewards = by_hand(table, rows)
    after, metrics = method.update(hparams, state, Batch(expert=rows), jax.random.key(0))
    actual = metrics["rcal/margin_loss"] + WEIGHT * metrics["rcal/reward_size"]
    np.testing.assert_allclose(actual, loss, rtol=1e-5)
    np.testing.assert_allclose(metrics["critic/grad_norm"], np.linalg.norm(slope), rtol=1e-5)
    (moment,) = jax.tree.leaves(after.critic_opt.mu["net"])  # Adam's first moment after one step: 0.1 ∇
    np.testing.assert_allclose(moment[0] / 0.1, slope, atol=1e-6)
    np.testing.assert_allclose(method.reward(hparams, state, rows, None), rewards, atol=1e-5)


def test_large_margin_is_zero_from_the_margin_on():
    q = jnp.array([[1.0, 0.0, 0.3], [1.0, 0.0, 0.31], [0.0, 0.5, -3.0]])
    np.testing.assert_allclose(large_margin(q, jnp.array([0, 0, 0]), 0.7), [0, 0.01, 1.2], atol=1e-6)


def expert_rows(mdp):
    """One row per state, by an expert that takes action s mod 3; state 4 ends the task."""
    s = np.arange(STATES)
    a = s % ACTIONS
    blank = np.zeros(STATES)
    after = mdp.transition.argmax(axis=-1)[s, a]
    fields = (s.astype(np.int32), a.astype(np.int32), blank, after.astype(np.int32), s == 4, blank > 0)
    names = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
    return Transition(**{n: jnp.asarray(x) for n, x in zip(names, fields, strict=True)})


@pytest.mark.parametrize("start", [0, 1])
def test_its_minimiser_takes_the_experts_actions(start):
    """The minimum is 0: both terms vanish at Q = 0 for the expert's actions and −margin for the others."""
    spec, method, hparams, state = setup()
    rows = expert_rows(spec.mdp)
    table = np.random.default_rng(start).normal(size=(STATES, ACTIONS))
    state = holding(state, table)
    assert (table.argmax(axis=1) != rows.action).any()

    def step(state, rate):
        return method.update(hparams | {"critic_lr": rate}, state, Batch(expert=rows), jax.random.key(0))

    rates = np.geomspace(0.05, 1e-5, 3000).astype(np.float32)
    state, metrics = jax.jit(lambda s: jax.lax.scan(step, s, rates))(state)
    assert metrics["rcal/margin_loss"][-1] + WEIGHT * metrics["rcal/reward_size"][-1] < 2e-3
    greedy = method.act(hparams, state, rows.obs, jax.random.key(1), True)
    np.testing.assert_array_equal(greedy, rows.action)


def test_continuous_actions_are_refused():
    with pytest.raises(InputError, match=r"regularized_bc.*discrete actions.*continuous.*--config.method="):
        compiled(configure(method="regularized_bc"), spec_of())


@pytest.mark.parametrize(
    "changes",
    [{"critics": 2}, {"target_network": True}, {"learn_temperature": True}, {"state_only": True}],
    ids=lambda changes: next(iter(changes)),
)
def test_switches_that_it_does_not_read_are_refused(changes):
    (field,) = changes
    with pytest.raises(InputError, match=rf"config.{field} is .*--config.{field}="):
        compiled(configure(method="regularized_bc", **changes), spec_of(num_actions=3))
