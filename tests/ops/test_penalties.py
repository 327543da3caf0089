import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.ops.iq.divergences import DIVERGENCES
from iqlearn_jax.ops.iq.objectives import initial_value_term, iq_loss
from iqlearn_jax.ops.iq.penalties import gradient_penalty, interpolate, orthogonality
from iqlearn_jax.ops.tabular.mdp import MDP, occupancy, policy_value, q_from_reward
from tests.ops.ops_oracles import lipschitz_reward, random_mdps, transport_cost

OCCUPANCY, TO_Q = jax.jit(occupancy), jax.jit(q_from_reward)
WEIGHTS = jnp.array([3.0, 0.0, -4.0])  # of norm 5


@pytest.fixture(autouse=True, scope="module")
def _x64():
    with jax.enable_x64(True):
        yield


def key():
    return jax.random.key(0)  # made anew for each use: a key consumed twice is an error in these tests


def pair(*shape):
    return jax.random.normal(jax.random.key(1), shape), jax.random.normal(jax.random.key(2), shape)


@pytest.mark.parametrize(
    ("target", "one_sided", "expected"), [(1.0, False, 16), (7, False, 4), (7, True, 0), (3, True, 4)]
)
def test_linear_function_has_its_closed_form(target, one_sided, expected):
    penalty = gradient_penalty(lambda x: WEIGHTS @ x, *pair(6, 3), key(), target, one_sided)
    np.testing.assert_allclose(penalty, expected, atol=1e-12)


def test_gradient_by_parameters_has_its_closed_form():
    by_weights = jax.grad(lambda w: gradient_penalty(lambda x: w @ x, *pair(6, 3), key(), 1.0))(WEIGHTS)
    np.testing.assert_allclose(by_weights, 2 * (5 - 1) * WEIGHTS / 5, atol=1e-12)


def test_constant_function_has_finite_gradients():
    value, by_weights = jax.value_and_grad(
        lambda w: gradient_penalty(lambda x: w @ x, *pair(6, 3), key(), 1.0)
    )(jnp.zeros(3))
    assert value == 1
    assert (by_weights == 0).all()


def test_norm_runs_over_observation_and_action_together():
    """fn = |s|²/2 + |a|²/2 has the gradient (s, a) at the interpolated points themselves."""
    expert, policy = (
        {"obs": jnp.ones((5, 2, 2)) * k, "action": jnp.arange(5.0)[:, None] * k} for k in (1, 3)
    )
    at = interpolate(expert, policy, key())
    norms = np.sqrt((np.asarray(at["obs"]) ** 2).sum((1, 2)) + np.asarray(at["action"])[:, 0] ** 2)
    fn = lambda x: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(x)) / 2  # noqa: E731
    np.testing.assert_allclose(
        gradient_penalty(fn, expert, policy, key(), 2.0), np.mean((norms - 2) ** 2), rtol=1e-12
    )


def test_one_epsilon_per_sample_shared_by_all_leaves():
    low, high = (jnp.zeros((64, 3)), jnp.zeros(64)), (jnp.ones((64, 3)), jnp.ones(64))
    obs, action = interpolate(high, low, key())
    np.testing.assert_allclose(obs, np.repeat(action[:, None], 3, axis=1))
    assert len(np.unique(action)) == 64
    assert 0 <= action.min() < 0.2 and 0.8 < action.max() <= 1


def test_discrete_actions_are_taken_from_the_nearer_end():
    """Q(s, a) = (a + 1)·s: the norm is a + 1 and nothing is differentiated by a."""
    obs, actions = pair(50, 1), (jnp.zeros(50, int), jnp.full(50, 2))
    fn = lambda x: (x[1] + 1) * x[0][0]  # noqa: E731
    penalty = gradient_penalty(fn, (obs[0], actions[0]), (obs[1], actions[1]), key(), 1.0)
    chosen = interpolate(actions[0], actions[1], key())
    assert set(np.unique(chosen)) == {0, 2}
    np.testing.assert_allclose(penalty, np.mean(np.asarray(chosen) ** 2.0))


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(AssertionError):
        gradient_penalty(lambda x: x.sum(), jnp.ones((4, 2)), jnp.ones((3, 2)), key())
    with pytest.raises(TypeError, match="floating"):
        gradient_penalty(lambda x: x.sum(), jnp.ones((4, 2), int), jnp.ones((4, 2), int), key())


@pytest.mark.parametrize("index", range(12))
def test_lipschitz_rewards_attain_wasserstein_1(index):
    """max J over K-Lipschitz r is K·W1 for a fixed policy: the dual programme against the transport one."""
    raw = random_mdps(12, 3, 2, seed=7)
    rng = np.random.default_rng(index)
    mdp = MDP(jnp.array(raw["P"][index]), jnp.array(raw["rho0"][index]), raw["gamma"][index])
    policy = jnp.array(rng.dirichlet(np.ones(2), 3))
    learner, expert = OCCUPANCY(mdp, policy), OCCUPANCY(mdp, jnp.array(raw["expert"][index]))
    points, bound = rng.normal(size=(6, 2)), raw["alpha"][index]  # the metric: Euclid on random features
    distance = np.linalg.norm(points[:, None] - points, axis=-1)

    reward = lipschitz_reward(np.ravel(expert - learner), distance, bound).reshape(3, 2)
    q = TO_Q(mdp, jnp.array(reward), 0.0, jnp.log(policy))
    v0 = 3 * mdp.initial * policy_value(q, 0.0, jnp.log(policy))  # its mean is E_ρ0[V]
    phi = lambda r: DIVERGENCES["w1"].phi(r, bound)  # noqa: E731
    attained = -iq_loss(phi, jnp.array(reward), initial_value_term(v0, mdp.gamma), expert)

    cost = bound * transport_cost(np.ravel(expert), np.ravel(learner), distance)
    assert cost > 1e-3
    np.testing.assert_allclose(attained, cost, atol=1e-9)


def test_orthogonality_counts_angles_between_columns_and_not_their_lengths():
    square = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])
    angle = square[:, 0] @ square[:, 1]
    wide = jnp.ones((1, 2, 3))  # an ensemble of one: three equal columns of squared length 2
    assert orthogonality([jnp.array(square)]) == pytest.approx(2 * angle**2)
    assert orthogonality([jnp.array(square), wide]) == pytest.approx(2 * angle**2 + 6 * 2**2)
    assert orthogonality([5.0 * jnp.eye(3)]) == 0
