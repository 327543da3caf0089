"""Networks and optimisers of one's own in the place of the library's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from iqlearn_jax.agents.common import descend
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import METHODS
from iqlearn_jax.nets import Actor, Critic, QNetwork
from tests.common import compiled, configure, spec_of
from tests.methods.test_catalogue import BOX, DISCRETE, RMS, batch_of

SIZES = {"hidden": (4,), "batch_size": 8, "online__rollout_steps": 8, "features": 4}
CLIPPED = optax.chain(optax.clip_by_global_norm(0.1), optax.scale_by_adam())
OBS = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2)), jnp.float32)


def linear(size):
    """A pair of functions: x @ w + b."""

    def init(key, obs):
        return {"w": 0.1 * jax.random.normal(key, (obs.shape[-1], size)), "b": jnp.zeros(size)}

    return init, lambda params, obs: obs @ params["w"] + params["b"]


def quadratic():
    """Q(s,a) = −‖a − w s‖², [B]."""

    def init(key, obs, action):
        return 0.1 * jax.random.normal(key, (obs.shape[-1], action.shape[-1]))

    return init, lambda params, obs, action: -jnp.sum(jnp.square(action - obs @ params), axis=-1)


def gaussian(size):
    """(mean, log_std) [B, A], linear in the observation."""
    init, apply = linear(2 * size)
    return init, lambda params, obs: tuple(jnp.split(apply(params, obs), 2, axis=-1))


def learned(config, spec, updates=3, **parts):
    """The state after some updates on one batch, the first state, and the method."""
    method, batch = compiled(config, spec, **parts), batch_of(config, spec)
    start = state = method.init(jax.random.key(0), {})
    update = method.update
    for number in range(updates):
        state, _ = update({}, state, batch, jax.random.key(number))
    return state, start, method


def same(a, b):
    return all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))


@pytest.mark.parametrize("spec", [DISCRETE, BOX], ids=["discrete", "box"])
def test_the_librarys_networks_given_by_hand_change_nothing(spec):
    config = configure(feed="replay", critics=2, **SIZES)
    critic = QNetwork(3, (4,)) if spec.discrete else Critic((4,))
    networks = {"critic": critic} if spec.discrete else {"critic": critic, "actor": Actor(2, (4,))}
    assert same(learned(config, spec)[0], learned(config, spec, networks=networks)[0])


@pytest.mark.parametrize("method", ["iq", "sqil", "value_dice", "bc", "avril", "regularized_bc"])
def test_a_pair_of_functions_is_a_critic_of_discrete_actions(method):
    feed = "demos" if "demos" in METHODS[method].feeds else "replay"
    critics = 1 if "critics" in METHODS[method].refuses else 2
    config = configure(method=method, feed=feed, critics=critics, **SIZES)
    state, start, made = learned(config, DISCRETE, networks={"critic": linear(3)})
    assert jax.tree.map(jnp.shape, state.critic["net"]) == {"b": (critics, 3), "w": (critics, 2, 3)}
    assert not same(state.critic["net"]["w"], start.critic["net"]["w"])
    assert made.act({}, state, OBS, jax.random.key(0), deterministic=True).shape == (5,)


@pytest.mark.parametrize("method", ["iq", "sqil", "value_dice", "bc"])
def test_pairs_of_functions_are_critic_and_actor_of_continuous_actions(method):
    feed = "demos" if "demos" in METHODS[method].feeds else "replay"
    networks = {"critic": quadratic(), "actor": gaussian(2)} if method != "bc" else {"actor": gaussian(2)}
    config = configure(method=method, feed=feed, actor_lr=0.01, policy_class="sac", **SIZES)
    state, start, made = learned(config, BOX, networks=networks)
    assert state.actor.keys() == {"w", "b"} and not same(state.actor, start.actor)
    action = made.act({}, state, OBS, jax.random.key(0), deterministic=True)
    mean = np.tanh(OBS @ state.actor["w"] + state.actor["b"])[:, :2]
    middle, half = 0.5 * (BOX.action_high + BOX.action_low), 0.5 * (BOX.action_high - BOX.action_low)
    np.testing.assert_allclose(action, middle + half * mean, rtol=1e-5)


@pytest.mark.parametrize("optimizer", [RMS, CLIPPED], ids=["rms", "clipped"])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_a_step_is_the_optimisers_direction_times_the_rate(optimizer, decay):
    params = ours = {"a": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(0.5)}
    scaled = optax.chain(optimizer, optax.add_decayed_weights(decay), optax.scale_by_learning_rate(0.01))
    state, other = optimizer.init(params), scaled.init(params)
    for number in range(4):
        grads = jax.tree.map(lambda x: jnp.cos(x + number), ours)  # noqa: B023
        updates, other = scaled.update(grads, other, params)
        ours, state = descend(ours, state, grads, 0.01, decay, optimizer)
        params = optax.apply_updates(params, updates)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_gradient_that_is_clipped_moves_as_one_that_is_short():
    """By hand: RMS's first step is sign(g)/√(1 − decay) = √10, times the rate."""
    config = configure(hidden=(), critic_lr=0.01)
    state, start, _ = learned(config, DISCRETE, updates=1, optimizer=RMS)
    move = jax.tree.map(lambda a, b: np.abs(a - b), state.critic["net"], start.critic["net"])
    np.testing.assert_allclose(jax.tree.leaves(move)[1], 0.01 * np.sqrt(10.0), rtol=1e-3)
    (clipped, _, _), (plain, _, _) = (learned(config, DISCRETE, optimizer=x) for x in (CLIPPED, None))
    assert not same(clipped.critic, plain.critic)


