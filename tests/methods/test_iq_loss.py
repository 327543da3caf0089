"""critic_loss, value and gradient, against `iq_reference` in float64 on random tables."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from iqlearn_jax.agents.common import Learner
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.methods.iq.loss import critic_loss
from iqlearn_jax.ops.iq.divergences import DIVERGENCES
from iqlearn_jax.types import Batch, Transition
from tests.common import configure, deterministic_mdp, hyper, table_spec
from tests.methods.iq_reference import INSIDE, Setting, gradient, loss

STATES, ACTIONS = 5, 3
SPEC = table_spec(deterministic_mdp(STATES, ACTIONS, 0), ACTIONS)
VARIANTS = {
    "plain": {},
    "mixture": {"value_term": "mixture"},
    "v0": {"value_term": "v0"},
    "v0_all": {"value_term": "v0_all", "feed": "replay"},
    "target": {"target_network": True},
    "target mixture": {"target_network": True, "value_term": "mixture"},
    "target v0": {"target_network": True, "value_term": "v0"},
    "policy": {"feed": "replay", "value_term": "policy"},
    "target policy": {"feed": "replay", "value_term": "policy", "target_network": True},
    "absorbing policy": {"feed": "replay", "value_term": "policy", "terminal": "absorbing"},
    "clip": {"clip_targets": True},
    "state only": {"state_only": True, "value_term": "mixture"},
    "absorbing": {"terminal": "absorbing"},
    "absorbing entropy": {"terminal": "absorbing", "absorbing_entropy": True, "value_term": "mixture"},
    "absorbing target": {"terminal": "absorbing", "target_network": True},
    "absorbing v0": {"terminal": "absorbing", "value_term": "v0", "state_only": True},
}
BOUNDED = {
    "bounded": {"terminal": "bounded"},
    "bounded clip": {"terminal": "bounded", "clip_targets": True, "value_term": "mixture"},
    "bounded target": {"terminal": "bounded", "target_network": True, "value_term": "v0"},
}
BOTH = {"regularize": "both"}


def cases():
    for name in DIVERGENCES:
        variants = VARIANTS | (BOUNDED if name == "tv" else {})
        for title, changes in variants.items():
            marks = pytest.mark.slow if " " in title and name != "chi2" else ()
            yield pytest.param(name, changes, id=f"{name}-{title}", marks=marks)
        if name != "chi2":
            online = {"feed": "replay", "value_term": "policy", "terminal": "absorbing", "clip_targets": True}
            yield pytest.param(name, online | BOTH, id=f"{name}-both")
    for title, changes in (VARIANTS | BOUNDED).items():
        yield pytest.param("chi2", changes | BOTH, id=f"both-{title}")


def rows(rng, size):
    """(s, a, s', terminated, truncated); something ends and something is cut in every batch."""
    s, after = rng.integers(0, STATES, (2, size))
    end, cut = rng.random(size) < 0.25, rng.random(size) < 0.2
    end[0], cut[0], end[1], cut[1] = True, False, False, True
    return s, rng.integers(0, ACTIONS, size), after, end, cut & ~end


def transition(actual):
    s, a, after, end, cut = (jnp.asarray(x) for x in actual)
    return Transition(
        obs=s.astype(jnp.int32),
        action=a.astype(jnp.int32),
        reward=jnp.full(len(s), jnp.nan),  # whoever reads it is found out
        next_obs=after.astype(jnp.int32),
        terminated=end,
        truncated=cut,
    )


def tables(rng, setting, critics, noise):
    """Two sets of tables around the level at which rewards are inside the domain."""
    reward = setting.alpha * INSIDE.get(setting.divergence, 0.3)
    level = (reward + setting.gamma * setting.temperature * np.log(ACTIONS)) / (1 - setting.gamma)
    return level + noise * rng.normal(size=(2, critics, STATES, ACTIONS)), reward + 0.1 * rng.normal(size=2)


def with_table(state, table, theta, target, target_theta):
    def critic(values, absorbing):
        net = jax.tree.map(lambda _: jnp.asarray(values), state.critic["net"])
        return {"net": net, "absorbing": jnp.asarray(absorbing)}

    return state.replace(
        critic=critic(table, theta),
        target_critic=critic(target, target_theta),
        log_temperature=jnp.asarray(state.log_temperature, jnp.float64),
    )


def compare(setting, critics=2, noise=0.15, seed=0, offline=False):
    """Loss and gradients of the library and of the reference on one random problem."""
    rng = np.random.default_rng(seed)
    policy, expert, initial = rows(rng, 7), rows(rng, 11), rng.integers(0, STATES, 4)
    (table, target), (theta, target_theta) = tables(rng, setting, critics, noise)
    replay = None if offline else policy[:4]
    exact = partial(loss, setting)
    rest = (target, target_theta, replay, expert[:4], initial)
    wanted = exact(table, theta, *rest)
    wanted_slope = gradient(lambda t: exact(t, theta, *rest), table)
    wanted_theta = gradient(lambda t: exact(table, float(t[0]), *rest), np.array([theta]))[0]
    with jax.enable_x64(True):
        config = configure(critics=critics, **vars(setting))
        agent, hparams = make_agent(config, SPEC), hyper(config, SPEC, jnp.float64)
        state = with_table(start_state(critics), table, theta, target, target_theta)
        state = state.replace(log_temperature=jnp.log(hparams["temperature"]))
        batch = Batch(
            policy=None if offline else transition(policy),
            expert=transition(expert),
            initial=jnp.asarray(initial, jnp.int32),
        )
        learner = Learner(config, agent, hparams, state)
        fn = lambda c: critic_loss(learner, c, batch, jax.random.key(0))  # noqa: E731
        (actual, metrics), slope = jax.value_and_grad(fn, has_aux=True)(state.critic)
        assert actual.dtype == jnp.float64
    assert ("iq/reward_policy" in metrics) == (batch.policy is not None)  # no mean over no rows
    np.testing.assert_allclose(actual, wanted, rtol=1e-9, atol=1e-9)
    (net,) = jax.tree.leaves(slope["net"])
    assert np.abs(net).max() > 1e-3
    scale = max(1.0, np.abs(wanted_slope).max())
    np.testing.assert_allclose(net, wanted_slope, atol=2e-7 * scale)
    np.testing.assert_allclose(slope["absorbing"], wanted_theta, atol=2e-7 * max(1, abs(wanted_theta)))
    if setting.terminal == "absorbing" and setting.divergence not in ("w1", "tv"):  # a straight φ cancels
        assert abs(wanted_theta) > 1e-4


def start_state(critics):
    config = configure(critics=critics)
    return make_agent(config, SPEC).init(jax.random.key(0), hyper(config, SPEC))


@pytest.mark.parametrize(("divergence", "changes"), list(cases()))
def test_loss_and_gradient_are_the_references(divergence, changes):
    compare(Setting(divergence=divergence, **changes))


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_far_outside_the_domain_too(divergence):
    compare(Setting(divergence=divergence, value_term="mixture", phi_slope=30.0), noise=3.0, seed=1)


@pytest.mark.parametrize("divergence", ["chi2", "tv", pytest.param("js", marks=pytest.mark.slow)])
@pytest.mark.parametrize("value_term", ["v0", "expert", "mixture"])
def test_offline(divergence, value_term):
    compare(Setting(divergence=divergence, value_term=value_term), critics=1, seed=2, offline=True)


@pytest.mark.parametrize("critics", [1, 3])
def test_number_of_critics(critics):
    compare(Setting(value_term="mixture", clip_targets=True), critics=critics, seed=3)


@pytest.mark.parametrize(
    "changes", [{}, {"target_network": True, "terminal": "absorbing"}, {"feed": "replay"}]
)
def test_next_actions_enter_what_is_linear_in_the_reward(changes):
    """E[r − (V(s) − γV(s'))] over the rows (s', a', s''), too, whatever s'' is: nothing else of J moves."""
    rng = np.random.default_rng(4)
    setting = Setting(value_term="expert", **changes)
    (table, target), ends = tables(rng, setting, 2, 0.5)
    policy, expert, next_action = rows(rng, 7), rows(rng, 11), rng.integers(0, ACTIONS, 11)
    s, a, after, end, cut = expert
    followed = ~(end | cut)
    anywhere = rng.integers(0, STATES, followed.sum())
    replay = policy[:4] if setting.feed == "replay" else None

    def gain(table):
        v = setting.temperature * logsumexp(table.min(axis=0) / setting.temperature, axis=-1)

        def linear(obs, action, successor):
            reward = table[:, obs, action] - setting.gamma * v[successor]
            return reward - (v[obs] - setting.gamma * v[successor])

        shown = linear(s, a, after)
        following_rows = linear(after[followed], next_action[followed], anywhere)
        return np.concatenate([shown, following_rows], axis=1).mean() - shown.mean()

    def exact(table):
        return loss(setting, table, ends[0], target, ends[1], replay, expert[:4], s) - gain(table)

    def actual(actions):
        config = configure(critics=2, next_actions=True, **vars(setting))
        agent, hparams = make_agent(config, SPEC), hyper(config, SPEC, jnp.float64)
        state = with_table(start_state(2), table, ends[0], target, ends[1])
        state = state.replace(log_temperature=jnp.log(hparams["temperature"]))
        batch = Batch(
            policy=None if replay is None else transition(policy),
            expert=transition(expert),
            next_action=jnp.asarray(actions, jnp.int32),
            initial=jnp.asarray(s, jnp.int32),
        )
        learner = Learner(config, agent, hparams, state)
        fn = lambda c: critic_loss(learner, c, batch, jax.random.key(0))[0]  # noqa: E731
        value, slope = jax.value_and_grad(fn)(state.critic)
        return value, jax.tree.leaves(slope["net"])[0]

    with jax.enable_x64(True):
        value, slope = actual(next_action)
        behind_ends, _ = actual((next_action + (end | cut)) % ACTIONS)
    np.testing.assert_allclose(value, exact(table), rtol=1e-9)
    np.testing.assert_allclose(slope, gradient(exact, table), atol=2e-7)
    assert behind_ends == value
    assert abs(gain(table)) > 1e-3 and np.abs(gradient(gain, table)).max() > 1e-3
