"""LSTD-μ and LSPI against exact feature expectations and policies; the method against lists of policies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.methods.offline.lstd_mu import make_features
from iqlearn_jax.ops.baselines.lstd import best_action, lspi, lstd, pair_features
from iqlearn_jax.ops.tabular.mdp import MDP, occupancy
from iqlearn_jax.types import Batch
from tests.common import compiled, configure, hyper, random_rows, spec_of, table_spec
from tests.methods import tabular_reference as reference
from tests.methods.tabular_setup import rows_of

STATES, ACTIONS, GAMMA, TENTHS = 5, 3, 0.8, 10


def tenths(rng, *shape):
    """Probabilities over the last axis in whole tenths."""
    return rng.multinomial(TENTHS, np.full(shape[-1], 1 / shape[-1]), shape[:-1]) / TENTHS


def process(seed=0):
    return tenths(np.random.default_rng(seed), STATES, ACTIONS, STATES)


def every_row(transition, ends=None):
    """(s, a, s', ended) with the process's exact frequencies; entering a state of `ends` [S] ends."""
    counts = np.rint(TENTHS * transition).astype(int)
    s, a, after = (np.repeat(x.ravel(), counts.ravel()) for x in np.indices(counts.shape))
    return s, a, after, (np.zeros(STATES, bool) if ends is None else ends)[after]


def expectations(transition, policy, ends=None):
    """(1−γ) Σ γ^t of every pair from every pair on, [S, A, S, A], by exact occupancies."""
    ends = np.zeros(STATES, bool) if ends is None else ends
    with jax.enable_x64(True):
        goes_on = np.where(ends[None, None], 0.0, transition)
        lost = 1 - goes_on.sum(axis=-1)  # to one more state, where nothing counts
        wider = np.zeros((STATES + 1, ACTIONS, STATES + 1))
        wider[:-1, :, :-1], wider[:-1, :, -1], wider[-1, :, -1] = goes_on, lost, 1.0
        padded = jnp.asarray(np.vstack([policy, np.full((1, ACTIONS), 1 / ACTIONS)]))
        actual = np.zeros((STATES, ACTIONS, STATES, ACTIONS))
        for s, a in np.ndindex(STATES, ACTIONS):
            after = occupancy(MDP(jnp.asarray(wider), jnp.asarray(wider[s, a]), GAMMA), padded)
            actual[s, a] = GAMMA * np.asarray(after)[:-1]
            actual[s, a, s, a] += 1 - GAMMA
    return actual


def one_hot_rows(transition, ends=None):
    """(ψ, f(s'), discount) of all rows in float64."""
    s, a, after, ended = every_row(transition, ends)
    states = jnp.eye(STATES)
    return pair_features(states[s], jnp.asarray(a), ACTIONS), states[after], GAMMA * (1.0 - ended), after


@pytest.mark.parametrize("ending", [pytest.param(False, marks=pytest.mark.slow), True])
def test_lstd_of_one_hot_features_gives_exact_feature_expectations(ending):
    """Rows of weight 0 do not count, whatever they hold."""
    transition, ends = process(), (np.arange(STATES) == 2) if ending else None
    best = np.random.default_rng(1).integers(0, ACTIONS, STATES)
    with jax.enable_x64(True):
        psi, next_f, factor, after = one_hot_rows(transition, ends)
        next_psi = pair_features(next_f, jnp.asarray(best[after]), ACTIONS)
        weight = jnp.ones(len(after))
        actual = lstd(psi, (1 - GAMMA) * psi, next_psi, factor, weight, 0.0)
        more = lambda x, y: jnp.concatenate([x, y])  # noqa: E731
        noise = jnp.asarray(np.random.default_rng(2).normal(size=(7, psi.shape[1])))
        padded = (more(psi, noise), more((1 - GAMMA) * psi, noise), more(next_psi, noise))
        again = lstd(*padded, more(factor, noise[:, 0]), more(weight, jnp.zeros(7)), 0.0)
    exact = expectations(transition, np.eye(ACTIONS)[best], ends)
    order = np.arange(STATES * ACTIONS).reshape(STATES, ACTIONS).T.ravel()  # ψ's blocks are actions
    exact = exact.reshape(STATES * ACTIONS, -1)[order][:, order]
    np.testing.assert_allclose(actual, exact, atol=1e-9)
    np.testing.assert_allclose(again, exact, atol=1e-9)
    assert ending == (exact.sum(axis=1).min() < 0.9)


def test_lspi_finds_the_optimal_policy_of_known_weights():
    transition, reward = process(), np.random.default_rng(3).normal(size=(STATES, ACTIONS))
    with jax.enable_x64(True):
        psi, next_f, factor, after = one_hot_rows(transition)
        gains = psi @ jnp.asarray(reward.T.ravel())
        omega = lspi(psi, gains, next_f, factor, jnp.ones(len(after)), 0.0, jnp.zeros(psi.shape[1]), 10)
        actual = best_action(jnp.eye(STATES), omega)
    wanted = reference.greedy_policy(transition, GAMMA, reward)
    np.testing.assert_array_equal(actual, wanted.argmax(axis=1))
    value = np.asarray(omega).reshape(ACTIONS, STATES).T
    np.testing.assert_allclose(value, reward + GAMMA * transition @ value.max(axis=1), atol=1e-9)


def test_ridge_is_added_to_the_mean_system():
    rng = np.random.default_rng(0)
    psi, after, reward = rng.normal(size=(3, 20, 4))
    actual = lstd(
        jnp.asarray(psi), jnp.asarray(reward), jnp.asarray(after), jnp.full(20, 0.9), jnp.ones(20), 0.1
    )
    system = psi.T @ (psi - 0.9 * after) / 20 + 0.1 * np.eye(4)
    np.testing.assert_allclose(actual, np.linalg.solve(system, psi.T @ reward / 20), rtol=1e-3, atol=1e-4)


def test_fourier_features_are_a_constant_and_a_gaussian_kernel_of_the_bandwidth():
    """In standard deviations of the observations."""
    config = configure(method="lstd_mu", features=20_001, bandwidth=0.7)
    features, hparams = make_features(config, SPEC), hyper(config, SPEC) | {"obs_std": jnp.full(2, 2.0)}
    x = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    f = np.asarray(features.apply(hparams, features.init(jax.random.key(0)), 2 * x))
    square = ((x[:, None] - x[None]) ** 2).sum(axis=-1)
    np.testing.assert_array_equal(f[:, 0], 1)
    np.testing.assert_allclose(f[:, 1:] @ f[:, 1:].T, np.exp(-square / (2 * 0.7**2)), atol=0.03)


SPEC = spec_of(obs_shape=(2,), num_actions=ACTIONS)
FEATURE = {"state_action": lambda x: x, "state": lambda x: x.sum(axis=1, keepdims=True)}


def demonstrated():
    """A deterministic process whose actions lead to different states, so that no two are worth the same; an
    expert in whole tenths, and every (s, a, s', a') as often as shown.
    """
    rng = np.random.default_rng(4)
    transition = np.eye(STATES)[[rng.permutation(STATES)[:ACTIONS] for _ in range(STATES)]]
    expert = (1 + rng.multinomial(TENTHS - ACTIONS, np.full(ACTIONS, 1 / ACTIONS), STATES)) / TENTHS
    share = np.einsum("sa,sat,tb->satb", expert, transition, expert)
    counts = np.rint(TENTHS**2 * share).astype(int)
    s, a, after, then = (np.repeat(x.ravel(), counts.ravel()) for x in np.indices(counts.shape))
    batch = Batch(expert=rows_of(s, a, after), next_action=jnp.asarray(then, jnp.int32))
    return transition, expert, batch


def made(transition, dtype=jnp.float32, **changes):
    config = configure(method="lstd_mu", gamma=GAMMA, ridge=0.0, tolerance=0.0, **changes)
    spec = table_spec(MDP(transition, np.full(STATES, 1 / STATES), GAMMA), ACTIONS)
    return compiled(config, spec), hyper(config, spec, dtype)


@pytest.mark.parametrize("reward_input", FEATURE)
def test_it_is_the_projection_of_abbeel_and_ng(reward_input):
    """Demonstrations cover everything: the same distances as with the process and lists of policies."""
    transition, expert, batch = demonstrated()
    feature, start = FEATURE[reward_input], np.full(STATES, 1 / STATES)
    visits = lambda policy: reference.visits(transition, start, GAMMA, policy)  # noqa: E731
    seen = []
    with jax.enable_x64(True):
        method, hparams = made(transition, jnp.float64, reward_input=reward_input)
        state, update = method.init(jax.random.key(0), hparams), method.update
        for _ in range(8):
            state, metrics = update(hparams, state, batch, jax.random.key(0))
            seen.append({name: float(value) for name, value in metrics.items()})
        acting = method.act(hparams, state, jnp.arange(STATES), jax.random.key(0))
    mu = feature(visits(expert)) + np.zeros((STATES, ACTIONS))
    first = reference.greedy_policy(transition, GAMMA, mu)
    distances, (policies, _) = reference.project_by_lists(
        transition, start, GAMMA, visits(expert), first, 8, feature
    )
    actual = [line["max_margin/distance"] for line in seen]
    np.testing.assert_allclose(actual, distances, rtol=1e-6, atol=1e-9)
    apart = [np.linalg.norm(feature(visits(expert) - x)) for x in policies[:-1]]
    np.testing.assert_allclose([line["max_margin/policy_distance"] for line in seen], apart, atol=1e-9)
    assert distances[0] > 1.5 * distances[-1] > 0
    assert float(state.best.distance) == pytest.approx(min(apart), abs=1e-9)
    nearest = policies[int(np.argmin(apart))]
    np.testing.assert_allclose(visits(np.eye(ACTIONS)[np.asarray(acting)]), nearest, atol=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_policy_that_agrees_with_the_expert_is_at_distance_0(seed):
    """Random features and unrelated rows: what LSTD gets wrong cancels. That policy acts ever after, since
    those that follow take another action (w = 0: all values are 0, the first action is taken) and are further
    away.
    """
    config = configure(method="lstd_mu", features=16, gamma=0.9, tolerance=1e-3)
    method, hparams = compiled(config, SPEC), hyper(config, SPEC)
    rows = jax.tree.map(jnp.asarray, random_rows(SPEC, 64, seed)).replace(action=jnp.full(64, 2, jnp.int32))
    batch = Batch(expert=rows, next_action=jnp.full(64, 2, jnp.int32))
    update, state = method.update, method.init(jax.random.key(0), hparams)
    first, metrics = update(hparams, state, batch, jax.random.key(0))
    seen = jnp.concatenate([rows.obs, rows.next_obs])
    assert (method.act(hparams, first, seen, jax.random.key(0)) == 2).all()
    assert float(metrics["max_margin/policy_distance"]) < 1e-5
    later = first
    for _ in range(5):
        later, metrics = update(hparams, later, batch, jax.random.key(0))
        assert float(metrics["max_margin/accuracy"]) == 0
        assert float(metrics["max_margin/policy_distance"]) > 0.1
    jax.tree.map(np.testing.assert_array_equal, later.best, first.best)


def test_where_an_episode_was_cut_neither_successor_nor_next_action_counts():
    config = configure(method="lstd_mu", features=8)
    method, hparams = compiled(config, SPEC), hyper(config, SPEC)
    rows = jax.tree.map(jnp.asarray, random_rows(SPEC, 40))
    cut, ended = np.asarray(rows.truncated), np.asarray(rows.terminated)
    assert cut.any() and ended.any() and not (cut & ended).any()
    state, update = method.init(jax.random.key(0), hparams), method.update

    def after(which):
        shifted = rows.replace(next_obs=jnp.where(which[:, None], rows.next_obs + 1, rows.next_obs))
        then = jnp.where(which, (rows.action + 1) % ACTIONS, rows.action)
        actual, _ = update(hparams, state, Batch(expert=shifted, next_action=then), jax.random.key(0))
        return actual.weights

    same = after(np.zeros(40, bool))
    np.testing.assert_allclose(after(cut), same, atol=1e-6)
    np.testing.assert_allclose(after(ended), same, atol=1e-6)
    assert np.abs(after(~cut & ~ended) - same).max() > 1e-3


def test_the_reward_is_linear_in_the_features_of_the_acting_policy():
    transition, expert, batch = demonstrated()
    method, hparams = made(transition)
    state, _ = method.update(hparams, method.init(jax.random.key(0), hparams), batch, jax.random.key(0))
    rows = rows_of(*np.stack(np.indices((STATES, ACTIONS))).reshape(2, -1))
    actual = np.asarray(method.reward(hparams, state, rows)).reshape(STATES, ACTIONS)
    start = np.full(STATES, 1 / STATES)
    np.testing.assert_allclose(actual, reference.visits(transition, start, GAMMA, expert), atol=1e-5)
