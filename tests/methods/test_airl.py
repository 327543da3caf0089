"""AIRL: the expert's reward from exact data, the log-odds against NumPy, the penalty of a linear f."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.agents.common import make_preprocess
from iqlearn_jax.methods.batches import inside
from iqlearn_jax.methods.imitation.airl import make_shaping
from iqlearn_jax.ops.iq.soft import log_policy, soft_value
from iqlearn_jax.ops.tabular.mdp import MDP, occupancy, soft_value_iteration
from iqlearn_jax.types import Batch
from tests.common import configure, hyper, random_rows, spec_of
from tests.methods.densities import drawn_from
from tests.methods.on_policy_reference import GAMMA, STATES, in_time, setup, value_gradient, with_tables
from tests.methods.soft_rl_reference import ACTIONS


def expert_of(mdp):
    """A reward of the state alone [S], V [S], log π [S, A] at temperature 1, and the exact occupancy."""
    with jax.enable_x64(True):
        model = MDP(*map(jnp.asarray, mdp))
        reward = np.random.default_rng(5).normal(size=STATES)
        q = soft_value_iteration(model, jnp.repeat(jnp.asarray(reward)[:, None], ACTIONS, axis=1), 1.0)
        logp = log_policy(q, 1.0)
        actual = soft_value(q, 1.0), logp, occupancy(model, jnp.exp(logp))
    return reward, *map(np.asarray, actual)


def tables_of(params):
    """g and h [S] of linear networks on one-hot states."""
    return [
        np.asarray(params[name]["params"]["Dense_0"]["kernel"])[:STATES, 0]
        + float(params[name]["params"]["Dense_0"]["bias"][0])
        for name in ("g", "h")
    ]


@pytest.mark.slow
def test_the_reward_of_the_state_is_recovered_up_to_a_constant():
    """Deterministic dynamics, learner = expert: f = log π_E, g = r + c(1−γ), h = V + c (theorem 5.2)."""
    spec, made, hparams, state = setup("airl", reward_input="state", hidden=())
    reward, value, logp, density = expert_of(spec.mdp)
    successor = spec.mdp.transition.argmax(axis=-1)
    states = np.arange(STATES).repeat(ACTIONS)
    system = np.hstack([np.eye(STATES)[states], GAMMA * np.eye(STATES)[successor.ravel()]])
    system[:, STATES:] -= np.eye(STATES)[states]
    assert np.linalg.matrix_rank(system) == 2 * STATES - 1  # nothing but the constant is left open
    rows, seen = drawn_from(density, 400, 0)
    assert (seen > 0).all()
    rows = rows.replace(next_obs=jnp.asarray(successor, jnp.int32)[rows.obs, rows.action])
    batch = Batch(policy=in_time(rows, 1), expert=rows)
    state = with_tables(state, logp.astype(np.float32), np.zeros((STATES, 1), np.float32))
    still = hparams | {"actor_lr": 0.0, "critic_lr": 0.0}

    @jax.jit
    def train(state):
        def step(state, rate):
            actual = made.update(still | {"discriminator_lr": rate}, state, batch, jax.random.key(0))
            return actual[0], actual[1]["discriminator/loss"]

        return jax.lax.scan(step, state, jnp.geomspace(0.1, 1e-4, 3000))

    state, loss = train(state)
    assert float(loss[-1]) == pytest.approx(2 * np.log(2), abs=1e-5)  # D = 1/2 everywhere
    g, h = tables_of(state.discriminator)
    f = g[:, None] + GAMMA * h[successor] - h[:, None]
    np.testing.assert_allclose(f, logp, atol=0.01)
    np.testing.assert_allclose(g - g.mean(), reward - reward.mean(), atol=0.02)
    np.testing.assert_allclose(h - h.mean(), value - value.mean(), atol=0.02)
    assert np.ptp(reward) > 1 and np.ptp(value) > 0.5
    actual = made.reward(hparams, state, rows, jax.random.key(0))
    np.testing.assert_allclose(actual, g[rows.obs], atol=1e-5)


@pytest.mark.parametrize(
    ("reward_input", "treatment"),
    [
        ("state", "absorbing"),
        pytest.param("state", "zero", marks=pytest.mark.slow),
        pytest.param("state_action", "absorbing", marks=pytest.mark.slow),
        pytest.param("state_action", "zero", marks=pytest.mark.slow),
    ],
)
def test_ppo_learns_from_the_log_odds(reward_input, treatment):
    """D = e^f/(e^f + π) by NumPy, r = log D − log(1 − D). After an end, not after a cut, h is 0 or that of
    the absorbing state, whose self-loop then comes for ever."""
    with jax.enable_x64(True):
        spec, made, hparams, state = setup(
            "airl", reward_input=reward_input, hidden=(), discriminator_lr=0.0, gae_lambda=0.0,
            terminal=treatment,
        )  # fmt: skip
        rows, expert = (jax.tree.map(jnp.asarray, random_rows(spec, 12, seed, 0.3)) for seed in (0, 1))
        after, _ = made.update(
            hparams, state, Batch(policy=in_time(rows, 6), expert=expert), jax.random.key(1)
        )
        exported = made.reward(hparams, state, rows)
    assert 0 < rows.terminated.sum() < 12 and rows.truncated.any()
    g, h = tables_of(state.discriminator)
    g = g[rows.obs] if reward_input == "state" else g[rows.obs] + g_of_actions(state)[rows.action]
    np.testing.assert_allclose(exported, g, atol=1e-12)
    g_end, h_end = ends_of(state.discriminator) if treatment == "absorbing" else (0.0, 0.0)
    f = g + GAMMA * np.where(rows.terminated, h_end, h[rows.next_obs]) - h[rows.obs]
    loop = g_end + GAMMA * h_end - h_end
    tail = sum(GAMMA**k * loop for k in range(1, 400))
    logits = np.asarray(jax.tree.leaves(state.actor)[0])
    policy = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[rows.obs, rows.action]
    d = np.exp(f) / (np.exp(f) + policy)
    wanted, actual = value_gradient(state, after, rows, np.log(d) - np.log(1 - d) + rows.terminated * tail)
    np.testing.assert_allclose(actual, wanted, atol=1e-6)
    assert np.abs(wanted).max() > 0.1


def ends_of(params):
    """g and h of the absorbing state: weight of the indicator and bias."""
    dense = [params[name]["params"]["Dense_0"] for name in ("g", "h")]
    return [float(each["kernel"][-1, 0] + each["bias"][0]) for each in dense]


def test_the_self_loop_is_judged_once_for_each_end():
    """Of the loss: log-odds of rows from their f, the self-loop's log π is 0."""
    with jax.enable_x64(True):
        spec, made, hparams, state = setup("airl", hidden=(), discriminator_lr=0.0, terminal="absorbing")
        sides = [jax.tree.map(jnp.asarray, random_rows(spec, 12, seed, 0.3)) for seed in (0, 1)]
        batch = Batch(policy=in_time(sides[0], 6), expert=sides[1])
        _, metrics = made.update(hparams, state, batch, jax.random.key(1))
    (g, h), (g_end, h_end) = tables_of(state.discriminator), ends_of(state.discriminator)
    logits, total = np.asarray(jax.tree.leaves(state.actor)[0]), 0.0
    logp = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    for sign, rows in zip((-1, 1), sides, strict=True):  # the rollout, then the expert
        shaped = g[rows.obs] + g_of_actions(state)[rows.action] - h[rows.obs]
        odds = (
            shaped + GAMMA * np.where(rows.terminated, h_end, h[rows.next_obs]) - logp[rows.obs, rows.action]
        )
        loop = np.log1p(np.exp(-sign * (g_end - (1 - GAMMA) * h_end)))
        total += np.mean(np.log1p(np.exp(-sign * odds)) + rows.terminated * loop)
    assert sides[0].terminated.sum() != sides[1].terminated.sum()
    assert float(metrics["discriminator/loss"]) == pytest.approx(float(total), rel=1e-6)  # float32 weights


