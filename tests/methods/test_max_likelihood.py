"""Maximum likelihood IRL: gradient by finite differences, dynamics from rows alone, known preferences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.types import Batch
from tests.methods import tabular_reference as reference
from tests.methods.tabular_setup import GAMMA, TAU, drawn, first_gradient, make, rows_of, train

# (s, a, s', ended): a pair with several successors, ends, pairs never shown, a state never left
ROWS = [(0, 0, 1, False), (0, 0, 2, False), (0, 0, 1, False), (1, 2, 3, True), (2, 1, 0, False),
        (2, 1, 4, True), (3, 1, 3, False), (1, 0, 2, False)]  # fmt: skip
STEPS = 6


def batch_of(rows):
    s, a, t, ended = (np.array(column) for column in zip(*rows, strict=True))
    return Batch(expert=rows_of(s, a, t, ended))


@pytest.mark.parametrize("reward_input", [pytest.param("state_action", marks=pytest.mark.slow), "state"])
def test_gradient_is_the_slope_of_the_likelihood(reward_input):
    """Through all backups, over the successors of this batch and of the one before."""
    early, late = ROWS[:4], ROWS[4:] + ROWS[:1]
    with jax.enable_x64(True):
        method, hparams, *_ = make("max_likelihood", reward_input=reward_input, inner_steps=STEPS)
        reward = np.random.default_rng(1).normal(size=(5, 3 if reward_input == "state_action" else 1))
        begun = method.init(jax.random.key(0), hparams)
        before, _ = method.update(hparams, begun, batch_of(early), jax.random.key(0))
        before = before.replace(params={"reward": jnp.asarray(reward)}, opt=begun.opt, step=begun.step)
        after, metrics = method.update(hparams, before, batch_of(late), jax.random.key(0))
        actual = first_gradient(before, after)["reward"]

    def likelihood(table):
        q = reference.averaged_q(early + late, (5, 3), table, GAMMA, TAU, STEPS)
        logp = np.log(reference.softmax(q, TAU))
        return np.mean([logp[s, a] for s, a, _, _ in late])

    np.testing.assert_allclose(actual, reference.differences(likelihood, reward), atol=1e-8)
    assert np.abs(actual).max() > 0.05
    np.testing.assert_allclose(metrics["max_likelihood/log_likelihood"], likelihood(reward), atol=1e-10)
    table = np.asarray(after.params["reward"])
    wanted = reference.averaged_q(early + late, (5, 3), table, GAMMA, TAU, STEPS)
    np.testing.assert_allclose(after.q, wanted, atol=1e-10)  # of the present reward


def test_nothing_of_the_model_is_used():
    (method, hparams, *model), (other, _, *another) = (make("max_likelihood", seed=s) for s in (0, 7))
    assert all((a != b).any() for a, b in zip(model, another, strict=True))
    rates = np.full(5, 0.1, np.float32)
    ends = [train(m, hparams, batch_of(ROWS), rates)[0] for m in (method, other)]
    for one, two in zip(jax.tree.leaves(ends[0]), jax.tree.leaves(ends[1]), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_expert_s_preferences_come_back_from_transitions():
    """An expert that is softmax(Q/τ) of averaged values for a reward of states; 30,000 of its transitions."""
    method, hparams, transition, initial = make(
        "max_likelihood", seed=2, reward_input="state", inner_steps=30
    )
    true = np.random.default_rng(4).normal(size=5)
    q = np.zeros((5, 3))
    for _ in range(200):
        q = true[:, None] + GAMMA * transition @ (reference.softmax(q, TAU) * q).sum(axis=1)
    expert = reference.softmax(q, TAU)
    visits = reference.visits(transition, initial, GAMMA, expert)
    batch = drawn(transition, visits, 30_000)
    state, metrics = train(method, hparams, batch, np.geomspace(0.05, 1e-3, 800, dtype=np.float32))
    policy = reference.softmax(np.asarray(state.q), TAU)
    np.testing.assert_allclose(policy, expert, atol=0.04)
    assert np.abs(expert - 1 / 3).max() > 0.2
    actual = np.asarray(state.params["reward"])[:, 0]
    assert np.corrcoef(actual, true)[0, 1] > 0.97
    assert metrics["max_likelihood/pairs_seen"][-1] == 1
