"""The quadratic soft Q-function against integration, NumPy and problems whose answers are known."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from iqlearn_jax.agents.common import Learner, Parts
from iqlearn_jax.agents.gaussian_q import SPREAD, make_gaussian_q
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import make_method
from iqlearn_jax.methods.iq.bounds import value_bounds
from iqlearn_jax.methods.iq.loss import critic_loss
from iqlearn_jax.nets import Network
from iqlearn_jax.types import Batch
from tests.common import HIGH, LOW, configure, hyper, random_rows, spec_of
from tests.methods.iq_reference import UNIT

SPEC = spec_of(obs_shape=(2,))  # two actions in a box that is neither ±1 nor centred at 0
MIDDLE, HALF = (HIGH + LOW) / 2, (HIGH - LOW) / 2
OBS = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
LEARNED = {"learn_std": True}


def key():
    return jax.random.key(5)


def make(seed=1, spec=SPEC, **changes):
    """An agent whose mean, peak and σ depend on the observation."""
    config = configure(**{"hidden": (16,), "temperature": 0.3} | changes)
    agent, hparams = make_gaussian_q(config, spec), hyper(config, spec)
    state = agent.init(jax.random.key(seed), hparams)
    larger = jax.tree.map(lambda x: x + 0.5 * jax.random.normal(key(), x.shape), state.critic["net"])
    return agent, hparams, state.replace(critic=state.critic | {"net": larger})


def parts(hparams, state, obs, learned):
    """m, μ, σ of the network in NumPy: a ReLU layer and a linear one."""
    p = jax.tree.map(np.float64, state.critic["net"]["params"])
    x = np.maximum(obs @ p["MLP_0"]["Dense_0"]["kernel"] + p["MLP_0"]["Dense_0"]["bias"], 0)
    out = x @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]
    std = float(hparams["policy_std"]) * (SPREAD ** np.tanh(out[:, 2:4]) if learned else np.ones((len(x), 2)))
    return out[:, 4], np.tanh(out[:, :2]), std


def log_unit(hparams):
    """log of the unit of da: a Gaussian's volume at policy_std."""
    return np.sum(np.log(math.sqrt(2 * math.pi) * float(hparams["policy_std"]) * HALF))


def trained(method, batch, updates):
    """Parameters of the critic after updates on one batch."""
    state = method.init(key(), {})
    step = lambda _, s: method.update({}, s, batch, key())[0]  # noqa: E731
    return jax.jit(lambda s: jax.lax.fori_loop(0, updates, step, s))(state).critic["net"]


