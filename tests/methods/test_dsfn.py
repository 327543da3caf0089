"""DSFN: losses against NumPy, fixed points against exact successor features, the course of its rounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.errors import InputError
from iqlearn_jax.methods.offline.dsfn import make_networks, td_loss, tril_loss
from iqlearn_jax.types import Batch, Transition
from tests.common import compiled, configure, hyper, random_rows, spec_of
from tests.methods import tabular_reference as reference

STATES, ACTIONS, GAMMA, FEATURES = 4, 3, 0.8, 5
SPEC = spec_of(obs_shape=(2,), num_actions=ACTIONS)


def setup(spec=SPEC, **changes):
    """(config, method, networks, hparams, state) with successor features that are not 0."""
    config = configure(
        method="dsfn", gamma=GAMMA, features=FEATURES, target_network=True, target_rate=0.5,
        **{"hidden": (8,)} | changes,
    )  # fmt: skip
    method, nets, hparams = compiled(config, spec), make_networks(config, spec), hyper(config, spec)
    state = method.init(jax.random.key(0), hparams)
    keys = jax.random.split(jax.random.key(1), 4)
    x = jnp.zeros((1, *spec.obs_shape))
    made = [
        {"policy": nets.successor.init(a, x), "expert": nets.successor.init(b, x)}
        for a, b in keys.reshape(2, 2)
    ]
    critic, target = ({"net": net, "absorbing": jnp.zeros(())} for net in made)
    weights = jax.random.normal(jax.random.key(2), (nets.width,))
    return config, method, nets, hparams, state.replace(critic=critic, target_critic=target, weights=weights)


def shaken(params):
    """The same parameters with noise, so that the imitation network's choices differ."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: x + jnp.asarray(rng.normal(size=x.shape), x.dtype), params)


def batch_of(size=40, seed=0, spec=SPEC):
    rows = jax.tree.map(jnp.asarray, random_rows(spec, size, seed, 0.3))
    return Batch(expert=rows, next_action=jnp.asarray(np.arange(size) % ACTIONS, jnp.int32))


