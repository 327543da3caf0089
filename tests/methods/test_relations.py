"""Other methods that are settings of IQ-Learn: conservative Q-learning, O-NAIL, eq. 12 out of eq. 9."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.agents.common import Learner
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.methods.iq.loss import critic_loss
from iqlearn_jax.ops.iq import objectives
from iqlearn_jax.ops.iq.divergences import DIVERGENCES, guarded_phi
from iqlearn_jax.ops.iq.soft import soft_value
from iqlearn_jax.ops.tabular.mdp import MDP, objective, occupancy
from iqlearn_jax.types import Batch, Transition
from tests.common import configure, deterministic_mdp, hyper, table_spec

STATES, ACTIONS, ROWS = 5, 3, 40
SPEC = table_spec(deterministic_mdp(STATES, ACTIONS, 0), ACTIONS)
GAMMA, TEMPERATURE, ALPHA = 0.9, 0.4, 0.3


@pytest.fixture(autouse=True, scope="module")
def _x64():
    with jax.enable_x64(True):
        yield


class Data:
    """Rows of an expert (one of them terminal), start states, and two tables: Q and the target's."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.s, self.after = rng.integers(0, STATES, (2, ROWS))
        self.a = rng.integers(0, ACTIONS, ROWS)
        self.goes_on = np.arange(ROWS) != 3
        self.start = rng.integers(0, STATES, 7)
        self.q, self.target = rng.normal(0.5, 1.0, (2, STATES, ACTIONS))

    def batch(self):
        zeros = jnp.zeros(ROWS)
        rows = Transition(
            obs=jnp.asarray(self.s), action=jnp.asarray(self.a), reward=zeros * jnp.nan,
            next_obs=jnp.asarray(self.after), terminated=jnp.asarray(~self.goes_on), truncated=zeros > 0,
        )  # fmt: skip
        return Batch(expert=rows, initial=jnp.asarray(self.start))


def of_iq(data, **changes):
    """(loss, gradient [S, A]) of the method `iq` where its tables hold data.q and data.target."""
    common = {"temperature": TEMPERATURE, "alpha": ALPHA, "gamma": GAMMA, "terminal": "zero"}
    config = configure(**common | changes)
    hparams, agent = hyper(config, SPEC, jnp.float64), make_agent(config, SPEC)
    state = agent.init(jax.random.key(0), hparams)
    fill = lambda critic, table: jax.tree.map(  # noqa: E731
        lambda x: jnp.asarray(table).reshape(x.shape) if x.size == table.size else jnp.zeros(x.shape), critic
    )
    state = state.replace(
        critic=fill(state.critic, data.q),
        target_critic=fill(state.target_critic, data.target),
        log_temperature=jnp.log(TEMPERATURE),
    )

    def loss(critic):
        return critic_loss(Learner(config, agent, hparams, state), critic, data.batch(), jax.random.key(1))[0]

    value, grads = jax.value_and_grad(loss)(state.critic)
    table = next(leaf for leaf in jax.tree.leaves(grads) if leaf.size == data.q.size)
    return value, np.asarray(table).reshape(data.q.shape)


def numpy_soft_value(q):
    return TEMPERATURE * np.log(np.sum(np.exp(q / TEMPERATURE), axis=-1))


def conservative_q(data, bootstrap):
    """Soft CQL(H) with zero reward: c·E[V(s) − Q(s,a)] + ½E[(Q(s,a) − γV̄(s'))²], weight c = 2α (Kumar et al.
    2020, eq. 4). Its gradient by hand: nothing flows through V̄(s').

    Args:
      bootstrap: [S, A] table that values successors.
    """
    q, weight = data.q, 2 * ALPHA
    taken = q[data.s, data.a]
    error = taken - GAMMA * data.goes_on * numpy_soft_value(bootstrap)[data.after]
    value = weight * np.mean(numpy_soft_value(q)[data.s] - taken) + 0.5 * np.mean(error**2)
    policy = np.exp((q - numpy_soft_value(q)[:, None]) / TEMPERATURE)
    slope = np.zeros_like(q)
    for s, a, wrong in zip(data.s, data.a, error, strict=True):
        slope[s] += weight * policy[s] / ROWS
        slope[s, a] += (wrong - weight) / ROWS
    return value, slope


