"""Behavioural cloning is maximum likelihood; forward RL finds the exact soft values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.ops.iq.soft import soft_value
from iqlearn_jax.ops.tabular.mdp import MDP, soft_value_iteration
from iqlearn_jax.types import Batch, Transition
from tests.common import bandit, compiled, configure, deterministic_mdp, hyper, table_spec

STATES, ACTIONS = 4, 3


def every_pair(mdp, reward, ends=None):
    """One row for each (s, a) of a deterministic process."""
    s, a = (x.ravel() for x in np.indices((STATES, ACTIONS)))
    after = mdp.transition.argmax(axis=-1)[s, a]
    terminated = np.zeros(len(s), bool) if ends is None else ends[after]
    fields = (s, a, reward[s, a], after, terminated, terminated & False)
    dtypes = (np.int32, np.int32, np.float32, np.int32, bool, bool)
    names = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
    return Transition(**{n: jnp.asarray(x, d) for n, x, d in zip(names, fields, dtypes, strict=True)})


def train(method, hparams, batch, rates):
    @jax.jit
    def run(state):
        def step(state, rate):
            return method.update(hparams | {"critic_lr": rate}, state, batch, jax.random.key(0))[0], None

        return jax.lax.scan(step, state, rates)[0]

    return run(method.init(jax.random.key(0), hparams))


@pytest.fixture(scope="module")
def cloned():
    counts = np.random.default_rng(0).integers(1, 9, (STATES, ACTIONS))
    s, a = (np.repeat(x.ravel(), counts.ravel()) for x in np.indices(counts.shape))
    blank = jnp.zeros(len(s))
    rows = Transition(
        obs=jnp.asarray(s, jnp.int32), action=jnp.asarray(a, jnp.int32), reward=blank,
        next_obs=jnp.asarray(s, jnp.int32), terminated=blank > 0, truncated=blank > 0,
    )  # fmt: skip
    config = configure(method="bc", temperature=0.1)
    spec = table_spec(deterministic_mdp(STATES, ACTIONS, 0), ACTIONS)
    method, hparams = compiled(config, spec), hyper(config, spec)
    rates = np.geomspace(0.1, 1e-4, 3000).astype(np.float32)
    return method, hparams, train(method, hparams, Batch(expert=rows), rates), counts


def test_bc_is_the_frequency_table(cloned):
    _, _, state, counts = cloned
    (table,) = jax.tree.leaves(state.critic["net"])
    frequencies = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(jax.nn.softmax(table[0]), frequencies, atol=1e-3)


def test_bc_draws_actions_with_the_frequencies_that_it_learned(cloned):
    """Its stochastic policy is the maximum-likelihood one, whatever the config's temperature."""
    method, hparams, state, counts = cloned
    drawn = method.act(hparams, state, jnp.zeros(20_000, jnp.int32), jax.random.key(0), False)
    actual = np.bincount(drawn, minlength=ACTIONS) / 20_000
    np.testing.assert_allclose(actual, counts[0] / counts[0].sum(), atol=0.02)


def test_bc_of_next_actions_is_the_likelihood_of_both_rows():
    """Behind ends and cuts there is no action, whatever the batch holds there."""
    rng = np.random.default_rng(1)
    obs, after = rng.integers(0, STATES, (2, 30))
    action, following = rng.integers(0, ACTIONS, (2, 30))
    ended, cut = rng.random((2, 30)) < 0.2
    rows = Transition(
        obs=jnp.asarray(obs, jnp.int32), action=jnp.asarray(action, jnp.int32), reward=jnp.zeros(30),
        next_obs=jnp.asarray(after, jnp.int32), terminated=jnp.asarray(ended), truncated=jnp.asarray(cut),
    )  # fmt: skip
    config = configure(method="bc", next_actions=True)
    spec = table_spec(deterministic_mdp(STATES, ACTIONS, 0), ACTIONS)
    method, hparams = compiled(config, spec), hyper(config, spec)
    state = method.init(jax.random.key(0), hparams)
    logits = rng.normal(size=(1, STATES, ACTIONS)).astype(np.float32)
    state = state.replace(critic=state.critic | {"net": jax.tree.map(lambda _: logits, state.critic["net"])})
    batch = Batch(expert=rows, next_action=jnp.asarray(following, jnp.int32))
    _, metrics = method.update(hparams, state, batch, jax.random.key(1))
    log_pi = logits[0] - np.log(np.exp(logits[0]).sum(axis=1, keepdims=True))
    shown = ~(ended | cut)
    each = np.concatenate([log_pi[obs, action], log_pi[after[shown], following[shown]]])
    np.testing.assert_allclose(metrics["bc/loss"], -each.mean(), rtol=1e-5)


