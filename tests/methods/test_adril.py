"""AdRIL: rewards by round against NumPy and exact discriminators; the rounds that the replay remembers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.errors import InputError
from iqlearn_jax.methods.imitation.adril import round_reward
from iqlearn_jax.training.problem import make_loop, make_problem
from iqlearn_jax.types import Batch, RoundTransition, without_round
from tests.common import compiled, configure, made_up_config, made_up_environments, spec_of
from tests.methods import tabular_reference as reference
from tests.methods.soft_rl_reference import (
    ACTIONS,
    GAMMA,
    STATES,
    check_update,
    gradients,
    setup,
    uneven_batch,
)
from tests.methods.tabular_setup import rows_of


@pytest.mark.parametrize("current", [0, 1, 4])
def test_past_rounds_share_minus_one(current):
    """Of k past rounds each row gets −1/k; the present round and the first of all get 0."""
    rounds = np.arange(current + 1)
    actual = round_reward(jnp.asarray(rounds), jnp.int32(current))
    np.testing.assert_allclose(actual, [-1 / current if r < current else 0.0 for r in rounds], rtol=1e-6)
    assert float(actual.sum()) == pytest.approx(-1.0 if current else 0.0)


@pytest.mark.parametrize("treatment", [pytest.param("zero", marks=pytest.mark.slow), "absorbing"])
@pytest.mark.parametrize("step", [9, 10, pytest.param(39, marks=pytest.mark.slow)])
def test_update_is_sqil_with_the_rewards_of_rounds(treatment, step):
    """Rounds of 10 updates: at step 9 all rows are of the present round, at 39 rounds 0 to 2 are past."""
    with jax.enable_x64(True):
        spec, made, hparams, state, table = setup("adril", terminal=treatment, round_updates=10)
        current = step // 10
        rounds = np.minimum([0, 1, 3, 2, 0], current)
        batch = uneven_batch(spec)
        dated = RoundTransition(**vars(batch.policy), round=jnp.asarray(rounds, jnp.int32))
        batch = batch.replace(policy=dated)
        policy = np.array([-1 / current if r < current else 0.0 for r in rounds])
        rewards = {"policy": policy, "expert": np.ones(7)}
        state = state.replace(step=jnp.int32(step))
        check_update(made, hparams, state, table, batch, rewards, rewards, treatment == "absorbing")


def rows_of_rounds(occupancies, size=2000):
    """Replay in which round i has `size` rows, pairs in the shares of occupancies[i] [S, A].

    Every row ends, so that nothing follows it.
    """
    shares = [visits.ravel() / visits.sum() for visits in occupancies]
    pairs = [np.searchsorted(np.cumsum(share), (np.arange(size) + 0.5) / size) for share in shares]
    obs, action = np.divmod(np.concatenate(pairs), ACTIONS)
    rows = rows_of(obs, action, terminated=np.ones(len(obs), bool))
    return RoundTransition(**vars(rows), round=jnp.repeat(jnp.arange(len(shares), dtype=jnp.int32), size))


def expected_return(transition, initial, policy, reward):
    """(1−γ) E[Σ γ^t r] of a policy [S, A] under rewards [S, A], by sweeps of policy evaluation."""
    value = np.zeros(len(initial))
    for _ in range(150):
        value = (policy * (reward + GAMMA * transition @ value)).sum(axis=1)
    return (1 - GAMMA) * initial @ value


@pytest.mark.parametrize(
    "begun",
    [pytest.param(False, id="round begins"), pytest.param(True, id="round ends", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("past", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_the_critic_is_pulled_along_the_mean_of_past_discriminators(past, begun):
    """Under the kernel 1[x = y] round i's discriminator is ρ_E − ρ_i. Occupancies are exact, of a finite
    process; the pull is the slope of the method's own update at Q = 0. As half of the batch, demonstrations
    count as often as the replay with all its rounds; the discriminators count them as often as one round.

    Under the mean discriminator the expert's return exceeds the mean of the past policies' by the squared
    distance of the occupancies (the squared maximum mean discrepancy).
    """
    process = reference.random_process(0, STATES, ACTIONS)
    policies = np.random.default_rng(1).dirichlet(np.ones(ACTIONS), (past + 2, STATES))
    expert, *learner = (reference.visits(process[0], process[1], GAMMA, policy) for policy in policies)
    stored = learner if begun else learner[:past]
    with jax.enable_x64(True):
        _, made, hparams, state, _ = setup("adril", round_updates=10)
        blank = jax.tree.map(jnp.zeros_like, state.critic)
        state = state.replace(critic=blank, target_critic=blank, step=jnp.int32(10 * past))
        batch = Batch(policy=rows_of_rounds(stored), expert=without_round(rows_of_rounds([expert])))
        after, _ = made.update(hparams, state, batch, jax.random.key(0))
        pull = -gradients(after)[0] / 2
    actual = len(stored) * pull - (len(stored) - 1) * expert
    discriminators = [expert - visits for visits in learner[:past]]
    np.testing.assert_allclose(actual, np.mean(discriminators, axis=0), atol=2e-3)
    best, *others = (expected_return(*process, policy, actual) for policy in policies[: past + 1])
    discrepancy = np.square(expert - np.mean(learner[:past], axis=0)).sum()
    assert best - np.mean(others) == pytest.approx(discrepancy, abs=2e-3)
    assert discrepancy > 0.01


def stored_rounds(method, env, **changes):
    """Rounds [runs, rows] in the replay after 10 random rows and 8 updates with 2 environments each."""
    with made_up_environments():
        problem = make_problem(made_up_config(method, "replay", env, **changes))
    loop = make_loop(problem)
    run = loop.init(problem.hparams, problem.seeds, problem.rows, problem.demo_indices)
    for _ in range(2):
        run, _ = loop.chunk(problem.hparams, problem.rows, problem.demo_indices, run)
    kept = run.replay.facts if env == "picture" else run.replay.experience
    return np.asarray(kept.round).reshape(len(problem.seeds), -1) if hasattr(kept, "round") else None


@pytest.mark.slow
@pytest.mark.parametrize("env", ["walk", "picture"])
def test_the_replay_holds_the_round_of_each_transition(env):
    """Rounds of 2 updates: random play and the first two steps are round 0, the next two round 1, ..."""
    wanted = [0] * 10 + [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    for actual in stored_rounds("adril", env, round_updates=2):
        np.testing.assert_array_equal(actual, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("env", ["walk", "picture"])
def test_other_methods_store_no_rounds(env):
    assert stored_rounds("sqil", env) is None


def test_a_round_may_not_end_within_a_step():
    config = configure(method="adril", feed="replay", round_updates=10, online__updates_per_step=4)
    with pytest.raises(InputError, match=r"config.round_updates is 10; .*updates_per_step \(4\)"):
        compiled(config, spec_of(obs_shape=(2,), num_actions=3))
