"""PPO's step against NumPy at known numbers: loss, gradient, advantages, minibatches; and its densities."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.agents.common import ADAM
from iqlearn_jax.agents.ppo import make_ppo_agent, minibatches
from tests.common import configure, deterministic_mdp, hyper, random_rows, slope, spec_of, table_spec

STATES, ACTIONS, STEPS, ENVS = 4, 3, 6, 2
SPEC = table_spec(deterministic_mdp(STATES, ACTIONS, 0), ACTIONS)
GAMMA, LAMBDA, CLIP, TAU = 0.9, 0.8, 0.2, 0.3


def agent_of(spec=SPEC, **changes):
    options = {"epochs": 1, "minibatches": 1, "gae_lambda": LAMBDA, "clip_range": CLIP, "temperature": TAU}
    config = configure(method="ppo", feed="rollout", gamma=GAMMA, **options | changes)
    agent = make_ppo_agent(config, spec)
    return agent._replace(learn=jax.jit(agent.learn)), hyper(config, spec, jnp.result_type(float))


def tables(agent, hparams):
    """A state with random tables: logits [S, A] and values [S, 1]."""
    rng, state = np.random.default_rng(0), agent.init(jax.random.key(0), hparams)
    logits, values = rng.normal(size=(STATES, ACTIONS)), rng.normal(size=(STATES, 1))
    fill = lambda tree, x: jax.tree.map(lambda _: jnp.asarray(x), tree)  # noqa: E731
    actor, critic = fill(state.actor, logits), fill(state.critic, values)
    filled = state.replace(
        actor=actor, actor_opt=ADAM.init(actor), critic=critic, critic_opt=ADAM.init(critic),
        log_temperature=jnp.log(jnp.asarray(TAU)),
    )  # fmt: skip
    return filled, logits, values


def rollout_of(spec=SPEC, seed=0):
    rows = random_rows(spec, STEPS * ENVS, seed)
    return jax.tree.map(lambda x: jnp.asarray(x).reshape(STEPS, ENVS, *x.shape[1:]), rows)


def softmax(logits):
    weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weight / weight.sum(axis=-1, keepdims=True)


def advantages(rollout, reward, values):
    """[T, N] standardised, and targets of V; backwards, step by step."""
    rows = jax.tree.map(np.asarray, rollout)
    now, after = values[rows.obs, 0], values[rows.next_obs, 0] * (1 - rows.terminated)
    actual, running = np.zeros((STEPS, ENVS)), np.zeros(ENVS)
    for t in reversed(range(STEPS)):
        running = np.where(rows.terminated[t] | rows.truncated[t], 0.0, GAMMA * LAMBDA * running)
        running = reward[t] + GAMMA * after[t] - now[t] + running
        actual[t] = running
    return (actual - actual.mean()) / actual.std(), actual + now


def numpy_loss(logits, values, old, rows, advantage, target):
    """mean (V − target)² − mean min(ρA, clip(ρ)A) − τH."""
    policy = softmax(logits)
    ratio = policy[rows.obs, rows.action] / old[rows.obs, rows.action]
    gain = np.minimum(ratio * advantage, np.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
    entropy = -(policy * np.log(policy)).sum(axis=1)[rows.obs].mean()
    return np.mean((values[rows.obs, 0] - target) ** 2) - gain - TAU * entropy


def test_one_step_follows_the_gradient_of_the_clipped_loss():
    """Two passes, each over all rows: in the second the policy is no longer the one that acted, and some
    ratios are clipped. Adam's first moments hold both gradients: m = 0.9·(0.1·g₁) + 0.1·g₂."""
    reward = np.random.default_rng(1).normal(size=(STEPS, ENVS))
    with jax.enable_x64(True):
        agent, hparams = agent_of(actor_lr=0.3, critic_lr=0.1, epochs=1)
        state, logits, values = tables(agent, hparams)
        rollout = rollout_of()
        first, _ = agent.learn(hparams, state, rollout, jnp.asarray(reward), jax.random.key(1))
        twice, _ = agent_of(epochs=2)
        last, metrics = twice.learn(hparams, state, rollout, jnp.asarray(reward), jax.random.key(1))
    advantage, target = (x.ravel() for x in advantages(rollout, reward, values))
    rows = jax.tree.map(lambda x: np.asarray(x).ravel(), rollout)
    moved, valued = (np.asarray(jax.tree.leaves(tree)[0]) for tree in (first.actor, first.critic))
    loss = lambda x, v: numpy_loss(x, v, softmax(logits), rows, advantage, target)  # noqa: E731
    points = ((logits, values), (moved, valued))
    by_logits = [slope(partial(loss, v=v), x) for x, v in points]
    by_values = [slope(partial(loss, x), v) for x, v in points]
    for actual, (one, two) in ((last.actor_opt, by_logits), (last.critic_opt, by_values)):
        np.testing.assert_allclose(jax.tree.leaves(actual.mu)[0], 0.09 * one + 0.1 * two, atol=1e-7)
    ratio = softmax(moved)[rows.obs, rows.action] / softmax(logits)[rows.obs, rows.action]
    clipped = np.abs(ratio - 1) > CLIP
    assert 0 < clipped.sum() < clipped.size
    assert float(metrics["ppo/clipped"]) == pytest.approx(clipped.mean() / 2)
    assert float(metrics["ppo/kl"]) == pytest.approx(np.mean(ratio - 1 - np.log(ratio)) / 2, rel=1e-6)


def test_the_true_reward_is_not_read():
    agent, hparams = agent_of()
    state, rollout, reward = agent.init(jax.random.key(0), hparams), rollout_of(), jnp.ones((STEPS, ENVS))
    other = rollout.replace(reward=rollout.reward + 1)
    actual = [agent.learn(hparams, state, rows, reward, jax.random.key(1))[0] for rows in (rollout, other)]
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, actual), strict=True))


def test_minibatches_are_a_partition_in_another_order():
    rows = {"a": jnp.arange(12), "b": 10 * jnp.arange(12)}
    parts = minibatches(rows, 3, jax.random.key(0))
    assert parts["a"].shape == (3, 4)
    np.testing.assert_array_equal(np.sort(parts["a"].ravel()), rows["a"])
    assert (parts["a"].ravel() != rows["a"]).any()
    np.testing.assert_array_equal(parts["b"], 10 * parts["a"])


def test_actions_have_the_density_that_they_were_drawn_with():
    """Importance sampling of the uniform density: E[1/π] over a box is its volume."""
    spec = spec_of(obs_shape=(3,))
    agent, hparams = agent_of(spec, hidden=(8,))
    state, size = agent.init(jax.random.key(0), hparams), 200_000
    obs = jnp.broadcast_to(jnp.array([0.3, -1.0, 2.0]), (size, 3))
    action = agent.act(hparams, state, obs, jax.random.key(1))
    assert ((action >= spec.action_low) & (action <= spec.action_high)).all()
    log_pi = np.float64(agent.log_prob(hparams, state.actor, obs, action))
    low, high = np.array([-0.9, 1.7]), np.array([-0.1, 2.3])  # a box in which the density is not tiny
    inside = ((action > low) & (action < high)).all(axis=1)
    volume = np.mean(np.where(inside, np.exp(-log_pi), 0.0))
    assert volume == pytest.approx(np.prod(high - low), rel=0.02)