def plane(points=601, reach=12.0):
    """A grid of actions [N, 2] far beyond the box, and the area of a cell."""
    axes = [np.linspace(m - reach * h, m + reach * h, points) for m, h in zip(MIDDLE, HALF, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    return grid.astype(np.float32), np.prod([axis[1] - axis[0] for axis in axes])


def on_plane(agent, hparams, state, obs):
    """Q [N] in float64, and the area of a cell."""
    grid, cell = plane()
    q = agent.q(hparams, state.critic, jnp.repeat(jnp.asarray(obs)[None], len(grid), axis=0), grid)
    return np.float64(q[0]), cell


@pytest.mark.parametrize("changes", [{}, LEARNED, {"policy_std": 0.6}], ids=["fixed", "learned", "wide"])
def test_value_policy_and_means_are_those_of_integration(changes):
    """V = τ log ∫ exp(Q/τ), π ∝ exp(Q/τ), E_π[Q] and the entropy, on a grid of all actions."""
    agent, hparams, state = make(**changes)
    grid, _ = plane()
    for obs in OBS:
        q, cell = on_plane(agent, hparams, state, obs)
        top = q.max()
        v = top + 0.3 * np.log(np.sum(np.exp((q - top) / 0.3)) * cell)
        one = obs[None]
        actual = float(agent.value(hparams, state, state.critic, one, key())[0])
        assert actual == pytest.approx(v - 0.3 * log_unit(hparams), abs=2e-4)
        pi = np.exp((q - v) / 0.3)
        log_pi = agent.log_prob(hparams, state.critic, 0.3, np.repeat(one, len(grid), axis=0), grid)
        np.testing.assert_allclose(np.exp(np.float64(log_pi)), pi, rtol=2e-3, atol=1e-6)
        mean_q = agent.expected_q(hparams, state, state.critic, one, key())
        assert float(mean_q[0, 0]) == pytest.approx(np.sum(pi * q) * cell, abs=1e-3)
        _, metrics = agent.improve(hparams, state, one, key())
        assert float(metrics["policy/entropy"]) == pytest.approx(-np.sum(pi * (q - v) / 0.3) * cell, abs=1e-3)
        assert metrics["policy/entropy"] - log_unit(hparams) <= agent.max_entropy + 1e-5


@pytest.mark.parametrize("changes", [{}, LEARNED], ids=["fixed", "learned"])
def test_policy_is_the_gaussian_clipped_to_the_box(changes):
    agent, hparams, state = make(**changes)
    _, mean, std = parts(hparams, state, OBS, bool(changes))
    play = agent.act(hparams, state, OBS, key(), True)
    np.testing.assert_allclose(play, MIDDLE + HALF * mean, rtol=1e-5)
    action = random_rows(SPEC, 3).action
    exact = stats.norm(MIDDLE + HALF * mean, HALF * std).logpdf(action).sum(axis=-1)
    np.testing.assert_allclose(
        agent.log_prob(hparams, state.critic, 0.3, OBS, action), exact, rtol=1e-4, atol=1e-4
    )
    for row in range(3):
        drawn = np.float64(agent.act(hparams, state, np.repeat(OBS[row : row + 1], 100_000, axis=0), key()))
        assert ((drawn >= LOW) & (drawn <= HIGH)).all()
        lower, upper = ((edge - MIDDLE) / HALF for edge in (LOW, HIGH))
        for axis in range(2):
            gauss = stats.norm(mean[row, axis], std[row, axis])
            unit = (drawn[:, axis] - MIDDLE[axis]) / HALF[axis]
            assert (unit <= lower[axis] + 1e-6).mean() == pytest.approx(gauss.cdf(-1), abs=0.01)
            assert (unit >= upper[axis] - 1e-6).mean() == pytest.approx(gauss.sf(1), abs=0.01)
            assert np.median(unit) == pytest.approx(np.clip(mean[row, axis], -1, 1), abs=0.02)


def test_a_sure_policy_reaches_the_edge_of_the_box():
    """What a tanh-Gaussian cannot: a demonstrator on the edge has a density, and the edge is played."""
    agent, hparams, state = make()
    sure = jax.tree.map(lambda x: 1e3 * x, state.critic)
    play = np.asarray(agent.act(hparams, state.replace(critic=sure), OBS, key(), True))
    assert set(play.ravel().tolist()) <= {*LOW.tolist(), *HIGH.tolist()}
    assert np.isfinite(agent.log_prob(hparams, sure, 0.3, OBS, np.tile(HIGH, (3, 1)))).all()


@pytest.mark.parametrize("changes", [{}, LEARNED, {"terminal": "absorbing"}, {"value_term": "v0"}])
def test_the_loss_is_numpys(changes):
    """−J of eq. 12 (χ², α = ½), with and without terminals that go on, from m, μ and σ alone."""
    config = configure(**{"hidden": (16,), "temperature": 0.3, "gamma": 0.9} | changes)
    agent, hparams, state = make(**{"gamma": 0.9} | changes)
    state = state.replace(critic=state.critic | {"absorbing": jnp.float32(0.7)})
    rows, initial = random_rows(SPEC, 40), OBS
    batch = Batch(policy=None, expert=jax.tree.map(jnp.asarray, rows), initial=jnp.asarray(initial))
    loss, _ = critic_loss(Learner(config, agent, hparams, state), state.critic, batch, key())

    def q_and_v(obs, action):
        peak, mean, std = parts(hparams, state, obs, "learn_std" in changes)
        unit = (action - MIDDLE) / HALF
        volume = np.sum(np.log(std * HALF * math.sqrt(2 * math.pi)), axis=-1) - log_unit(hparams)
        return peak - 0.15 * np.sum(((unit - mean) / std) ** 2, axis=-1), peak + 0.3 * volume

    q, v = q_and_v(rows.obs, rows.action)
    absorbing = changes.get("terminal") == "absorbing"
    after_end = 0.7 / (1 - 0.9) if absorbing else 0.0
    next_v = np.where(rows.terminated, after_end, q_and_v(rows.next_obs, rows.action)[1])
    phi = UNIT["chi2"]
    loop = rows.terminated * (0.9 / (1 - 0.9)) * absorbing  # weight of the self-loop
    gain = 0.5 * phi((q - 0.9 * next_v) / 0.5) + loop * 0.5 * phi(0.7 / 0.5)
    if changes.get("value_term") == "v0":
        value_term = 0.1 * q_and_v(initial, rows.action[:3])[1].mean()
    else:
        value_term = np.mean(v - 0.9 * next_v + loop * 0.7)
    assert float(loss) == pytest.approx(value_term - gain.mean(), rel=1e-4)


def test_the_maximiser_of_a_linear_quadratic_problem():
    """A linear demonstrator with noise of variance v on each action, and a peak m that is one number: then μ
    is the demonstrator's gain, and E[(m − γV' − ½τd²)²] is least at m − γV' = ½τ Σ v/σ².
    """
    tau, gamma, sigma, noise = 0.5, 0.8, 0.3, 0.1
    rng = np.random.default_rng(0)
    slopes = np.array([[0.3, -0.2], [0.1, 0.4]])
    obs = rng.uniform(-1, 1, (64, 2)).astype(np.float32)
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    obs, unit = (
        np.repeat(obs, 4, axis=0),
        np.repeat(obs @ slopes, 4, axis=0) + noise * np.tile(signs, (64, 1)),
    )
    rows = random_rows(SPEC, 256, ends=0.0)
    rows = rows.replace(obs=obs, action=(MIDDLE + HALF * unit).astype(np.float32))
    batch = Batch(policy=None, expert=jax.tree.map(jnp.asarray, rows), initial=jnp.asarray(obs[:4]))

    def apply(params, x):
        return jnp.broadcast_to(params["m"], x.shape[:-1]), jnp.arctanh(x @ params["w"]), jnp.zeros_like(x)

    net = Network(lambda key, x: {"m": jnp.zeros(()), "w": jnp.zeros((2, 2))}, apply)
    config = configure(temperature=tau, gamma=gamma, policy_std=sigma, critic_lr=3e-3, updates=1)
    method = make_method(config, SPEC, networks={"critic": net})
    learned = trained(method, batch, 6000)
    np.testing.assert_allclose(learned["w"], slopes, atol=2e-3)
    # m − γV' = (1 − γ)m = ½τ Σ v/σ²
    assert float(learned["m"]) == pytest.approx(0.5 * tau * 2 * noise**2 / sigma**2 / (1 - gamma), abs=5e-3)


@pytest.mark.parametrize("terminal", ["zero", "absorbing"])
def test_a_network_of_zeros_gives_a_cloned_step_no_reward(terminal):
    """r(s, μ(s), s') = 0, also where the episode ends: nothing has to drift to where that leaves values."""
    config = configure(method="iq", terminal=terminal, hidden=(4,))
    method = make_method(config, SPEC)
    state = method.init(key(), {})
    state = state.replace(critic=jax.tree.map(jnp.zeros_like, state.critic))
    rows = jax.tree.map(jnp.asarray, random_rows(SPEC, 20, ends=0.5))
    rows = rows.replace(action=jnp.tile(jnp.asarray(MIDDLE), (20, 1)))  # μ is the middle
    assert rows.terminated.any()
    np.testing.assert_allclose(method.reward({}, state, rows, key()), 0.0, atol=1e-5)


@pytest.mark.parametrize("low", [-0.4, 0.0], ids=["narrow", "off centre"])
def test_bounds_of_values_hold_what_rewards_of_their_bounds_give(low):
    """γ = 0.99, τ = 1, 17 actions: V of a policy whose rewards are 0 lies inside ±4α/(1−γ)."""
    spec = spec_of(obs_shape=(2,), low=np.full(17, low, np.float32), high=np.full(17, 0.4, np.float32))
    config = configure(hidden=(4,), temperature=1.0, regularize="both")
    agent, hparams = make_gaussian_q(config, spec), hyper(config, spec)
    state = agent.init(key(), hparams)
    lower, upper = value_bounds(config, agent, hparams, 1.0)
    v = agent.value(hparams, state, state.critic, OBS, key())
    assert (lower < v).all() and (v < upper).all()
    assert float(upper) == pytest.approx((2.0 + 0.5 * 17) / 0.01, rel=1e-5)  # r at most 4α, ½ nat a dimension


def test_a_learned_deviation_is_the_demonstrators():
    """Cloning of actions with deviation 0.1 per half-width: σ is found between its bounds."""
    rng = np.random.default_rng(0)
    unit = 0.1 * rng.normal(size=(512, 2)) + 0.2
    rows = random_rows(SPEC, 512).replace(action=(MIDDLE + HALF * unit).astype(np.float32))
    batch = Batch(policy=None, expert=jax.tree.map(jnp.asarray, rows), initial=rows.obs[:4])
    net = Network(
        lambda key, x: {"mean": jnp.zeros(2), "width": jnp.zeros(2)},
        lambda p, x: (jnp.zeros(len(x)), jnp.tile(p["mean"], (len(x), 1)), jnp.tile(p["width"], (len(x), 1))),
    )
    config = configure(method="bc", learn_std=True, critic_lr=3e-3, updates=1)
    method = make_method(config, SPEC, networks={"critic": net})
    learned = trained(method, batch, 3000)
    np.testing.assert_allclose(np.tanh(learned["mean"]), unit.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(0.2 * SPREAD ** np.tanh(learned["width"]), unit.std(axis=0), rtol=1e-2)


def test_duality_on_a_chain():
    """E_ρπ[r] + τH(π) = (1−γ) E_ρ0[V]: what turns eq. 8 into eq. 9 holds for the Gaussian and its closed V.

    Four states in a row; an action above the middle of its axis goes right. Occupancies follow from the
    Gaussian's distribution function, rewards are integrated on a grid, nothing of it from the library.
    """
    agent, hparams, state = make(**{"gamma": 0.9})
    gamma, tau = 0.9, 0.3
    line = np.stack([np.linspace(-1, 1, 4), np.zeros(4)], axis=-1).astype(np.float32)
    _, mean, std = parts(hparams, state, line, learned=False)
    right = stats.norm(mean[:, 0], std[:, 0]).sf(0.0)
    up, down = np.minimum(np.arange(4) + 1, 3), np.maximum(np.arange(4) - 1, 0)
    moves = np.zeros((4, 4))
    np.add.at(moves, (np.arange(4), up), right)
    np.add.at(moves, (np.arange(4), down), 1 - right)
    occupancy = (1 - gamma) * np.linalg.solve(np.eye(4) - gamma * moves.T, np.eye(4)[0])
    v = np.float64(agent.value(hparams, state, state.critic, line, key()))
    grid, cell = plane()
    total = 0.0
    for s in range(4):
        q, _ = on_plane(agent, hparams, state, line[s])
        gauss = stats.norm(MIDDLE + HALF * mean[s], HALF * std[s])
        pi = gauss.pdf(grid).prod(axis=-1)
        following = np.where(grid[:, 0] > MIDDLE[0], v[up[s]], v[down[s]])
        reward = q - gamma * following
        entropy = gauss.entropy().sum() - log_unit(hparams)  # in units of da, as V counts it
        total += occupancy[s] * (np.sum(pi * reward) * cell + tau * entropy)
    assert total == pytest.approx((1 - gamma) * v[0], abs=2e-3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"critics": 2}, "config.critics is 2"),
        ({"learn_temperature": True}, "config.learn_temperature is True"),
        ({"absorbing_entropy": True}, "config.absorbing_entropy gives"),
    ],
)
def test_what_one_critic_cannot_be_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        make_method(configure(method="iq", policy_class="gaussian_q", **changes), SPEC)


def test_an_actor_is_refused():
    with pytest.raises(InputError, match="without an actor"):
        make_gaussian_q(configure(), SPEC, Parts(actor=object()))


@pytest.mark.parametrize(
    ("feed", "chosen", "field"),
    [
        ("demos", "auto", "critic"),
        ("replay", "auto", "actor"),
        ("demos", "sac", "actor"),
        ("replay", "gaussian_q", "critic"),
    ],
)
def test_offline_it_is_the_default(feed, chosen, field):
    config = configure(method="iq", feed=feed, policy_class=chosen, hidden=(8,))
    state = make_method(config, SPEC).init(key(), {})
    assert (jax.tree.leaves(state.actor) == []) == (field == "critic")
    assert make_agent(config, SPEC).policy_field == "actor"  # unless a method asks for it