@pytest.mark.parametrize(
    "stopped",
    [
        pytest.param(True, id="V(s') stopped"),
        pytest.param(False, id="V(s') in the gradient", marks=pytest.mark.slow),
    ],
)
def test_offline_chi2_is_conservative_q_learning_without_rewards(stopped):
    """−J of χ² with the expert's value term, times 2α: the same number always, the same slope if V(s') is
    stopped, which `target_network` does. Without it the slope holds what CQL leaves out."""
    data = Data()
    value, slope = of_iq(data, divergence="chi2", value_term="expert", target_network=stopped)
    expected, expected_slope = conservative_q(data, data.target if stopped else data.q)
    np.testing.assert_allclose(2 * ALPHA * value, expected, rtol=1e-12)
    gap = np.abs(2 * ALPHA * slope - expected_slope).max()
    assert gap < 1e-13 if stopped else gap > 1e-2


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01])
def test_towards_temperature_zero_it_is_rcal_without_margin_and_with_squared_rewards(temperature):
    """E[max Q − Q(s,a)] + E[(Q − γ max Q')²]/4α lies below −J by no more than τ log A · (1 + slope of the
    square): the bound that log-sum-exp gives."""
    data = Data()
    hard = np.max(data.q, axis=-1)
    taken, factor = data.q[data.s, data.a], GAMMA * data.goes_on
    square = lambda v: np.mean((taken - factor * v[data.after]) ** 2) / (4 * ALPHA)  # noqa: E731
    rcal = np.mean(hard[data.s] - taken) + square(hard)
    soft = np.asarray(soft_value(jnp.asarray(data.q), temperature))
    phi = partial(guarded_phi, DIVERGENCES["chi2"], alpha=ALPHA)
    reward, drop = taken - factor * soft[data.after], soft[data.s] - factor * soft[data.after]
    actual = objectives.iq_loss(phi, jnp.asarray(reward), jnp.mean(drop), jnp.ones(ROWS))
    shift = temperature * np.log(ACTIONS)
    largest = np.abs(taken).max() + np.abs(soft).max() + shift
    assert abs(actual - rcal) <= shift * (1 + largest / (2 * ALPHA))


def test_o_nail_is_reverse_kl():
    """O-NAIL minimises KL(ρ‖ρ_E) by its Fenchel dual in Q (Arenz & Neumann 2020): for the policy that is
    soft-optimal for Q, −J = E_E[e^{−(Q − γV(s')) − 1}] + (1−γ)E_ρ0[V]."""
    data = Data()
    value, slope = of_iq(data, divergence="reverse_kl", alpha=1.0, value_term="v0")
    soft = numpy_soft_value(data.q)
    policy = np.exp((data.q - soft[:, None]) / TEMPERATURE)
    ratio = np.exp(-(data.q[data.s, data.a] - GAMMA * data.goes_on * soft[data.after]) - 1)
    np.testing.assert_allclose(value, np.mean(ratio) + (1 - GAMMA) * np.mean(soft[data.start]), rtol=1e-12)
    expected = np.zeros_like(data.q)
    for s, a, after, goes_on, density in zip(data.s, data.a, data.after, data.goes_on, ratio, strict=True):
        expected[s, a] -= density / ROWS
        expected[after] += density * GAMMA * goes_on * policy[after] / ROWS
    for start in data.start:
        expected[start] += (1 - GAMMA) * policy[start] / len(data.start)
    np.testing.assert_allclose(slope, expected, atol=1e-14)


@pytest.mark.parametrize("name", sorted(DIVERGENCES))
def test_eq_12_is_eq_9_on_exact_occupancies(name):
    """With ρ_E exact and discounted, E_ρE[V(s) − γV(s')] is (1−γ)E_ρ0[V]: J has one value and one gradient.
    On the same data drawn uniformly in time it has not."""
    rng = np.random.default_rng(1)
    chances = rng.dirichlet(np.ones(STATES), (STATES, ACTIONS))
    mdp = MDP(jnp.asarray(chances), jnp.asarray(rng.dirichlet(np.ones(STATES))), GAMMA)
    expert = occupancy(mdp, jnp.asarray(rng.dirichlet(np.ones(ACTIONS), STATES)))
    level = ({"forward_kl": 2.0}.get(name, 0.1) + GAMMA * TEMPERATURE * np.log(ACTIONS)) / (1 - GAMMA)
    table = level + 0.05 * rng.normal(size=(STATES, ACTIONS))
    divergence = DIVERGENCES[name]

    def eq_12(q, weight):
        value = soft_value(q, TEMPERATURE)
        after = mdp.transition @ value
        phi = partial(guarded_phi, divergence, alpha=ALPHA)
        term = objectives.difference_value_term(value[:, None], after, mdp.gamma, weight)
        return -objectives.iq_loss(phi, q - mdp.gamma * after, term, weight)

    def eq_9(q):
        return objective(mdp, q, expert, divergence, ALPHA, TEMPERATURE)

    table = jnp.asarray(table)
    one, one_slope = jax.value_and_grad(eq_9)(table)
    two, two_slope = jax.value_and_grad(eq_12)(table, expert)
    np.testing.assert_allclose(one, two, rtol=1e-10)
    np.testing.assert_allclose(one_slope, two_slope, atol=1e-10)
    assert abs(eq_12(table, jnp.ones_like(expert)) - one) > 1e-3
