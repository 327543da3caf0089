import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.ops.iq.divergences import DIVERGENCES
from iqlearn_jax.ops.iq.soft import log_policy, soft_policy
from iqlearn_jax.ops.tabular import mdp as tabular
from iqlearn_jax.ops.tabular.mdp import MDP
from tests.ops import ops_compiled as compiled
from tests.ops import ops_oracles as oracle
from tests.ops.ops_compiled import TO_ONE_Q, TO_Q, TO_REWARD, batched

COUNT, STATES, ACTIONS = 100, 5, 3
RAW = oracle.random_mdps(COUNT, STATES, ACTIONS)
every = pytest.mark.parametrize("name", sorted(DIVERGENCES))


@pytest.fixture(autouse=True, scope="module")
def _x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def case(_x64):
    """Batched (mdp, expert occupancy, alpha, temperature)."""
    mdp = MDP(jnp.array(RAW["P"]), jnp.array(RAW["rho0"]), jnp.array(RAW["gamma"]))
    expert = jax.vmap(tabular.occupancy)(mdp, jnp.array(RAW["expert"]))
    return mdp, expert, jnp.array(RAW["alpha"]), jnp.array(RAW["tau"])


def draw(seed, scale=1.0, shift=0.0):
    return jnp.array(np.random.default_rng(seed).normal(shift, scale, size=(COUNT, STATES, ACTIONS)))


def test_occupancy_matches_stepping_the_process(case):
    _, expert, _, _ = case
    for i in range(5):
        expected = oracle.occupancy(*(RAW[k][i] for k in ("P", "rho0", "gamma", "expert")))
        np.testing.assert_allclose(expert[i], expected, atol=1e-12)
    np.testing.assert_allclose(expert.sum((1, 2)), 1, rtol=1e-12)


def test_soft_value_iteration_matches_plain_iteration(case):
    mdp, _, _, tau = case
    reward = draw(1, 3.0)
    q = TO_Q(mdp, reward, tau)
    for i in range(10):
        expected = oracle.soft_q(RAW["P"][i], RAW["gamma"][i], np.asarray(reward[i]), RAW["tau"][i])
        np.testing.assert_allclose(q[i], expected, atol=1e-11)
    fixed = TO_REWARD(mdp, q, tau)
    np.testing.assert_allclose(fixed, reward, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.99, 0.999])
def test_soft_value_iteration_converges_at_extreme_discounts_and_temperatures(case, gamma):
    mdp = jax.tree.map(lambda x: x[0], case[0])._replace(gamma=gamma)
    for temperature in (1e-3, 1.0, 100.0):
        q = TO_ONE_Q(mdp, draw(2)[0], temperature)
        fixed = tabular.reward_from_q(mdp, q, temperature)
        np.testing.assert_allclose(fixed, draw(2)[0], atol=1e-12 * (1 + np.abs(q).max()))


def test_float32_stops_at_its_own_precision(case):
    mdp = jax.tree.map(lambda x: jnp.float32(x[0]), case[0])
    reward = jnp.float32(draw(2)[0])
    q = TO_ONE_Q(mdp, reward, np.float32(0.5))
    assert q.dtype == jnp.float32
    np.testing.assert_allclose(tabular.reward_from_q(mdp, q, np.float32(0.5)), reward, atol=1e-5)


@pytest.mark.parametrize("given_policy", [True, False])
def test_soft_bellman_operator_is_a_bijection(case, given_policy):
    """Lemma 3.1 for a given policy, Lemma 3.2's operator for the soft-optimal one; round trips both ways."""
    mdp, _, _, tau = case
    logp = jnp.log(jnp.array(RAW["expert"])) if given_policy else None
    start = draw(3, 4.0)
    there, back = batched(tabular.q_from_reward), TO_REWARD
    assert np.abs(there(mdp, start, tau, logp) - start).max() > 0.1
    np.testing.assert_allclose(back(mdp, there(mdp, start, tau, logp), tau, logp), start, atol=1e-11)
    np.testing.assert_allclose(there(mdp, back(mdp, start, tau, logp), tau, logp), start, atol=1e-11)


