"""Certificates of optimality on 100 random processes with stochastic experts, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.errors import InputError
from iqlearn_jax.ops.iq.divergences import DIVERGENCES
from iqlearn_jax.ops.tabular import mdp as tabular
from iqlearn_jax.ops.tabular import solve as tabular_solve
from iqlearn_jax.ops.tabular.mdp import MDP
from tests.ops import ops_compiled as compiled
from tests.ops import ops_oracles as oracle
from tests.ops.ops_compiled import TO_REWARD, batched

COUNT, STATES, ACTIONS = 100, 5, 3
RAW = oracle.random_mdps(COUNT, STATES, ACTIONS, seed=1)
# With a wide box total variation is an exact penalty and matches the expert; the small α keep it honest.
RAW["alpha"] = np.random.default_rng(1).choice([0.1, 0.5, 2.0], COUNT)
SMOOTH = sorted(set(DIVERGENCES) - {"tv", "w1"})
FAST = ("chi2", "js", "reverse_kl", "tv")
SOLVED = [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in (*SMOOTH, "tv")]


@pytest.fixture(autouse=True, scope="module")
def _x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def case(_x64):
    mdp = MDP(jnp.array(RAW["P"]), jnp.array(RAW["rho0"]), jnp.array(RAW["gamma"]))
    expert = np.stack([oracle_occupancy(i, RAW["expert"][i]) for i in range(COUNT)])
    assert expert.min() > 1e-4, "experts must have full support, else the certificates are vacuous"
    return mdp, expert, jnp.array(RAW["alpha"]), jnp.array(RAW["tau"])


def oracle_occupancy(i, policy):
    return oracle.occupancy(RAW["P"][i], RAW["rho0"][i], RAW["gamma"][i], policy, horizon=700)


@pytest.fixture(scope="module", params=SOLVED)
def solved(request, case):
    """(name, reward, q, policy, its occupancy): the last two by NumPy from q alone."""
    solution = compiled.solve(request.param)(case[0], jnp.array(case[1]), *case[2:])
    assert solution.residual.max() < 1e-9
    reward, q = np.asarray(solution.reward), np.asarray(solution.q)
    policy = np.stack([oracle.softmax(q[i], RAW["tau"][i]) for i in range(COUNT)])
    learner = np.stack([oracle_occupancy(i, policy[i]) for i in range(COUNT)])
    return request.param, reward, q, policy, learner


def test_stationarity(case, solved):
    """φ'(r*)ρ_E = ρ* pointwise for smooth φ; the KKT conditions of the box for total variation."""
    name, reward, _, _, learner = solved
    expert, alpha = case[1], RAW["alpha"][:, None, None]
    if name == "tv":
        bound = np.broadcast_to(alpha, reward.shape)
        assert (np.abs(reward) <= bound).all()
        np.testing.assert_allclose(reward[expert > learner + 1e-6], bound[expert > learner + 1e-6], atol=1e-6)
        np.testing.assert_allclose(
            reward[expert < learner - 1e-6], -bound[expert < learner - 1e-6], atol=1e-6
        )
        between = np.abs(reward) < bound - 1e-6
        assert np.abs(expert - learner)[between].max() <= 1e-6
        assert 0.05 < between.mean() < 0.999, "both kinds of condition must occur"
        return
    slope = jax.vmap(jax.grad(lambda r: DIVERGENCES[name].phi(r, 1.0)))((reward / alpha).ravel())
    assert np.abs(np.asarray(slope).reshape(reward.shape) * expert - learner).max() <= 1e-6
    predicted = DIVERGENCES[name].optimal_reward(expert / learner, alpha)
    np.testing.assert_allclose(reward, predicted, atol=1e-6)


def test_duality_gap_is_closed(case, solved):
    """J*(Q*) = d_φ(ρ*, ρ_E) − τ H̄(π*), the right-hand side wholly in NumPy."""
    name, _, q, policy, learner = solved
    mdp, expert, alpha, tau = case
    attained = np.asarray(compiled.objective(name)(mdp, jnp.array(q), jnp.array(expert), alpha, tau))
    distance = RAW["alpha"] * (expert * oracle.GENERATORS[name](learner / expert)).sum((1, 2))
    entropy = -(learner * np.log(policy)).sum((1, 2))
    assert (distance > 1e-6).mean() > (0.3 if name == "tv" else 0.99)
    np.testing.assert_allclose(attained, distance - RAW["tau"] * entropy, atol=1e-6)
    ours = jax.vmap(lambda o, e, a: tabular.divergence_value(DIVERGENCES[name], o, e, a))
    np.testing.assert_allclose(ours(jnp.array(learner), jnp.array(expert), alpha), distance, atol=1e-9)
    ours = jax.vmap(tabular.causal_entropy)(jnp.array(learner), jnp.log(jnp.array(policy)))
    np.testing.assert_allclose(ours, entropy, rtol=1e-9)


