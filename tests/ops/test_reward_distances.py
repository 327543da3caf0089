"""EPIC, DARD and STARC on pairs of known distance, and on all policies of small processes."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.ops.reward_distance import samples as reward_samples
from iqlearn_jax.ops.reward_distance.canonical import (
    dard_canonical,
    expected_reward,
    minimal_canonical,
    starc_canonical,
)
from iqlearn_jax.ops.reward_distance.distances import (
    dard_distance,
    direction_distance,
    epic_distance,
    pearson_distance,
    starc_distance,
)

STATES, ACTIONS, GAMMA = 4, 2, 0.8
NAMES = ("epic", "dard", "starc")
EPIC, DARD, STARC = jax.jit(epic_distance), jax.jit(dard_distance), jax.jit(starc_distance)
STARC_FORM, MINIMAL_FORM = jax.jit(starc_canonical), jax.jit(minimal_canonical)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


class World:
    """A random process and rewards [S, A, S] on it."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.transition = self.rng.dirichlet(0.5 * np.ones(STATES), (STATES, ACTIONS))
        self.initial = self.rng.dirichlet(np.ones(STATES))
        self.reward = self.draw()

    def draw(self):
        return self.rng.normal(size=(STATES, ACTIONS, STATES))

    def shaping(self):
        potential = 5 * self.rng.normal(size=STATES)
        return np.broadcast_to(GAMMA * potential[None, None, :] - potential[:, None, None], self.reward.shape)

    def redistribution(self):
        """Mean 0 over s' under the dynamics."""
        moved = 5 * self.draw()
        return moved - np.einsum("sat,sat->sa", self.transition, moved)[:, :, None]

    def distance(self, name, a, b):
        a, b = jnp.asarray(a), jnp.asarray(b)
        if name == "epic":
            return float(EPIC(a, b, GAMMA))
        measure = DARD if name == "dard" else STARC
        return float(measure(a, b, self.transition, GAMMA))

    def policies(self):
        """Occupancies [K, S, A] of all deterministic policies, by power series."""
        actual = []
        for choice in product(range(ACTIONS), repeat=STATES):
            policy = np.eye(ACTIONS)[list(choice)]
            state, total = self.initial, np.zeros(STATES)
            for step in range(300):
                total += (1 - GAMMA) * GAMMA**step * state
                state = np.einsum("s,sa,sat->t", state, policy, self.transition)
            actual.append(total[:, None] * policy)
        return np.stack(actual)

    def returns(self, reward):
        """(1−γ)J of all deterministic policies, [K]."""
        return np.einsum("ksa,sat,sat->k", self.policies(), self.transition, reward)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_shaping_and_positive_scale_are_at_0_opposites_at_1_others_between(name, seed):
    world = World(seed)
    same = 3 * world.reward + world.shaping()
    assert world.distance(name, world.reward, same) < 1e-7
    assert world.distance(name, world.reward, -same) == pytest.approx(1)
    other = world.draw()
    between = world.distance(name, world.reward, other)
    assert 0.1 < between < 0.99
    assert world.distance(name, other, world.reward) == pytest.approx(between)
    assert world.distance(name, same, other + world.shaping()) == pytest.approx(between)


def test_only_starc_is_blind_to_redistribution_over_successors():
    world = World(0)
    moved = world.reward + world.redistribution()
    assert world.distance("starc", world.reward, moved) < 1e-7
    assert world.distance("epic", world.reward, moved) > 0.1
    assert world.distance("dard", world.reward, moved) > 0.1
    np.testing.assert_allclose(world.returns(world.reward), world.returns(moved), atol=1e-9)


def test_only_starc_is_blind_to_shaping_in_expectation():
    """γE[Φ(S')|s,a] − Φ(s), with which recovered rewards r(s,a) differ.

    docs/research/06-does-the-reward-train-others.md says what EPIC makes of it.
    """
    world = World(1)
    mean = np.einsum("sat,sat->sa", world.transition, world.shaping())
    moved = world.reward + mean[:, :, None]
    assert world.distance("starc", world.reward, moved) < 1e-7
    assert world.distance("epic", world.reward, moved) > 0.1


def test_dards_transition_model_need_not_be_the_true_one():
    world, other = World(2), World(3)
    same = world.reward + world.shaping()
    actual = (dard_canonical(jnp.asarray(r), other.transition, GAMMA) for r in (world.reward, same))
    np.testing.assert_allclose(*actual, atol=1e-12)


