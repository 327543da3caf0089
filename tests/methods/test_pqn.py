"""PQN's targets against NumPy, step by step; and what a method makes of a rollout in passes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.agents.common import ADAM
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods.forward_rl.pqn import targets
from iqlearn_jax.types import Batch
from tests.common import compiled, configure, deterministic_mdp, hyper, random_rows, spec_of, table_spec

STATES, ACTIONS, STEPS, ENVS = 5, 3, 6, 4
SPEC = table_spec(deterministic_mdp(STATES, ACTIONS, 0), ACTIONS)
GAMMA, LAMBDA, TAU = 0.9, 0.65, 0.3
SIZES = {"online__rollout_steps": STEPS, "online__num_envs": ENVS}
VALUES = {
    "method": "pqn",
    "feed": "rollout",
    "temperature": TAU,
    "gamma": GAMMA,
    "gae_lambda": LAMBDA,
} | SIZES


def rollout_of(seed=0):
    """[T, N] in order of time: but after an end, each step begins where the one before it arrived."""
    rows = jax.tree.map(lambda x: x.reshape(STEPS, ENVS), random_rows(SPEC, STEPS * ENVS, seed))
    goes_on = ~(rows.terminated | rows.truncated)[:-1]
    rows.obs[1:][goes_on] = rows.next_obs[:-1][goes_on]
    return jax.tree.map(jnp.asarray, rows)


def filled(state, table):
    """The state with that table [S, A] as its critic, in the table's precision."""
    fill = {"net": jax.tree.map(lambda _: jnp.asarray(table)[None], state.critic["net"])}
    critic = fill | {"absorbing": jnp.zeros((), table.dtype)}
    log_temperature = jnp.log(jnp.asarray(TAU, table.dtype))
    return state.replace(
        critic=critic, target_critic=critic, critic_opt=ADAM.init(critic), log_temperature=log_temperature
    )


def returns_in_numpy(rollout, table):
    """G_t = r_t + γ[(1−λ)V(s') + λ(G_{t+1} − τ log π(a'|s'))]; V(s') alone after a cut and at the end."""
    values = TAU * np.log(np.exp(table / TAU).sum(axis=1))
    surprise = values[:, None] - table  # −τ log π(a|s)
    rows = jax.tree.map(np.asarray, rollout)
    actual = np.zeros((STEPS, ENVS))
    for t in reversed(range(STEPS)):
        after = values[rows.next_obs[t]]
        if t + 1 < STEPS:
            later = actual[t + 1] + surprise[rows.obs[t + 1], rows.action[t + 1]]
            goes_on = ~(rows.terminated[t] | rows.truncated[t])
            after = np.where(goes_on, (1 - LAMBDA) * after + LAMBDA * later, after)
        actual[t] = rows.reward[t] + GAMMA * after * ~rows.terminated[t]
    return actual


def test_targets_are_lambda_returns_of_soft_values():
    with jax.enable_x64(True):
        config = configure(**VALUES)
        agent, hparams = make_agent(config, SPEC), hyper(config, SPEC, jnp.result_type(float))
        table = np.random.default_rng(1).normal(size=(STATES, ACTIONS))
        rollout = rollout_of()
        actual = targets(hparams, filled(agent.init(jax.random.key(0), hparams), table), agent, rollout)
    np.testing.assert_allclose(actual.target, returns_in_numpy(rollout, table).ravel(), rtol=1e-6)
    assert (rollout.terminated | rollout.truncated).any() and not rollout.terminated.all()


