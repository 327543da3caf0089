"""Values and policy relative to the rows' behaviour, against closed forms and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.agents.common import Learner
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import make_method
from iqlearn_jax.methods.iq.loss import Rewards, critic_loss, in_sample_value_loss
from iqlearn_jax.ops.iq.soft import STEEPEST, exponential_regression
from iqlearn_jax.types import Batch
from tests.common import HIGH, LOW, configure, hyper, random_rows, spec_of

SPEC = spec_of(obs_shape=(2,))  # two actions in a box that is neither ±1 nor centred at 0
MIDDLE, HALF = (HIGH + LOW) / 2, (HIGH - LOW) / 2
TAU, STD = 0.7, 0.3
OFFLINE = {
    "feed": "demos", "data__path": "play.npz", "split_critic": True, "policy_class": "in_sample",
    "value_term": "policy", "regularize": "both", "terminal": "bounded", "temperature": TAU,
    "policy_std": STD, "hidden": (16,),
}  # fmt: skip


def key():
    return jax.random.key(3)


def make(**changes):
    config = configure(**OFFLINE | changes)
    agent, hparams = make_agent(config, SPEC, policy_class="in_sample", split=True), hyper(config, SPEC)
    state = agent.init(jax.random.key(1), hparams)
    return config, agent, hparams, state.replace(actor=jax.tree.map(lambda p: 8.0 * p, state.actor))


def both(size=6):
    policy, expert = (random_rows(SPEC, size, seed, 0.4) for seed in (6, 7))
    return jax.tree.map(jnp.asarray, Batch(policy=policy, expert=expert, initial=expert.obs))


def test_the_least_of_the_regression_is_the_soft_value_of_the_behaviour():
    """V = τ log E_μ[exp(Q/τ)] of a behaviour μ on a few actions whose Q is known."""
    q, mu = jnp.array([1.0, 1.7, 0.2, -0.5]), jnp.array([0.4, 0.1, 0.3, 0.2])
    wanted = TAU * jnp.log(jnp.sum(mu * jnp.exp(q / TAU)))
    slope = jax.grad(lambda v: jnp.sum(mu * exponential_regression((q - v) / TAU)))
    assert float(slope(wanted)) == pytest.approx(0.0, abs=1e-6)
    assert float(slope(wanted - 0.01)) < 0 < float(slope(wanted + 0.01))


def test_the_regression_is_a_straight_line_beyond_its_steepest():
    """Value and slope of exp(z) − z − 1 up to there, the slope's value there beyond."""
    z = np.array([-30.0, -1.0, 0.0, 2.0, STEEPEST, STEEPEST + 3.0, STEEPEST + 300.0])
    bent = np.minimum(z, STEEPEST)
    np.testing.assert_allclose(
        exponential_regression(jnp.asarray(z)), np.exp(bent) * (1 + z - bent) - z - 1, rtol=1e-5, atol=1e-6
    )
    slopes = jax.vmap(jax.grad(exponential_regression))(jnp.asarray(z))
    np.testing.assert_allclose(slopes, np.exp(bent) - 1, rtol=1e-5, atol=1e-6)


def test_value_loss_weighs_both_kinds_half_and_takes_the_smallest_critic():
    q, v = np.array([[1.0, 2.0, 0.5], [1.5, 0.0, 0.7]]), np.array([0.3, 0.4, 0.2])
    expert = np.array([0.0, 0.0, 1.0])
    z = (q.min(axis=0) - v) / TAU
    each = TAU**2 * (np.exp(z) - z - 1)
    sample = Rewards(*(jnp.asarray(x) for x in (q, q, v, v, v, expert)))
    wanted = each[:2].mean() / 2 + each[2] / 2
    assert float(in_sample_value_loss(sample, TAU)) == pytest.approx(wanted, rel=1e-5)