def test_bc_of_continuous_actions_climbs_the_likelihood_to_its_maximum():
    """One state, actions from a known tanh-Gaussian: the fitted one has its mean and spread."""
    spec = bandit().spec
    config = configure(method="bc", policy_class="sac", hidden=(16,), actor_lr=3e-3)
    method, hparams = compiled(config, spec), hyper(config, spec)
    raw = np.random.default_rng(0).normal([0.5, -0.4], [0.3, 0.6], (400, 2))
    low, high = spec.action_low, spec.action_high
    action = (low + 0.5 * (high - low) * (np.tanh(raw) + 1)).astype(np.float32)
    obs, blank = jnp.ones((400, 2)), jnp.zeros(400)
    rows = Transition(obs=obs, action=jnp.asarray(action), reward=blank, next_obs=obs,
                      terminated=blank > 0, truncated=blank > 0)  # fmt: skip
    state = train(method, hparams, Batch(expert=rows), np.zeros(1500, np.float32))
    drawn = method.act(hparams, state, jnp.ones((4000, 2)), jax.random.key(1), False)
    again = np.arctanh(np.clip(2 * (np.float64(drawn) - low) / (high - low) - 1, -1 + 1e-6, 1 - 1e-6))
    np.testing.assert_allclose(np.median(again, axis=0), raw.mean(axis=0), atol=0.06)
    spread = np.subtract(*np.percentile(again, [84.13, 15.87], axis=0)) / 2
    np.testing.assert_allclose(spread, raw.std(axis=0), rtol=0.1)


@pytest.mark.parametrize("target", [False, True])
def test_rl_finds_the_exact_soft_values(target):
    """Terminal states are worth 0; everything else is the fixed point of `soft_value_iteration`."""
    gamma, tau = 0.7, 0.3
    mdp = deterministic_mdp(STATES, ACTIONS, 1, gamma)
    reward = np.random.default_rng(0).normal(size=(STATES, ACTIONS))
    config = configure(
        method="rl", feed="replay", temperature=tau, gamma=gamma, target_network=target, target_rate=0.1
    )
    spec = table_spec(mdp, ACTIONS)
    method, hparams = compiled(config, spec), hyper(config, spec)
    rates = np.geomspace(0.1, 1e-4, 6000).astype(np.float32)
    state = train(method, hparams, Batch(policy=every_pair(mdp, reward)), rates)
    (table,) = jax.tree.leaves(state.critic["net"])
    with jax.enable_x64(True):
        exact = soft_value_iteration(MDP(*(jnp.asarray(x) for x in mdp)), jnp.asarray(reward), tau)
    np.testing.assert_allclose(table[0], exact, atol=5e-3)


def test_rl_values_a_terminal_at_zero():
    gamma, tau, ends = 0.7, 0.3, np.arange(STATES) == 2
    mdp = deterministic_mdp(STATES, ACTIONS, 1, gamma)
    assert ends[mdp.transition.argmax(axis=-1)].any()
    reward = np.random.default_rng(0).normal(size=(STATES, ACTIONS))
    config = configure(method="rl", feed="replay", temperature=tau, gamma=gamma)
    spec = table_spec(mdp, ACTIONS)
    method, hparams = compiled(config, spec), hyper(config, spec)
    rates = np.geomspace(0.1, 1e-4, 6000).astype(np.float32)
    state = train(method, hparams, Batch(policy=every_pair(mdp, reward, ends)), rates)
    (table,) = jax.tree.leaves(state.critic["net"])
    q = np.zeros((STATES, ACTIONS))
    for _ in range(200):
        v = np.where(ends, 0.0, np.asarray(soft_value(jnp.asarray(q, jnp.float32), tau)))
        q = reward + gamma * mdp.transition @ v
    np.testing.assert_allclose(table[0], q, atol=5e-3)
