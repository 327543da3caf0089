"""A recovered reward as a function: any leading axes, a deterministic form, what follows ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.config.values import from_flat
from iqlearn_jax.errors import InputError
from iqlearn_jax.rewards import load_reward, save_reward
from tests.common import spec_of
from tests.rewards.made_rewards import BOX, asked, made


@pytest.fixture(scope="module")
def reward_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rewards")

    def make(name):
        path = folder / f"{name}.npz"
        return load_reward(path) if path.exists() else save_reward(path, *made(name)[0])

    return make


def test_it_is_one_function_of_any_leading_axes_and_of_tracers(reward_of):
    reward, rows = reward_of("airl"), asked(made("airl")[1])
    reward = jax.jit(reward)
    whole = np.asarray(reward(*rows))
    split = [np.reshape(x, (4, 5, *np.shape(x)[1:])) for x in rows]
    np.testing.assert_allclose(reward(*split), whole.reshape(4, 5), rtol=1e-5)
    np.testing.assert_allclose(reward(*(x[3] for x in rows)), whole[3], rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(reward)(*rows), whole, rtol=1e-5)
    slope = jax.grad(lambda obs: reward(obs, *(x[3] for x in rows[1:])))(jnp.asarray(rows[0][3]))
    assert slope.shape == rows[0][3].shape and np.abs(slope).max() > 0


def test_continuous_actions_are_clipped_to_their_bounds(reward_of):
    reward, (obs, action, *rest) = jax.jit(reward_of("iq, box")), asked(made("iq, box")[1])
    beyond = np.broadcast_to(BOX.action_high + 5, action.shape)
    at = np.broadcast_to(BOX.action_high, action.shape)
    np.testing.assert_array_equal(reward(obs, beyond, *rest), reward(obs, at, *rest))


def test_without_a_key_a_sampled_reward_is_a_function_of_its_row_and_near_the_mean(reward_of):
    reward, rows = reward_of("iq, box"), made("iq, box")[1]
    fixed = jax.jit(reward)
    first = np.asarray(fixed(*asked(rows)))
    backwards = jax.tree.map(lambda x: x[::-1], rows)
    np.testing.assert_allclose(fixed(*asked(backwards))[::-1], first, rtol=1e-5, atol=1e-6)
    keys = jax.random.split(jax.random.key(1), 300)
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: reward(*asked(rows), key)))(keys))
    live = ~rows.terminated
    assert drawn[:, live].std(axis=0).min() > 0
    error = np.abs(first - drawn.mean(axis=0))[live]
    assert (error < 5 * drawn.std(axis=0)[live] * np.sqrt(1 / 16 + 1 / 300)).all()
    assert np.ptp(drawn[:, ~live], axis=0).max() == 0  # behind an end nothing is sampled


@pytest.mark.parametrize("name", ["iq, absorbing", "iq, box, bounded"])
def test_with_its_ends_iq_learns_terminal_reward_is_q(name, reward_of):
    """r + γV_end = Q: the fixed point of a learner to whom terminals are worth 0."""
    (_, spec, hparams, state, flat, _), rows = made(name)
    agent, reward, ends = make_agent(from_flat(flat), spec), reward_of(name), rows.terminated
    q = np.mean(jax.jit(agent.q)(hparams, state.critic, rows.obs, rows.action), axis=0)
    both = jax.jit(lambda *row: (reward.with_ends(*row), reward(*row)))
    corrected, plain = (np.asarray(x) for x in both(*asked(rows)))
    np.testing.assert_allclose(corrected[ends], q[ends], rtol=1e-4, atol=1e-3)
    assert np.abs(plain - q)[ends].min() > 1
    np.testing.assert_array_equal(reward.after_end(ends)[~ends], 0)


def test_bounded_ends_of_the_learner_lie_at_the_lower_bound(reward_of):
    """χ² over both samples has |r| ≤ 4α, so an end costs the learner 4α·γ/(1−γ) = 198."""
    assert float(reward_of("iq, box, bounded").after_end(True)) == pytest.approx(-2.0 * 0.99 / 0.01, rel=1e-5)


def test_other_shapes_and_environments_are_refused(reward_of):
    reward, (obs, action, *rest) = reward_of("airl"), asked(made("airl")[1])
    with pytest.raises(InputError, match=r"obs: found shape \(20, 2\).*expects \(20, 3\)"):
        reward(obs[:, :2], action, *rest)
    with pytest.raises(InputError, match=r"action: found shape \(19,\)"):
        reward(obs, action[1:], *rest)
    for other, name in (
        (spec_of(obs_shape=(4,), num_actions=3), "obs_shape"),
        (spec_of(num_actions=2), "num_actions"),
        (spec_of(), "num_actions"),
    ):
        with pytest.raises(InputError, match=f"{name} of environment 'made-up'"):
            reward.require_fit(other)
    reward.require_fit(spec_of(num_actions=3, limit=99)._replace(id="heavier"))
    with pytest.raises(InputError, match="action_high"):
        reward_of("iq, box").require_fit(spec_of(high=np.float32([1.0, 4.0])))