def test_q_belongs_to_the_reward_and_no_neighbour_is_better(case, solved):
    name, reward, q, _, _ = solved
    mdp, expert, alpha, tau = case
    back = TO_REWARD(mdp, jnp.array(q), tau)
    np.testing.assert_allclose(back, reward, atol=1e-11)
    value = lambda r: np.asarray(compiled.dual(name)(mdp, jnp.array(r), jnp.array(expert), alpha, tau))  # noqa: E731
    step = 0.01 * RAW["alpha"][:, None, None] * np.random.default_rng(2).normal(size=reward.shape)
    bound = RAW["alpha"][:, None, None] if name == "tv" else np.inf
    best = value(reward)
    for near in (reward + step, reward - step):
        assert (value(np.clip(near, -bound, bound)) < best).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["js", "chi2"])
def test_closed_form_derivatives_of_the_dual(case, name):
    mdp, alpha, tau = jax.tree.map(lambda x: x[0], (case[0], case[2], case[3]))
    expert, record = jnp.array(case[1][0]), DIVERGENCES[name]
    reward = jnp.array(np.random.default_rng(3).uniform(-0.2, 1, size=(STATES, ACTIONS)))
    q = tabular.soft_value_iteration(mdp, reward, tau)
    rest = (expert, record, alpha, tau)
    value, gradient = tabular_solve.dual_gradient(mdp, reward, q, *rest)
    dual = lambda r: tabular.dual(mdp, r, *rest)  # noqa: E731
    np.testing.assert_allclose(value, dual(reward), rtol=1e-13)
    np.testing.assert_allclose(gradient, jax.jit(jax.grad(dual))(reward), atol=1e-13)

    @batched
    def gradient_at(r):
        return tabular_solve.dual_gradient(mdp, r, tabular.soft_value_iteration(mdp, r, tau), *rest)[1]

    steps = 1e-5 * jnp.eye(expert.size).reshape(-1, STATES, ACTIONS)
    numeric = (gradient_at(reward + steps) - gradient_at(reward - steps)) / 2e-5
    hessian = tabular_solve.dual_hessian(mdp, reward, q, *rest)
    np.testing.assert_allclose(hessian, numeric.reshape(expert.size, -1), atol=1e-8)


def test_an_expert_that_is_soft_optimal_for_no_reward_is_still_answered(case):
    """As α grows the learner's occupancy approaches the expert's, whoever that is."""
    mdp, expert, tau = jax.tree.map(lambda x: x[0], (case[0], jnp.array(case[1]), case[3]))
    distances = []
    solve = jax.jit(lambda *rest: tabular_solve.solve(mdp, expert, DIVERGENCES["chi2"], *rest))
    for alpha in (0.1, 10.0, 1000.0):
        solution = solve(alpha, tau)
        learner = tabular.occupancy(mdp, jnp.array(oracle.softmax(np.asarray(solution.q), float(tau))))
        distances.append(float(jnp.abs(learner - expert).sum()))
    assert distances[0] > 10 * distances[1] > 100 * distances[2]


def test_without_full_support_no_maximiser_is_claimed(case):
    """Where ρ_E = 0 nothing holds r from below: the residual must not pretend otherwise."""
    mdp, tau = jax.tree.map(lambda x: x[0], (case[0], case[3]))
    greedy = jnp.eye(ACTIONS)[jnp.zeros(STATES, int)]
    solution = tabular_solve.solve(
        mdp, tabular.occupancy(mdp, greedy), DIVERGENCES["chi2"], 1.0, tau, tolerance=1e-30, max_steps=50
    )
    assert np.asarray(solution.reward)[:, 1:].max() < -5, "rewards of unseen actions run away"


def test_wasserstein_is_refused(case):
    mdp = jax.tree.map(lambda x: x[0], case[0])
    with pytest.raises(InputError, match="w1"):
        tabular_solve.solve(mdp, jnp.array(case[1][0]), DIVERGENCES["w1"], 1.0, 1.0)
