"""SAC on a 1-D box: values against numerical integration, the actor's step against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from iqlearn_jax.agents.common import Parts
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import make_method
from tests.common import configure, hyper, random_rows, spec_of

LOW, HIGH = np.float32([-2.0]), np.float32([1.0])
OBS = np.float32([[0.3, -1.2]])


def key():  # a fresh one each time: a key used twice is an error
    return jax.random.key(5)


def make(temperature=0.5, critics=2, **changes):
    config = configure(hidden=(16,), critics=critics, temperature=temperature, **changes)
    spec = spec_of(obs_shape=(2,), low=LOW, high=HIGH)
    agent, hparams = make_agent(config, spec), hyper(config, spec)
    state = agent.init(jax.random.key(1), hparams)
    wide = jax.tree.map(lambda p: 8.0 * p, state.actor)  # a mean and a spread that differ from 0 and 1
    return agent, hparams, state.replace(actor=wide)


def integrate(agent, hparams, state, fn):
    """∫ π(a|s) fn(a, log π(a|s)) da over the box, by the midpoint rule on 20 000 cells."""
    edges = np.linspace(LOW[0], HIGH[0], 20_001)
    middle = (0.5 * (edges[1:] + edges[:-1])).astype(np.float32)[:, None]
    obs = jnp.repeat(jnp.asarray(OBS), len(middle), axis=0)
    log_pi = np.float64(agent.log_prob(hparams, state.actor, 1.0, obs, middle))
    q = np.float64(agent.q(hparams, state.critic, obs, middle))
    mass = np.exp(log_pi) * (edges[1] - edges[0])
    # EDGE: the density of the outermost 0.05 % on either side is that of its inner end, thus not exact
    assert mass.sum() == pytest.approx(1.0, abs=5e-3)
    return (mass * fn(q, log_pi)).sum(axis=-1) / mass.sum()


@pytest.fixture(scope="module")
def sampled():
    agent, hparams, state = make()
    obs = jnp.repeat(jnp.asarray(OBS), 200_000, axis=0)
    return agent, hparams, state, obs


@pytest.mark.slow
def test_value_estimate_is_unbiased(sampled):
    agent, hparams, state, obs = sampled
    exact = integrate(agent, hparams, state, lambda q, log_pi: q.min(axis=0) - 0.5 * log_pi)
    drawn = np.float64(agent.value(hparams, state, state.critic, obs, key()))
    assert drawn.std() > 0.05
    assert drawn.mean() == pytest.approx(exact, abs=5 * drawn.std() / np.sqrt(len(drawn)) + 2e-3)


def test_expected_q_is_unbiased(sampled):
    agent, hparams, state, obs = sampled
    exact = integrate(agent, hparams, state, lambda q, log_pi: q)
    drawn = np.float64(agent.expected_q(hparams, state, state.critic, obs, key()))
    assert drawn.shape == (2, len(obs))
    np.testing.assert_allclose(drawn.mean(axis=1), exact, atol=5e-3)
    assert abs(exact[0] - exact[1]) > 0.02


def test_values_uses_the_given_action_for_q_and_its_own_for_v(sampled):
    agent, hparams, state, _ = sampled
    action = jnp.asarray([[0.2]])
    q, v = agent.values(hparams, state, state.critic, OBS, action, key())
    np.testing.assert_array_equal(q, agent.q(hparams, state.critic, OBS, action))
    np.testing.assert_array_equal(v, agent.value(hparams, state, state.critic, OBS, key()))


def test_networks_see_actions_in_plus_minus_one():
    agent, hparams, state = make(critics=1)
    narrow = make_agent(
        configure(hidden=(16,), critics=1),
        spec_of(obs_shape=(2,), low=np.float32([-1.0]), high=np.float32([1.0])),
    )
    inside = narrow.q(hparams, state.critic, OBS, jnp.asarray([[0.5]]))
    same = agent.q(hparams, state.critic, OBS, jnp.asarray([[-2.0 + 1.5 * 1.5]]))
    np.testing.assert_allclose(same, inside, rtol=1e-6)


def test_actor_step_climbs_q_plus_entropy():
    """Many steps of `improve` on one state reach the soft-optimal mean of a known Q."""
    agent, hparams, state = make(temperature=0.05, critics=1, actor_lr=3e-3)
    obs = jnp.repeat(jnp.asarray(OBS), 64, axis=0)

    def gain(s):
        big = jnp.repeat(jnp.asarray(OBS), 4096, axis=0)
        return float(agent.value(hparams, s, s.critic, big, key()).mean())

    @jax.jit
    def train(s):
        step = lambda s, k: (agent.improve(hparams, s, obs, k)[0], None)  # noqa: E731
        return jax.lax.scan(step, s, jax.random.split(key(), 800))[0]

    after = train(state)
    grid = jnp.linspace(LOW[0], HIGH[0], 4001)[:, None]
    q = np.float64(agent.q(hparams, state.critic, jnp.repeat(jnp.asarray(OBS), 4001, axis=0), grid))[0]
    cells = np.full(4001, (HIGH[0] - LOW[0]) / 4001)
    best = 0.05 * np.log(np.sum(np.exp(q / 0.05) * cells))  # τ log ∫ exp(Q/τ): no policy has more
    assert gain(state) < best - 0.05
    assert best - 0.03 < gain(after) <= best + 0.01
    for before, now in zip(jax.tree.leaves(state.critic), jax.tree.leaves(after.critic), strict=True):
        np.testing.assert_array_equal(before, now)


def test_actions_lie_in_the_box_and_the_deterministic_one_ignores_the_key():
    agent, hparams, state = make()
    obs = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32) * 100
    first, second = (agent.act(hparams, state, obs, jax.random.key(k), True) for k in (0, 1))
    np.testing.assert_array_equal(first, second)
    drawn = agent.act(hparams, state, obs, key(), False)
    other = agent.act(hparams, state, obs, jax.random.key(6), False)
    assert (drawn != other).any()
    for action in (first, drawn):
        assert action.shape == (500, 1)
        assert ((action >= LOW) & (action <= HIGH)).all()


def test_entropy_bound_is_the_log_volume_of_the_box():
    agent, hparams, state = make()
    assert agent.max_entropy == pytest.approx(np.log(3.0))
    assert integrate(agent, hparams, state, lambda q, log_pi: -log_pi) < agent.max_entropy
    assert stats.uniform(-2, 3).entropy() == pytest.approx(agent.max_entropy)


def test_an_anchored_actor_climbs_q_less_the_weighted_squares():
    """The gradient with an anchor less that without is β·mean|Q| times the squares' own; Adam is kept out."""
    changes = {"critics": 1, "actor_lr": 1.0}
    spec = spec_of(obs_shape=(2,), low=LOW, high=HIGH)
    config = configure(hidden=(16,), anchor=3.0, temperature=0.5, **changes)
    parts = Parts(optimizer=optax.identity())
    held, free = (make_agent(config, spec, parts, anchored=a) for a in (True, False))
    hparams = hyper(config, spec)
    state = held.init(jax.random.key(1), hparams)
    expert = jax.tree.map(jnp.asarray, random_rows(spec, 20))
    obs = jnp.repeat(jnp.asarray(OBS), 8, axis=0)

    def move(agent):
        after, _ = agent.improve(hparams, state, obs, key(), expert)
        return jax.tree.leaves(jax.tree.map(lambda a, b: a - b, state.actor, after.actor))

    drawn = free.act(hparams, state, obs, key())
    scale = np.abs(np.asarray(free.q(hparams, state.critic, obs, drawn))).mean()

    def squares(actor):
        play = free.act(hparams, state.replace(actor=actor), expert.obs, key(), True)
        return jnp.mean(jnp.square((play - expert.action) / ((HIGH - LOW) / 2)))

    slopes = jax.tree.leaves(jax.grad(squares)(state.actor))
    for with_it, without, own in zip(move(held), move(free), slopes, strict=True):
        np.testing.assert_allclose(with_it - without, 3.0 * scale * own, rtol=2e-3, atol=1e-6)
    assert scale > 0.01


@pytest.mark.parametrize("spec", [spec_of(num_actions=3), spec_of()], ids=["discrete", "one critic"])
def test_a_policy_without_an_actor_has_no_anchor(spec):
    with pytest.raises(InputError, match=r"config.anchor is 3.*set --config.anchor=0"):
        make_method(configure(method="iq", anchor=3.0), spec)