def g_of_actions(state):
    """The weights of g's one-hot actions [A], after those of its states."""
    return np.asarray(state.discriminator["g"]["params"]["Dense_0"]["kernel"])[STATES:-1, 0]


def test_gradient_penalty_of_a_linear_f():
    """By (s, a, s'): (w_g − w_h, w_a, γw_h), with its last part 0 where the row ends."""
    spec = spec_of(obs_shape=(3,))
    config = configure(method="airl", feed="rollout", hidden=(), gamma=GAMMA)
    shaping, hparams = make_shaping(config, spec, make_preprocess(spec)), hyper(config, spec)
    params = shaping.init(jax.random.key(0))
    g, h = (np.asarray(params[name]["params"]["Dense_0"]["kernel"])[:, 0] for name in ("g", "h"))
    for ended in (False, True):
        expert, policy = (random_rows(spec, 6, seed).replace(terminated=np.full(6, ended)) for seed in (0, 1))
        actual = shaping.penalty(hparams, params, expert, policy, jax.random.key(1))
        slope = np.concatenate([g[:3] - h[:3], g[3:], GAMMA * h[:3] * (not ended)])
        assert float(actual) == pytest.approx((np.linalg.norm(slope) - 1) ** 2, rel=1e-4)


def test_actions_are_kept_off_the_edge():
    spec = spec_of(obs_shape=(3,))
    actual = inside(spec, jnp.stack([spec.action_low, spec.action_high]))
    unit = 2 * (np.asarray(actual) - spec.action_low) / (spec.action_high - spec.action_low) - 1
    np.testing.assert_allclose(unit, [[-0.999] * 2, [0.999] * 2], atol=1e-6)