def test_v_learns_from_its_regression_alone_and_nothing_else_from_it():
    """V's slope is the regression's; those of r and f do not see the temperature, which it alone has."""
    config, agent, hparams, state = make(target_network=True)

    @jax.jit
    def slopes(temperature):
        warm = state.replace(log_temperature=jnp.log(temperature))
        learner = Learner(config, agent, hparams, warm)
        return jax.grad(lambda critic: critic_loss(learner, critic, both(), key())[0])(state.critic)["net"]

    def regression(params):
        critic = state.critic | {"net": state.critic["net"] | {"value": params}}
        rows = jax.tree.map(lambda *x: jnp.concatenate(x), both().policy, both().expert)
        q, v = agent.values(hparams, state, critic, rows.obs, rows.action, key())
        return TAU**2 * jnp.mean(exponential_regression((q.min(axis=0) - v) / TAU))

    wanted = jax.jit(jax.grad(regression))(state.critic["net"]["value"])
    at, warmer = slopes(TAU), slopes(3.0 * TAU)
    for name, other in (("value", wanted), ("reward", warmer["reward"]), ("future", warmer["future"])):
        for one, two in zip(*map(jax.tree.leaves, (at[name], other)), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_the_actor_clones_rows_by_their_weights():
    """One step's gradient against −mean exp(min(z, 5))·log N(a; mode, σ²) in NumPy."""
    _, agent, hparams, state = make()
    rows = both().policy
    q, v = agent.values(hparams, state, state.critic, rows.obs, rows.action, key())
    weight = np.exp(np.minimum((np.asarray(q).min(axis=0) - np.asarray(v)) / TAU, STEEPEST))
    assert np.ptp(weight) > 0.05

    def clone(actor):
        mode = agent.act(hparams, state.replace(actor=actor), rows.obs, key(), deterministic=True)
        return jnp.mean(weight * jnp.sum(((mode - rows.action) / HALF / STD) ** 2, axis=-1)) / 2

    wanted = jax.grad(clone)(state.actor)
    _, metrics = jax.jit(agent.improve)(hparams, state, rows.obs, key(), rows)
    length = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(wanted)))
    assert float(metrics["policy/grad_norm"]) == pytest.approx(length, rel=1e-4)
    assert float(metrics["policy/weight"]) == pytest.approx(weight.mean(), rel=1e-5)


def test_actions_are_drawn_around_the_mode_with_the_fixed_width():
    """Inside the box, whose edge cuts a share off."""
    _, agent, hparams, state = make()
    obs = jnp.zeros((20_000, 2))
    mode = np.asarray(agent.act(hparams, state, obs[:1], key(), deterministic=True))[0]
    drawn = np.asarray(agent.act(hparams, state, obs, key(), deterministic=False))
    assert (drawn >= LOW).all() and (drawn <= HIGH).all()
    wanted = np.clip(np.random.default_rng(0).normal(mode, STD * HALF, (20_000, 2)), LOW, HIGH)
    np.testing.assert_allclose(drawn.mean(axis=0), wanted.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(drawn.std(axis=0), wanted.std(axis=0), rtol=0.03)


def test_v_ends_at_the_soft_value_of_the_rows():
    """Of three actions in one state, by many steps on the value loss; Q is held."""
    _, agent, hparams, state = make(critic_lr=3e-3)
    actions = jnp.asarray(LOW + (HIGH - LOW) * np.array([[0.1, 0.5], [0.5, 0.5], [0.9, 0.5]]), jnp.float32)
    rows = random_rows(SPEC, 3, 0, 0.0)
    rows = jax.tree.map(jnp.asarray, rows).replace(action=actions, obs=jnp.zeros((3, 2)))
    fixed = agent.q(hparams, state.critic, rows.obs, rows.action)
    sample = lambda v: Rewards(fixed, fixed, v, v, v, jnp.zeros(3))  # noqa: E731

    def loss(params):
        critic = state.critic | {"net": state.critic["net"] | {"value": params}}
        return in_sample_value_loss(sample(agent.value(hparams, state, critic, rows.obs, key())), TAU)

    step = lambda _, p: jax.tree.map(lambda x, g: x - 0.02 * g, p, jax.grad(loss)(p))  # noqa: E731
    params = jax.jit(lambda p: jax.lax.fori_loop(0, 2000, step, p))(state.critic["net"]["value"])
    critic = state.critic | {"net": state.critic["net"] | {"value": params}}
    actual = agent.value(hparams, state, critic, rows.obs[:1], key())[0]
    q = np.asarray(fixed).min(axis=0)
    assert float(actual) == pytest.approx(TAU * np.log(np.mean(np.exp(q / TAU))), abs=1e-3)
    assert np.ptp(q) > 0.05


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data__path": ""}, r"config\.data\.path is '' and config\.split_critic True; set both"),
        ({"split_critic": False, "value_term": "mixture"}, r"config\.split_critic False; set both"),
        ({"learn_temperature": True}, "config.learn_temperature is True, but with policy class 'in_sample'"),
        ({"anchor": 1.0}, r"config\.anchor is 1\.0; .* set --config\.anchor=0"),
        (
            {"method": "bc", "split_critic": False},
            "method 'bc' has none; set --config",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        make_method(configure(**OFFLINE | changes), SPEC)


def test_discrete_actions_keep_their_exact_values():
    """The class is one of policies over continuous actions: discrete ones have no network of V."""
    spec = spec_of(obs_shape=(2,), num_actions=3)
    method = make_method(configure(**OFFLINE), spec)
    state = method.init(key(), {})
    assert "value" not in state.critic["net"]
