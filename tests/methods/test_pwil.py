"""PWIL's coupling against the paper's algorithm and an exact transport, its update against RL's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import iqlearn_jax
from iqlearn_jax.data.sampling import DemoIndices
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import make_method
from iqlearn_jax.methods.imitation.pwil import LARGEST, make_labels
from iqlearn_jax.ops.baselines.coupling import transport
from iqlearn_jax.types import Batch, Transition, join
from tests.common import configure, hyper, random_rows, spec_of

SPEC = spec_of(obs_shape=(3,))
CUBE = spec_of(obs_shape=(3,), num_actions=4)
CONFIG = configure(method="pwil", feed="replay")


def algorithm_1(weights, distances):
    """The paper's loop for one step of weight 1: (weights, cost), cost None where weight is left over."""
    weights, need, cost = weights.copy(), 1.0, 0.0
    while need > 1e-9:
        nearest = min(
            (j for j in range(len(weights)) if weights[j] > 0), key=lambda j: distances[j], default=None
        )
        if nearest is None:
            return weights, None
        taken = min(need, weights[nearest])
        weights[nearest] -= taken
        need -= taken
        cost += taken * distances[nearest]
    return weights, cost


@pytest.mark.parametrize(("atoms", "steps"), [(5, 20), (20, 5), (7, 7)])
def test_transport_is_the_papers_algorithm(atoms, steps):
    rng = np.random.default_rng(atoms)
    with jax.enable_x64(True):
        left = expected = np.full(atoms, steps / atoms)
        for _ in range(steps):
            distances = rng.random(atoms)
            left, cost = transport(jnp.asarray(left), jnp.asarray(distances))
            expected, expected_cost = algorithm_1(np.asarray(expected), distances)
            np.testing.assert_allclose(left, expected, atol=1e-12)
            assert float(cost) == pytest.approx(expected_cost)
        assert np.isinf(transport(left, jnp.asarray(distances))[1])  # nothing is left


def rows_of(obs, action, last=False):
    no = np.zeros(len(obs), bool)
    return Transition(
        obs=jnp.asarray(obs, jnp.float32), action=jnp.asarray(action), reward=jnp.zeros(len(obs)),
        next_obs=jnp.asarray(obs, jnp.float32), terminated=no, truncated=no | last,
    )  # fmt: skip


def episodes_of(obs, action, last):
    """Demonstrations whose episodes end in the steps `last`."""
    return rows_of(obs, action, np.isin(np.arange(len(obs)), last))


def labeller(rows, indices, count=None, starts=(0,), config=CONFIG, spec=SPEC, num_envs=1):
    """(label of one transition [E], the state before the first step)."""
    chosen = DemoIndices(jnp.asarray(indices), jnp.int32(count or len(indices)), jnp.asarray(starts))
    labels, method = make_labels(config, spec), make_method(config, spec)
    state = method.init(jax.random.key(0), hyper(config, spec))
    state = labels.begin(rows, chosen, state, num_envs)
    return jax.jit(lambda state, lived: labels.label(rows, chosen, state, lived)), state


def lived(label, state, obs, action, ends_after=None):
    """The rewards of one environment that goes through these pairs."""
    rewards = []
    for t in range(len(obs)):
        state, reward = label(state, rows_of(obs[t : t + 1], action[t : t + 1], t == ends_after))
        rewards.append(float(reward[0]))
    return np.array(rewards)


def test_rewards_are_those_of_the_coupling():
    """α exp(−β T c/√D) over pairs scaled by the demonstrations' spread; all weight spent, nothing is left."""
    rng = np.random.default_rng(0)
    units = np.array([1, 10, 0]), np.array([0, 0, 123.4])  # the last one is constant
    demo, demo_action = rng.normal(size=(14, 3)) * units[0] + units[1], rng.normal(size=(14, 2))
    seen, seen_action = rng.normal(size=(9, 3)) * units[0] + units[1], rng.normal(size=(9, 2))
    rows = episodes_of(demo, demo_action, [3, 10, 13])
    label, state = labeller(rows, [4, 10, 12, 11, 4, 4], count=4, starts=(4, 4))  # padded; of steps 4 to 10
    rewards = lived(label, state, seen, seen_action)
    pairs, own = np.hstack([demo, demo_action])[[4, 10, 12, 11]], np.hstack([seen, seen_action])
    spread = pairs.std(axis=0)
    spread[2] = 1.0  # constant
    weights, expected = np.full(4, 7 / 4), []  # T = 7 steps of four rows
    for pair in own[:7]:
        weights, cost = algorithm_1(weights, np.linalg.norm((pairs - pair) / spread, axis=1))
        expected.append(5 * np.exp(-5 / np.sqrt(5) * cost))
    np.testing.assert_allclose(rewards, [*expected, 0.0, 0.0], rtol=1e-4, atol=1e-6)