class Wide(nn.Module):
    @nn.compact
    def __call__(self, obs):
        return nn.Dense(4)(obs)


@pytest.mark.parametrize(
    ("changes", "spec", "parts", "message"),
    [
        ({}, DISCRETE, {"networks": {"critic": Wide()}}, r"'critic'\] .* gives \(2, 4\); expected \(2, 3\)"),
        (
            {"feed": "replay"},
            BOX,
            {"networks": {"actor": linear(2)}},
            r"'actor'\] .* gives \(2, 2\); expected \(\(2, 2\), ",
        ),
        ({}, DISCRETE, {"networks": {"actor": gaussian(2)}}, "discrete, where the policy is made of"),
        ({}, DISCRETE, {"networks": {"critik": linear(3)}}, "unknown network 'critik'; did you mean critic"),
        ({}, DISCRETE, {"networks": {"critic": 7}}, r"networks\['critic'\] is 7; expected \(init, apply\)"),
        ({}, DISCRETE, {"networks": linear(3)}, "networks is a tuple; expected a dictionary"),
        (
            {"method": "bc", "policy_class": "sac"},
            BOX,
            {"networks": {"critic": quadratic()}},
            "method 'bc' trains the actor alone",
        ),
        ({}, BOX, {"networks": {"critic": linear(2)}}, r"'critic'\] .* gives \(2, 2\); expected \(\(2,\), "),
        (
            {"method": "dsfn"},
            DISCRETE,
            {"networks": {"critic": linear(3)}},
            "'dsfn' can be built of optimizer only",
        ),
        ({"method": "lstd_mu"}, DISCRETE, {"optimizer": RMS}, "optimizer is given, but method 'lstd_mu'"),
        ({}, DISCRETE, {"optimizer": optax.adam(0.1)}, r"step of -0.1 .*scale_by_adam\(\) instead of"),
        (
            {},
            DISCRETE,
            {"optimizer": optax.adam(optax.warmup_constant_schedule(0.0, 0.1, 100))},
            r"step of -0.00\d .*scale_by_adam\(\) instead of",
        ),
        ({}, DISCRETE, {"optimizer": "adam"}, "optimizer is a str; expected an optax transformation"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_one_line(changes, spec, parts, message):
    with pytest.raises(InputError, match=message) as caught:
        compiled(configure(**SIZES | changes), spec, **parts)
    assert "\n" not in str(caught.value)


def test_images_and_their_networks():
    spec = spec_of(obs_shape=(6, 6, 1), num_actions=2, obs_dtype=np.uint8)

    def apply(params, obs):
        return obs.reshape(obs.shape[0], -1) @ params

    network = (lambda key, obs: jax.random.normal(key, (36, 2)), apply)
    method = compiled(configure(), spec, networks={"critic": network})
    state = method.init(jax.random.key(0), {})
    obs = jnp.full((1, 6, 6, 1), 255, jnp.uint8)
    action = method.act({}, state, obs, jax.random.key(0), deterministic=True)
    assert action == jnp.argmax(state.critic["net"][0].sum(axis=0))


def test_a_network_that_takes_other_inputs_is_refused_with_the_policy_class_that_takes_it():
    with pytest.raises(InputError, match=r"cannot be called with inputs .*policy_class=sac$"):
        compiled(configure(**SIZES), BOX, networks={"critic": Critic((4,))})
