"""The mean of the actors: kept by hand, seen by the deterministic policy and by nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.errors import InputError
from iqlearn_jax.types import Batch
from tests.common import compiled, configure, hyper, random_rows, spec_of

SPEC = spec_of(obs_shape=(2,))
OBS = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2)), jnp.float32)


def run(rate, updates=6, **changes):
    """Method, hparams and the states after 0, 1, ... updates with rate `rate`."""
    config = configure(hidden=(4,), actor_lr=0.05, average_rate=rate, policy_class="sac", **changes)
    method, hparams = compiled(config, SPEC), hyper(config, SPEC)
    rows = jax.tree.map(jnp.asarray, random_rows(SPEC, 6))
    batch = Batch(expert=rows, initial=rows)
    step = method.update
    states = [method.init(jax.random.key(0), hparams)]
    for key in jax.random.split(jax.random.key(1), updates):
        states.append(step(hparams, states[-1], batch, key)[0])
    return method, hparams, states


def flat(actor):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(actor)])


def by_hand(actors, rate):
    """Every actor's weight is max(rate, 1/k) when it comes, and shrinks by 1 − that of each later one."""
    weights = np.zeros(len(actors))
    for k in range(len(actors)):
        new = max(rate, 1 / (k + 1))
        weights[:k] *= 1 - new
        weights[k] = new
    return np.tensordot(weights, np.stack(actors), axes=1)


@pytest.mark.parametrize(("method", "rate"), [("iq", 0.0), ("iq", 0.3), ("bc", 0.3)])
def test_the_mean_is_the_one_kept_by_hand(method, rate):
    _, _, states = run(rate, method=method)
    expected = by_hand([flat(state.actor) for state in states[1:]], rate)
    np.testing.assert_allclose(flat(states[-1].mean_actor), expected, atol=1e-6)
    assert np.max(np.abs(expected - flat(states[-1].actor))) > 1e-3


@pytest.mark.slow
def test_learning_does_not_see_the_mean():
    (_, _, with_mean), (_, _, without) = run(0.1), run(1.0)
    assert without[-1].mean_actor is None
    np.testing.assert_array_equal(flat(with_mean[-1].actor), flat(without[-1].actor))
    np.testing.assert_array_equal(flat(with_mean[-1].critic), flat(without[-1].critic))


def test_the_mean_plays_deterministically_and_the_actor_draws():
    averaged, hparams, states = run(0.1)
    plain, _, _ = run(1.0)
    state = states[-1]
    mean = state.replace(actor=state.mean_actor, mean_actor=None)
    last = state.replace(mean_actor=None)

    def play(method, state, deterministic):
        return np.asarray(method.act(hparams, state, OBS, jax.random.key(2), deterministic))

    np.testing.assert_array_equal(play(averaged, state, True), play(plain, mean, True))
    np.testing.assert_array_equal(play(averaged, state, False), play(plain, last, False))
    assert np.any(play(averaged, state, True) != play(plain, last, True))


def test_a_grid_may_hold_no_mean():
    """Rate 1, in a program that averages for others: the actor itself, bit for bit."""
    _, _, states = run(1.0, grid__average_rate=(0.1, 1.0))
    np.testing.assert_array_equal(flat(states[-1].mean_actor), flat(states[-1].actor))


@pytest.mark.parametrize(
    ("spec", "changes", "reason"),
    [
        (spec_of(obs_shape=(2,), num_actions=2), {}, "discrete actions and config.feed is 'demos'"),
        (SPEC, {"method": "ppo", "feed": "rollout"}, "continuous actions and config.feed is 'rollout'"),
    ],
)
def test_where_there_is_no_mean_it_is_refused(spec, changes, reason):
    with pytest.raises(InputError, match=f"average_rate is 0.1; .*{reason}; set --config.average_rate=1"):
        compiled(configure(average_rate=0.1, **changes), spec)
