"""IQ-Learn with a critic that is the sum of its reward and of what follows, Q = r + f."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.agents.common import Learner
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import make_method
from iqlearn_jax.methods.iq.loss import critic_loss
from iqlearn_jax.types import Batch, Transition
from tests.common import compiled, configure, hyper, random_rows, spec_of
from tests.methods.iq_reference import gradient

SPEC = spec_of()  # observations of 3, actions of 2 in a box that is neither ±1 nor centred at 0
MIDDLE, HALF = 0.5 * (SPEC.action_high + SPEC.action_low), 0.5 * (SPEC.action_high - SPEC.action_low)
ALPHA, GAMMA, WEIGHT = 0.3, 0.9, 7.0
ONLINE = {
    "feed": "replay", "value_term": "policy", "regularize": "both", "terminal": "bounded",
    "split_critic": True, "policy_class": "sac", "gamma": GAMMA, "alpha": ALPHA,
}  # fmt: skip


def following(obs):
    """A value V(s) that the reference knows, counted from the least there is."""
    return 3.0 + obs.sum(axis=-1)


def outputs(spec, weights, rows):
    """A linear network's value of each row [N], and the length of its slope [N].

    Args:
      weights: [6] of (observation, action in half-widths of the box, 1), or [4, A] of (observation, 1).
    """
    if spec.discrete:
        taken = weights[:, rows.action].T
        return (rows.obs * taken[:, :-1]).sum(-1) + taken[:, -1], np.linalg.norm(taken[:, :-1], axis=-1)
    inputs = np.concatenate([rows.obs, (rows.action - MIDDLE) / HALF, np.ones((len(rows.obs), 1))], -1)
    return inputs @ weights, np.full(len(inputs), np.linalg.norm(weights[:-1]))


def reference(spec, batch, weights):
    """−J of the rewards, χ² over both kinds, the slopes' penalty and E[(f_e − γV' + r_min)²], in NumPy.

    Args:
      weights: [E + 1, ...] of the reward (first) and of each f_e, as in `outputs`.
    """
    own, squares = {}, {}
    for kind, rows in (("expert", batch.expert), ("policy", batch.policy)):
        rows = jax.tree.map(np.asarray, rows)
        end = 8 * ALPHA / (1 - GAMMA) if kind == "expert" else 0.0  # of ±4α/(1−γ), counted from the lower
        after = np.where(rows.terminated, end, following(rows.next_obs))
        own[kind], slopes = outputs(spec, weights[0], rows)
        futures = np.stack([outputs(spec, one, rows)[0] for one in weights[1:]])
        squares[kind] = np.mean((futures - GAMMA * after - 4 * ALPHA) ** 2, axis=1).sum()
    chi2 = sum(np.mean(r**2) for r in own.values()) / 2 / (4 * ALPHA)
    penalty = WEIGHT * np.mean((slopes - 2 * ALPHA) ** 2)
    return own["policy"].mean() - own["expert"].mean() + chi2 + penalty + sum(squares.values()) / 2


def linear(weights, batched):
    """Parameters of a network without hidden layers that has the weights."""
    weights = weights if batched else weights[None]
    weights = weights if weights.ndim == 3 else weights[..., None]
    dense = {"kernel": weights[:, :-1], "bias": weights[:, -1]}
    return {"params": {"Dense_0": dense if batched else jax.tree.map(lambda x: x[0], dense)}}


@pytest.mark.parametrize("critics", [1, 2])
@pytest.mark.parametrize("spec", [SPEC, spec_of(num_actions=3)], ids=["continuous", "discrete"])
def test_loss_and_gradient_are_the_references(spec, critics):
    """Of the gradient, too: f learns nothing from J, r nothing from what follows."""
    with jax.enable_x64(True):
        config = configure(hidden=(), critics=critics, gradient_penalty=WEIGHT, **ONLINE)
        agent = make_agent(config, spec, policy_class="sac", split=True)
        agent = agent._replace(value=lambda hparams, state, critic, obs, key: following(obs))
        hparams = hyper(config, spec, jnp.float64)
        state = agent.init(jax.random.key(0), hparams)
        policy, expert = (random_rows(spec, 6, seed, 0.4) for seed in (6, 7))
        if spec.discrete:  # so that no interpolated point takes another action
            policy = policy.replace(action=expert.action)
        batch = jax.tree.map(jnp.asarray, Batch(policy=policy, expert=expert, initial=expert.obs))

        def loss(weights):
            net = {"reward": linear(weights[0], False), "future": linear(weights[1:], True)}
            assert jax.tree.map(jnp.shape, net) == jax.tree.map(jnp.shape, state.critic["net"])
            learner = Learner(config, agent, hparams, state)
            return critic_loss(learner, state.critic | {"net": net}, batch, jax.random.key(1))[0]

        shape = (critics + 1, 4, 3) if spec.discrete else (critics + 1, 6)
        weights = np.random.default_rng(0).normal(size=shape)
        value, slope = jax.jit(jax.value_and_grad(loss))(jnp.asarray(weights))
    assert policy.terminated.any() and expert.terminated.any() and not policy.terminated.all()
    np.testing.assert_allclose(value, reference(spec, batch, weights), rtol=1e-6)
    wanted = gradient(partial(reference, spec, batch), weights)
    np.testing.assert_allclose(slope, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("target", [True, False])
def test_the_reward_does_not_learn_from_what_follows(target):
    """Other successors change f's gradient and no part of r's, though V(s') is made of both."""
    config = configure(hidden=(8,), target_network=target, **ONLINE)
    agent, hparams = make_agent(config, SPEC, policy_class="sac", split=True), hyper(config, SPEC)
    state = agent.init(jax.random.key(0), hparams)
    policy, expert = (random_rows(SPEC, 6, seed, 0.4) for seed in (6, 7))
    batch = jax.tree.map(jnp.asarray, Batch(policy=policy, expert=expert, initial=expert.obs))
    moved = batch.replace(policy=batch.policy.replace(next_obs=batch.policy.next_obs + 1.0))

    @jax.jit
    def slopes(rows):
        fn = lambda c: critic_loss(Learner(config, agent, hparams, state), c, rows, jax.random.key(1))[0]  # noqa: E731
        return jax.grad(fn)(state.critic)["net"]

    before, after = slopes(batch), slopes(moved)
    for one, other in zip(*map(jax.tree.leaves, (before["reward"], after["reward"])), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    gaps = jax.tree.map(lambda x, y: float(jnp.abs(x - y).max()), before["future"], after["future"])
    assert max(jax.tree.leaves(gaps)) > 1e-2


def repeated(obs, next_obs, ended):
    """Rows [N] at places on a line, the middle action."""
    obs, next_obs = (jnp.asarray(x, jnp.float32)[:, None] * jnp.ones(3) for x in (obs, next_obs))
    ended = jnp.asarray(ended)
    action = jnp.broadcast_to(jnp.asarray(MIDDLE, jnp.float32), (len(obs), 2))
    return Transition(
        obs=obs,
        action=action,
        reward=jnp.zeros(len(obs)),
        next_obs=next_obs,
        terminated=ended,
        truncated=jnp.zeros_like(ended),
    )


def test_rewards_are_the_closed_form_and_values_follow():
    """Places 0 and 1: the expert stays at 0, the learner is there in a fifth of its rows and ends from 1.
    r = 4α(ρ_E − ρ)/(ρ_E + ρ); V(0) is r/(1−γ), and of 1 nothing is left but r and the least after an end.
    """
    config = configure(hidden=(32,), critic_lr=1e-2, target_network=True, target_rate=0.1, **ONLINE)
    config.temperature = 1e-6
    method, hparams = compiled(config, SPEC), hyper(config, SPEC)
    hparams |= {"actor_lr": jnp.float32(0.0)}
    at_one = repeated([1.0] * 8, [1.0] * 8, [True] * 8)
    at_zero = repeated([0.0] * 10, [0.0] * 10, [False] * 10)
    mixed = jax.tree.map(lambda zero, one: jnp.concatenate([zero[:2], one]), at_zero, at_one)
    batch = Batch(policy=mixed, expert=at_zero, initial=at_zero.obs)

    @jax.jit
    def train(state):
        def step(state, i):
            rates = {"critic_lr": 1e-2 * 0.998**i}
            return method.update(hparams | rates, state, batch, jax.random.key(i))[0], None

        return jax.lax.scan(step, state, jnp.arange(2000))[0]

    state = train(method.init(jax.random.key(0), hparams))
    places = repeated([0.0, 1.0], [0.0, 1.0], [False, True])
    inside, outside = 4 * ALPHA * (1 - 0.2) / (1 + 0.2), -4 * ALPHA
    reward = method.reward(hparams, state, places, jax.random.key(0))
    np.testing.assert_allclose(reward, [inside, outside], atol=0.03)
    agent = make_agent(config, SPEC, policy_class="sac", split=True)
    q = agent.q(hparams, state.critic, places.obs, places.action)[0] - 4 * ALPHA / (1 - GAMMA)
    drawn = method.value(hparams, state, jnp.zeros((1000, 3)), jax.random.key(0))  # of the policy's actions
    following_zero = jnp.mean(drawn)
    np.testing.assert_allclose(q, [inside + GAMMA * following_zero, outside / (1 - GAMMA)], atol=0.1)
    assert following_zero > outside / (1 - GAMMA) + 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"terminal": "zero"}, "config.terminal is 'zero'.*--config.terminal=bounded"),
        ({"value_term": "mixture"}, "'mixture'; set.*--config.value_term=policy"),
        ({"state_only": True}, "reward of .s, a..*--config.infer_actions=True"),
        ({"policy_class": "gaussian_q"}, "a parabola; set --config.policy_class=sac"),
    ],
)
def test_refused(changes, message):
    with pytest.raises(InputError, match=message):
        make_method(configure(**ONLINE | changes), SPEC)