@pytest.mark.parametrize("imitates", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("reward_input", [pytest.param("state_action", marks=pytest.mark.slow), "state"])
def test_the_loss_is_the_squared_error_to_the_td_target_row_by_row(reward_input, imitates):
    _, _, nets, hparams, state = setup(reward_input=reward_input)
    batch = batch_of()
    rows = batch.expert
    state = state.replace(actor=shaken(state.actor))
    value, metrics = td_loss(nets, hparams, state, rows, batch.next_action, imitates)(state.critic)
    features = np.asarray(nets.encoder.apply(state.actor, rows.obs)[0])
    table = {name: np.asarray(nets.psi(p, rows.obs)) for name, p in state.critic["net"].items()}
    raw = {name: np.asarray(nets.psi(p, rows.next_obs)) for name, p in state.target_critic["net"].items()}
    after = {name: np.minimum(np.maximum(values, 0), 1) for name, values in raw.items()}
    assert (after["policy"] != raw["policy"]).mean() > 0.2
    weights, total = np.asarray(state.weights), {"policy": [], "expert": []}
    imitated = np.asarray(nets.encoder.apply(state.actor, rows.next_obs)[1]).argmax(axis=1)
    greedy = np.argmax(after["policy"] @ weights, axis=1)
    assert (imitated != greedy).any()
    played = imitated if imitates else greedy
    for i, action in enumerate(np.asarray(rows.action)):
        if rows.truncated[i]:
            continue
        seen = np.concatenate([[1.0], features[i]])
        blocks = np.concatenate([seen * (a == action) for a in range(ACTIONS)])
        phi = seen if reward_input == "state" else blocks
        for name, errors in total.items():
            then = batch.next_action[i] if name == "expert" else played[i]
            following = 0.0 if rows.terminated[i] else after[name][i, then]
            errors.append(np.sum((table[name][i, action] - (1 - GAMMA) * phi - GAMMA * following) ** 2))
    assert 0 < len(total["policy"]) < 40 and rows.terminated.any()
    for name, errors in total.items():
        np.testing.assert_allclose(metrics[f"dsfn/td_loss_{name}"], np.mean(errors), rtol=1e-4)
    np.testing.assert_allclose(value, np.mean(total["policy"]) + np.mean(total["expert"]), rtol=1e-4)


def test_tril_is_cross_entropy_and_squared_error():
    rng = np.random.default_rng(0)
    logits, predicted, after = rng.normal(size=(6, 3)), rng.normal(size=(6, 3, 2)), rng.normal(size=(6, 2))
    action = rng.integers(0, 3, 6)
    value, metrics = tril_loss(*(jnp.asarray(x) for x in (logits, predicted, action, after)), 0.7)
    cloning = -np.mean(np.log(reference.softmax(logits))[np.arange(6), action])
    error = np.mean((predicted[np.arange(6), action] - after) ** 2)
    np.testing.assert_allclose(value, cloning + 0.7 * error, rtol=1e-5)
    np.testing.assert_allclose(metrics["tril/transition_error"], error, rtol=1e-5)


@pytest.mark.slow
def test_successor_features_converge_to_the_exact_ones():
    """On a chain with branches, observations one-hot: those of the optimal policy for w, and the expert's."""
    spec = spec_of(obs_shape=(STATES,), num_actions=ACTIONS)
    config, method, nets, hparams, state = setup(spec, hidden=(), actor_lr=0.0, round_updates=10_000)
    rng = np.random.default_rng(3)
    s, a = (x.ravel() for x in np.indices((STATES, ACTIONS)))
    after, ends = rng.integers(0, STATES, STATES * ACTIONS), np.arange(STATES * ACTIONS) == 7
    expert = rng.integers(0, ACTIONS, STATES)
    one_hot = np.eye(STATES, dtype=np.float32)
    rows = Transition(
        obs=one_hot[s], action=a.astype(np.int32), reward=np.zeros(len(s)), next_obs=one_hot[after],
        terminated=ends, truncated=np.zeros(len(s), bool),
    )  # fmt: skip
    batch = Batch(expert=jax.tree.map(jnp.asarray, rows), next_action=jnp.asarray(expert[after], jnp.int32))
    state = state.replace(
        step=jnp.int32(2 * config.round_updates + 1)
    )  # in the first round of a greedy policy

    @jax.jit
    def train(state):
        def step(state, rate):
            return method.update(hparams | {"critic_lr": rate}, state, batch, jax.random.key(0))[0], None

        return jax.lax.scan(step, state, jnp.geomspace(0.03, 1e-5, 4000))[0]

    state = train(state)
    phi = np.asarray(nets.phi(state.actor, batch.expert.obs, batch.expert.action))
    transition = np.zeros((STATES, ACTIONS, STATES))
    transition[s, a, after] = ~ends  # what is lost is worth 0
    gains = (phi @ np.asarray(state.weights)).reshape(STATES, ACTIONS)
    policies = {"policy": reference.greedy_policy(transition, GAMMA, gains).argmax(axis=1), "expert": expert}
    assert (policies["policy"] != expert).any()
    for name, policy in policies.items():
        exact = np.zeros((STATES * ACTIONS, nets.width))
        for _ in range(150):
            following = exact.reshape(STATES, ACTIONS, -1)[after, policy[after]]
            exact = (1 - GAMMA) * phi + GAMMA * np.where(ends[:, None], 0.0, following)
        actual = np.asarray(nets.psi(state.critic["net"][name], jnp.eye(STATES))).reshape(
            STATES * ACTIONS, -1
        )
        np.testing.assert_allclose(actual, exact, atol=2e-3)
    assert config.round_updates > 4000


def means(nets, state, rows, imitates):
    """(μ_E, μ_π) over the rows, by the networks of a state."""
    actual = {name: np.asarray(nets.psi(p, rows.obs)) for name, p in state.critic["net"].items()}
    table = {name: np.minimum(np.maximum(values, 0), 1) for name, values in actual.items()}
    chosen = (table["policy"] @ np.asarray(state.weights)).argmax(axis=1)
    if imitates:
        chosen = np.asarray(nets.encoder.apply(state.actor, rows.obs)[1]).argmax(axis=1)
    index = np.arange(len(chosen))
    return table["expert"][index, np.asarray(rows.action)].mean(axis=0), table["policy"][index, chosen].mean(
        axis=0
    )


def test_rounds_learn_features_then_measure_and_project():
    """Three updates a round: w = μ_E, then the gap of TRIL's policy, then Abbeel & Ng's projections."""
    _, method, nets, hparams, _ = setup(round_updates=3, critic_lr=0.1, actor_lr=0.1, tolerance=0.0)
    batch, update = batch_of(), method.update
    state, history = method.init(jax.random.key(0), hparams), []
    for _ in range(18):
        before, (state, _) = state, update(hparams, state, batch, jax.random.key(0))
        history.append((before, state))
    shared = lambda a, b: all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))  # noqa: E731
    moved = [not shared(a.actor, b.actor) for a, b in history]
    assert moved == [True] * 3 + [False] * 15
    assert [not shared(a.weights, b.weights) for a, b in history] == 6 * [False, False, True]
    distances = []
    for number, (before, after) in enumerate(history[2::3]):
        old = after.replace(weights=before.weights)
        expert, policy = means(nets, old, batch.expert, imitates=number < 2)
        if number == 0:
            np.testing.assert_allclose(after.weights, expert, atol=1e-6)
            assert np.isinf(after.best.distance)
            continue
        gap, weights = expert - policy, np.asarray(before.weights)
        size = 1.0 if number == 1 else np.clip(weights @ (weights - gap) / np.sum((weights - gap) ** 2), 0, 1)
        np.testing.assert_allclose(after.weights, weights - size * (weights - gap), atol=1e-6)
        distances.append(np.linalg.norm(gap))
        assert float(after.best.distance) == pytest.approx(min(distances), rel=1e-4)
        is_best = distances[-1] == min(distances)
        assert shared(after.best.net, after.critic["net"]["policy"]) == is_best
        assert shared(after.best.weights, before.weights) == is_best
        assert bool(after.best.imitates) == (np.argmin(distances) == 0)
    assert np.argmin(distances) > 0  # the best changed