@pytest.mark.slow
def test_derivatives_are_those_of_the_fixed_point(case):
    """∇_r (1−γ)E[V*] is the occupancy; transition, temperature and curvature against finite differences."""
    mdp, tau, reward = jax.tree.map(lambda x: x[1], case[0]), case[3][1], draw(4)[1]

    @jax.jit
    def value(reward, transition, temperature):
        process = mdp._replace(transition=transition)
        q = tabular.soft_value_iteration(process, reward, temperature)
        return (1 - mdp.gamma) * mdp.initial @ tabular.policy_value(q, temperature)

    primal = (reward, mdp.transition, tau)
    by_reward, *_ = gradients = jax.jit(jax.grad(value, (0, 1, 2)))(*primal)
    exact = tabular.occupancy(mdp, soft_policy(tabular.soft_value_iteration(mdp, reward, tau), tau))
    np.testing.assert_allclose(by_reward, exact, atol=1e-13)
    direction = jax.tree.map(lambda x: jnp.array(np.random.default_rng(5).normal(size=x.shape)), primal)
    move = lambda size: jax.tree.map(lambda x, d: x + size * d, primal, direction)  # noqa: E731
    slope = sum(jnp.sum(g * d) for g, d in zip(gradients, direction, strict=True))
    np.testing.assert_allclose(slope, (value(*move(1e-5)) - value(*move(-1e-5))) / 2e-5, rtol=1e-6)
    along = lambda size: value(*move(size))  # noqa: E731
    bend = (along(1e-3) - 2 * along(0.0) + along(-1e-3)) / 1e-6
    np.testing.assert_allclose(jax.jit(jax.grad(jax.grad(along)))(0.0), bend, rtol=1e-4)


def random_rewards(name, alpha, seed):
    """Rewards inside the domain, wide enough to meet every bend of φ."""
    lower, upper = DIVERGENCES[name].lower, DIVERGENCES[name].upper
    x = np.asarray(draw(seed, 2.0))
    if name == "tv":
        x = np.clip(x, lower, upper)
    elif np.isfinite(lower):
        x = lower + 0.01 + np.exp(x)
    return alpha[:, None, None] * jnp.array(x)


def midpoint_gain(function, a, b):
    """f at midpoints less the mean of f at the ends: ≥ 0 for a concave f."""
    return np.asarray(function((a + b) / 2) - (function(a) + function(b)) / 2)


@every
def test_dual_is_concave_in_reward_for_every_phi(case, name):
    mdp, expert, alpha, tau = case
    function = lambda r: compiled.dual(name)(mdp, r, expert, alpha, tau)  # noqa: E731
    gain = midpoint_gain(function, random_rewards(name, alpha, 6), random_rewards(name, alpha, 7))
    assert np.isfinite(gain).all()
    assert gain.min() > 1e-6, "strictly: V* bends along every random line"


@pytest.mark.parametrize("name", sorted(name for name, phi in DIVERGENCES.items() if phi.monotone))
def test_objective_is_concave_in_q_for_monotone_phi(case, name):
    """Prop. 3.5. `test_curvature_around_large_q` has a φ that is not monotone."""
    mdp, expert, alpha, tau = case
    function = lambda q: compiled.objective(name)(mdp, q, expert, alpha, tau)  # noqa: E731
    a, b = (TO_Q(mdp, random_rewards(name, alpha, seed), tau) for seed in (8, 9))
    gain = midpoint_gain(function, a, b)
    assert np.isfinite(gain).all()
    assert gain.min() > -1e-9
    assert np.median(gain) > 1e-3


@pytest.mark.parametrize("name", ["chi2", "chi2_monotone"])
def test_curvature_around_large_q(case, name):
    """Largest eigenvalue of ∇²J* around Q = 50, where r > 2α (§5.3's χ² as printed and its monotone form)."""
    mdp, expert, _, tau = case
    objective = lambda q, m, e, a, t: tabular.objective(m, q, e, DIVERGENCES[name], a, t)  # noqa: E731
    alpha = jnp.full(COUNT, 0.1)  # so that 2α lies below r ≈ 50(1−γ) for every γ here
    hessians = batched(jax.hessian(objective))(draw(10, 1.0, 50.0), mdp, expert, alpha, tau)
    largest = np.linalg.eigvalsh(np.asarray(hessians).reshape(COUNT, STATES * ACTIONS, -1))[:, -1]
    if name == "chi2":
        assert (largest > 1e-6).all()
    else:
        assert (largest < 1e-12).all()


@every
def test_dual_equals_objective_at_its_q(case, name):
    mdp, expert, alpha, tau = case
    reward = random_rewards(name, 0.99 * alpha, 11)
    dual = compiled.dual(name)(mdp, reward, expert, alpha, tau)
    primal = compiled.objective(name)(mdp, TO_Q(mdp, reward, tau), expert, alpha, tau)
    assert np.isfinite(dual).all()
    np.testing.assert_allclose(dual, primal, atol=1e-10)


def test_soft_optimal_policy_minimises_the_objective(case):
    """J(π,Q) ≥ J*(Q) for non-decreasing φ, with equality at π_Q."""
    mdp, expert, alpha, tau = case
    record, q = DIVERGENCES["reverse_kl"], draw(12)
    at = batched(lambda m, q, e, a, t, logp: tabular.objective(m, q, e, record, a, t, logp))
    best = compiled.objective("reverse_kl")(mdp, q, expert, alpha, tau)
    exact = jax.vmap(log_policy)(q, tau)
    np.testing.assert_allclose(at(mdp, q, expert, alpha, tau, exact), best, rtol=1e-11)
    other = at(mdp, q, expert, alpha, tau, jnp.log(jnp.array(RAW["expert"])))
    assert (other > best + 1e-6).all()