def test_demonstrated_episodes_have_the_largest_reward_and_the_next_begins_anew():
    rng = np.random.default_rng(1)
    obs, action = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    label, state = labeller(episodes_of(obs, action, [5]), np.arange(6))
    order = rng.permutation(6)
    twice = np.concatenate([order, order])
    np.testing.assert_allclose(lived(label, state, obs[twice], action[twice], 5), LARGEST, rtol=1e-5)
    np.testing.assert_allclose(lived(label, state, obs[twice], action[twice])[6:], 0.0)  # it never ended


def test_costs_bound_the_wasserstein_distance():
    rng = np.random.default_rng(2)
    demo, own = rng.normal(size=(2, 30, 2))
    distances = np.linalg.norm(own[:, None] - demo, axis=-1)
    exact = distances[linear_sum_assignment(distances)].mean()
    left, costs = jnp.ones(30), []
    for row in distances:
        left, cost = transport(left, jnp.asarray(row))
        costs.append(float(cost))
    assert exact < np.mean(costs) < 2 * exact


def test_environments_have_episodes_of_their_own_and_states_can_do_alone():
    rng = np.random.default_rng(3)
    obs, action = rng.normal(size=(5, 3)), rng.integers(0, 4, 5)
    config = configure(method="pwil", feed="replay", reward_input="state")
    label, state = labeller(episodes_of(obs, action, [4]), np.arange(5), config=config, spec=CUBE, num_envs=2)
    two = rows_of(obs[[0, 1]], (action[[0, 1]] + 1) % 4)  # other actions, which states do not tell
    state, reward = label(state, two)
    np.testing.assert_allclose(reward, LARGEST)
    assert (np.asarray(state.memory["left"]) < 0.5).tolist() == [
        [True] + [False] * 4,
        [False, True] + [False] * 3,
    ]
    label, state = labeller(episodes_of(obs, action, [4]), np.arange(5), spec=CUBE, num_envs=2)
    assert (label(state, two)[1] < LARGEST / 2).all()


@pytest.mark.parametrize("spec", [SPEC, CUBE], ids=["box", "discrete"])
def test_an_update_is_one_of_rl_on_both_kinds_of_rows(spec):
    batch = Batch(policy=random_rows(spec, 6, 0), expert=random_rows(spec, 4, 1))
    rows, expert = join(batch)
    rewarded = rows.replace(reward=jnp.where(expert > 0, LARGEST, rows.reward))
    results = []
    for name, given in (("pwil", batch), ("rl", Batch(policy=rewarded))):
        config = configure(method=name, feed="replay")
        method = make_method(config, spec)
        hparams = hyper(config, spec)
        state = method.init(jax.random.key(0), hparams)
        results.append(method.update(hparams, state, given, jax.random.key(1))[0])
    for field in ("critic", "actor", "target_critic"):
        jax.tree.map(np.testing.assert_array_equal, *(getattr(state, field) for state in results))


def test_images_are_refused():
    with pytest.raises(InputError, match=r"method 'pwil' measures distances .*--config.method, e.g. sqil"):
        make_method(CONFIG, spec_of(obs_shape=(8, 8, 3), num_actions=2, obs_dtype=np.uint8))


def test_loops_of_ones_own_give_no_such_rewards():
    with pytest.raises(InputError, match=r"method 'pwil' rewards .* as they are lived"):
        iqlearn_jax.make_method("pwil", SPEC, feed="replay")