def test_it_acts_by_imitation_until_a_greedy_policy_is_nearer():
    _, method, nets, hparams, state = setup()
    obs, state = batch_of().expert.obs, state.replace(actor=shaken(state.actor))
    act = lambda state: np.asarray(method.act(hparams, state, obs, jax.random.key(0)))  # noqa: E731
    imitated = np.asarray(nets.encoder.apply(state.actor, obs)[1]).argmax(axis=1)
    np.testing.assert_array_equal(act(state), imitated)
    assert np.ptp(imitated) > 0
    best = state.best.replace(
        distance=jnp.float32(1), weights=state.weights, net=state.critic["net"]["policy"]
    )
    np.testing.assert_array_equal(act(state.replace(best=best)), imitated)
    best = best.replace(imitates=jnp.asarray(False))
    chosen = np.asarray(np.clip(nets.psi(best.net, obs), 0, 1) @ best.weights).argmax(axis=1)
    np.testing.assert_array_equal(act(state.replace(best=best)), chosen)
    assert (chosen != imitated).any()


def test_what_nobody_did_keeps_successor_features_of_0():
    _, method, nets, hparams, _ = setup(round_updates=2, critic_lr=0.01)
    batch = batch_of()
    batch = batch.replace(
        expert=batch.expert.replace(action=jnp.full(40, 2, jnp.int32)), next_action=jnp.full(40, 2, jnp.int32)
    )
    state, update = method.init(jax.random.key(0), hparams), method.update
    for _ in range(6):
        state, _ = update(hparams, state, batch, jax.random.key(0))
    table = np.asarray(nets.psi(state.critic["net"]["policy"], batch.expert.obs))
    assert (table[:, :2] == 0).all() and np.abs(table[:, 2, -FEATURES:]).min() > 0


def test_tabular_observations_are_refused():
    spec = spec_of(obs_shape=(), num_actions=3, obs_dtype=np.int32)
    with pytest.raises(InputError, match=r"integers, but method 'dsfn' .*--config.method=lstd_mu"):
        compiled(configure(method="dsfn"), spec)