def test_dard_term_by_term():
    world = World(4)
    actual = dard_canonical(jnp.asarray(world.reward), world.transition, GAMMA)
    r, p, (s, a, t) = world.reward, world.transition, (1, 0, 3)
    expected = r[s, a, t]
    for act in range(ACTIONS):
        for x, y in product(range(STATES), repeat=2):
            chance = p[s, act, x] * p[t, act, y] / ACTIONS
            expected += chance * (GAMMA * r[t, act, y] - r[s, act, x] - GAMMA * r[x, act, y])
    assert float(actual[s, a, t]) == pytest.approx(expected)


def test_starcs_form_gives_back_the_returns_of_all_policies():
    """The advantage of the uniform policy: Σ ρ·C(r) = (1−γ)(J(π) − J(uniform)) (Kakade & Langford 2002)."""
    world = World(5)
    form = np.asarray(STARC_FORM(jnp.asarray(world.reward), world.transition, GAMMA))
    actual, true = np.einsum("ksa,sa->k", world.policies(), form), world.returns(world.reward)
    np.testing.assert_allclose(actual - actual[0], true - true[0], atol=1e-9)
    np.testing.assert_allclose(form.mean(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_starc_bounds_the_regret_of_every_pair_of_policies(seed):
    """(1−γ)(J_a(π) − J_a(π')) ≤ 2d‖C(a)‖‖ρ_π − ρ_π'‖ wherever J_b(π') ≥ J_b(π)."""
    world = World(seed)
    a, rho = world.reward, world.policies()
    size = np.linalg.norm(STARC_FORM(jnp.asarray(a), world.transition, GAMMA))
    gap = np.linalg.norm((rho[:, None] - rho[None]).reshape(len(rho), len(rho), -1), axis=-1)
    for share in (0.02, 0.2, 1.0):
        b = a + share * world.draw() + world.shaping() + world.redistribution()
        d = world.distance("starc", a, b)
        j_a, j_b = world.returns(a), world.returns(b)
        regret = np.where(j_b[None] >= j_b[:, None], j_a[:, None] - j_a[None], 0.0)
        assert regret.max() > 0 or share < 1
        assert (regret <= 2 * d * size * gap + 1e-9).all()


def test_the_minimal_form_is_the_smallest_of_its_class_and_orders_policies_alike():
    world = World(6)
    reward = jnp.asarray(world.reward)
    form = np.asarray(MINIMAL_FORM(reward, world.transition, GAMMA))
    for _ in range(20):
        mean = np.einsum("sat,sat->sa", world.transition, world.shaping())
        assert np.linalg.norm(form) < np.linalg.norm(form + 0.01 * mean)
    again = MINIMAL_FORM(reward + world.shaping() + world.redistribution(), world.transition, GAMMA)
    np.testing.assert_allclose(again, form, atol=1e-9)
    levelled = STARC_FORM(jnp.asarray(form), world.transition, GAMMA)
    np.testing.assert_allclose(levelled, STARC_FORM(reward, world.transition, GAMMA), atol=1e-9)


def test_trivial_rewards_have_no_direction():
    world = World(7)
    trivial, other = world.shaping(), world.shaping()
    for name in NAMES:
        assert world.distance(name, trivial, other) == 0
        assert world.distance(name, trivial, world.reward) == pytest.approx(0.5)


def test_pearson_distance_is_that_of_numpys_correlation():
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    expected = np.sqrt((1 - np.corrcoef(x, y)[0, 1]) / 2)
    assert float(pearson_distance(jnp.asarray(x), jnp.asarray(y))) == pytest.approx(expected)
    counts = np.random.default_rng(1).integers(1, 4, 50)
    expected = np.sqrt((1 - np.corrcoef(x.repeat(counts), y.repeat(counts))[0, 1]) / 2)
    assert float(pearson_distance(jnp.asarray(x), jnp.asarray(y), jnp.asarray(counts))) == pytest.approx(
        expected
    )
    assert float(direction_distance(jnp.asarray([1.0, 0]), jnp.asarray([0, 2.0]))) == pytest.approx(0.5**0.5)


# Given transitions ----------------------------------------------------------------------------------------


def lookup(reward):
    table = jnp.asarray(reward)
    return lambda s, a, t: table[s, a, t]


def every_transition():
    return (jnp.asarray(x.ravel()) for x in np.indices((STATES, ACTIONS, STATES)))


@pytest.mark.slow
def test_sampled_epic_is_the_exact_one_on_all_base_pairs_and_converges_on_drawn_ones():
    world = World(8)
    s, a, t = every_transition()
    pair, other = (world.reward, world.draw()), {}
    exact = world.distance("epic", *pair)

    def sampled(base_action, base_obs):
        rows = (s, a, t, base_action, base_obs, GAMMA)
        forms = (reward_samples.epic_from_samples(lookup(r), *rows) for r in pair)
        return float(pearson_distance(*forms))

    whole = (jnp.asarray(x.ravel()) for x in np.indices((ACTIONS, STATES)))
    assert sampled(*whole) == pytest.approx(exact)
    for size in (8, 2000):
        drawn = (jnp.asarray(world.rng.integers(n, size=(10, size))) for n in (ACTIONS, STATES))
        other[size] = np.mean([abs(sampled(*base) - exact) for base in zip(*drawn, strict=True)])
    assert 0 < other[2000] < 0.01 < other[8]


def test_sampled_forms_are_blind_to_shaping_for_any_number_of_samples():
    world = World(9)
    s, a, t = every_transition()
    pair = [lookup(r) for r in (world.reward, world.reward + world.shaping())]
    base_action, base_obs = jnp.asarray([0, 1, 1]), jnp.asarray([2, 0, 2])
    model = lambda s, a: (s + a + 1) % STATES  # noqa: E731
    forms = [reward_samples.epic_from_samples(r, s, a, t, base_action, base_obs, GAMMA) for r in pair]
    assert float(pearson_distance(*forms)) < 1e-7
    forms = [reward_samples.dard_from_samples(r, model, s, a, t, base_action, GAMMA) for r in pair]
    np.testing.assert_allclose(*forms, atol=1e-12)


def test_sampled_dard_and_least_squares_are_exact_where_dynamics_are_deterministic():
    world = World(10)
    after = world.rng.integers(STATES, size=(STATES, ACTIONS))
    transition, after = np.eye(STATES)[after], jnp.asarray(after)
    s, a = (jnp.asarray(x.ravel()) for x in np.indices((STATES, ACTIONS)))
    t, reward = after[s, a], lookup(world.reward)
    actual = reward_samples.dard_from_samples(
        reward, lambda s, a: after[s, a], s, a, t, jnp.arange(ACTIONS), GAMMA
    )
    exact = dard_canonical(jnp.asarray(world.reward), transition, GAMMA)[s, a, t]
    np.testing.assert_allclose(actual, exact, atol=1e-12)
    one_hot, weights = jnp.eye(STATES), world.rng.uniform(0.5, 1, (STATES, ACTIONS))
    values = reward(s, a, t)
    actual = reward_samples.least_squares_canonical(values, one_hot[s], one_hot[t], GAMMA, weights.ravel())
    exact = MINIMAL_FORM(jnp.asarray(world.reward), transition, GAMMA, weights)
    np.testing.assert_allclose(actual.reshape(STATES, ACTIONS), exact, atol=1e-5)


def test_least_squares_on_draws_of_a_stochastic_process_keeps_the_spread_over_successors():
    """Its limit is the regression over all transitions, not the minimal form of the mean reward."""
    world = World(11)
    s, a = world.rng.integers(STATES, size=20_000), world.rng.integers(ACTIONS, size=20_000)
    steps = world.transition[s, a].cumsum(axis=1)
    t = np.minimum((world.rng.random((20_000, 1)) > steps).sum(axis=1), STATES - 1)
    one_hot, all_rows = np.eye(STATES), [x.ravel() for x in np.indices((STATES, ACTIONS, STATES))]
    rows = (jnp.asarray(x) for x in (world.reward[s, a, t], one_hot[s], one_hot[t]))
    actual = np.asarray(reward_samples.least_squares_canonical(*rows, GAMMA))
    basis = GAMMA * one_hot[all_rows[2]] - one_hot[all_rows[0]]
    chance = np.sqrt(world.transition.ravel())
    slopes = np.linalg.lstsq(basis * chance[:, None], world.reward.ravel() * chance, rcond=None)[0]
    limit = (world.reward.ravel() - basis @ slopes).reshape(world.reward.shape)
    assert np.abs(actual - limit[s, a, t]).max() < 0.1
    mean = expected_reward(jnp.asarray(world.reward), world.transition)
    minimal = np.asarray(MINIMAL_FORM(mean, world.transition, GAMMA))
    assert np.abs(actual - minimal[s, a]).mean() > 0.3