def test_a_step_is_the_gradient_of_the_squared_distance_to_them():
    """One pass in one minibatch: Adam's first moment is a tenth of the gradient."""
    with jax.enable_x64(True):
        config = configure(**VALUES, epochs=1, minibatches=1)
        made, hparams = compiled(config, SPEC), hyper(config, SPEC, jnp.result_type(float))
        table = np.random.default_rng(1).normal(size=(STATES, ACTIONS))
        rollout = rollout_of()
        state = filled(made.init(jax.random.key(0), hparams), table)
        after, _ = made.update(hparams, state, Batch(policy=rollout), jax.random.key(2))
    target = returns_in_numpy(rollout, table).ravel()
    obs, action = (np.asarray(x).ravel() for x in (rollout.obs, rollout.action))
    gradient = np.zeros((STATES, ACTIONS))
    np.add.at(gradient, (obs, action), 2 * (table[obs, action] - target) / len(target))
    (moment,) = jax.tree.leaves(after.critic_opt.mu["net"])
    np.testing.assert_allclose(moment[0], 0.1 * gradient, atol=1e-9)
    assert int(after.step) == 1


@pytest.mark.parametrize("method", ["iq", "sqil", "dac"])
def test_one_pass_in_one_minibatch_is_the_update_on_all_rows(method):
    changes = {"epochs": 1, "minibatches": 1, **SIZES}
    if method == "iq":
        changes |= {"value_term": "policy", "regularize": "both"}
    passing = compiled(configure(method=method, feed="rollout", **changes), SPEC)
    plain = compiled(configure(method=method, feed="replay", **changes), SPEC)
    hparams, rollout = passing.hparams(), rollout_of()
    expert = jax.tree.map(jnp.asarray, random_rows(SPEC, STEPS * ENVS, 7))
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rollout)
    state = passing.init(jax.random.key(0), hparams)
    extra = {"expert": expert, "next_action": expert.action, "initial": expert.obs}
    one, seen = passing.update(hparams, state, Batch(policy=rollout, **extra), jax.random.key(1))
    other, expected = plain.update(hparams, state, Batch(policy=flat, **extra), jax.random.key(1))
    for actual, wanted in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(actual, wanted, atol=1e-6)
    assert seen.keys() == expected.keys()


def test_passes_count_rollouts_and_move_as_often_as_told():
    """3 passes of 4 minibatches: twelve steps of Adam, one update."""
    config = configure(method="iq", feed="rollout", value_term="policy", regularize="both", epochs=3, **SIZES)
    made, rollout = compiled(config, SPEC), rollout_of()
    expert = jax.tree.map(jnp.asarray, random_rows(SPEC, STEPS * ENVS, 7))
    batch = Batch(policy=rollout, expert=expert, next_action=expert.action, initial=expert.obs)
    hparams = made.hparams()
    state, _ = made.update(hparams, made.init(jax.random.key(0), hparams), batch, jax.random.key(1))
    assert int(state.step) == 1
    assert int(state.critic_opt.count) == 12


def test_a_target_that_is_replaced_at_times_is_so_between_rollouts():
    """Every second one: in its passes the target is the critic of before, afterwards that of now."""
    changes = {"value_term": "policy", "regularize": "both", "target_network": True, "target_period": 2}
    made = compiled(configure(method="iq", feed="rollout", epochs=3, **changes, **SIZES), SPEC)
    expert = jax.tree.map(jnp.asarray, random_rows(SPEC, STEPS * ENVS, 7))
    batch = Batch(policy=rollout_of(), expert=expert, next_action=expert.action, initial=expert.obs)
    state = made.init(jax.random.key(0), made.hparams())
    for number in range(1, 5):
        before = state
        state, _ = made.update(made.hparams(), state, batch, jax.random.key(number))
        expected = state.critic if number % 2 == 0 else before.target_critic
        chex.assert_trees_all_equal(state.target_critic, expected)
        assert not np.allclose(state.critic["net"]["params"]["Embed_0"]["embedding"], 0.0)


def test_minibatches_that_do_not_divide_a_rollout_are_refused():
    with pytest.raises(InputError, match=r"config.minibatches is 7, which does not divide a rollout of 24"):
        compiled(configure(method="iq", feed="rollout", minibatches=7, **SIZES), SPEC)


def test_continuous_actions_are_refused():
    with pytest.raises(InputError, match="needs discrete actions"):
        compiled(configure(method="pqn", feed="rollout", **SIZES), spec_of())
