"""The on-policy loop, with a method that learns nothing and remembers what it was given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.data.demos import transitions
from iqlearn_jax.data.sampling import DemoIndices, sample_windows
from iqlearn_jax.loops.host import compile_host
from iqlearn_jax.loops.play import learner_policy
from iqlearn_jax.loops.rollout import make_rollout
from iqlearn_jax.methods import Method
from tests.common import LOW, bandit, demos_of, made_up_config

STEPS, ENVS, LIMIT = 4, 3, 6


def recorder(env):
    """Its state counts updates, on which its actions depend, and holds the last batch."""

    def batch_of(policy, expert):
        return {"policy": vars(policy), "expert": vars(expert)}

    def init(key, hparams):
        rows = transitions(demos_of("bandit"))
        empty = [
            jax.tree.map(lambda x, n=size: jnp.zeros((*n, *x.shape[1:]), x.dtype), rows)
            for size in ((STEPS, ENVS), (STEPS * ENVS,))
        ]
        return {"number": jnp.int32(0), "batch": batch_of(*empty)}

    def update(hparams, state, batch, key):
        number = state["number"] + 1
        return {"number": number, "batch": batch_of(batch.policy, batch.expert)}, {"loss": number * 1.0}

    def act(hparams, state, obs, key, deterministic):
        assert not deterministic
        return jnp.broadcast_to(LOW + 0.1 * state["number"], (obs.shape[0], 2))

    return Method(init, update, act, None)


@pytest.fixture(scope="module")
def seen():
    """Batches of four updates, metrics, and the run after them; one run."""
    env = bandit(LIMIT)
    config = made_up_config(
        "gail", "rollout", "bandit", online__num_envs=ENVS, online__rollout_steps=STEPS, log_every=1
    )
    loop = make_rollout(config, recorder(env), env)
    rows = jax.tree.map(jnp.asarray, transitions(demos_of("bandit")))
    demo_indices = DemoIndices(jnp.arange(6)[None], jnp.full(1, 6), jnp.zeros((1, 1), jnp.int32))
    hparams = {"gamma": jnp.ones(1)}
    run, updates = loop.init(hparams, np.array([3]), rows, demo_indices), []
    for _ in range(4):
        run, metrics = loop.chunk(hparams, rows, demo_indices, run)
        batch = jax.tree.map(lambda x: np.array(x[0]), run.state["batch"])
        updates.append((batch, {name: float(value[0]) for name, value in metrics.items()}))
    return updates, run


def test_a_rollout_is_in_order_and_goes_on_where_the_last_one_ended(seen):
    batches, _ = seen
    play = {
        name: np.concatenate([batch["policy"][name] for batch, _ in batches])
        for name in batches[0][0]["policy"]
    }
    ended = play["truncated"]
    assert play["obs"].shape == (4 * STEPS, ENVS, 2) and not play["terminated"].any()
    np.testing.assert_array_equal(np.flatnonzero(ended[:, 0]) % LIMIT, LIMIT - 1)
    same = (play["next_obs"][:-1] == play["obs"][1:]).all(axis=-1)
    np.testing.assert_array_equal(same, ~ended[:-1])  # a true successor at ends, then a fresh start
    assert len(np.unique(play["obs"].reshape(-1, 2), axis=0)) == 4 * STEPS * ENVS


def test_all_of_a_rollout_is_by_one_policy(seen):
    for number, (batch, _) in enumerate(seen[0]):
        action = batch["policy"]["action"]
        np.testing.assert_allclose(action, np.broadcast_to(LOW + 0.1 * number, action.shape), rtol=1e-5)


def test_as_many_demonstrated_rows_as_own_ones_from_what_the_run_may_see(seen):
    known = demos_of("bandit").observations[:6]
    for batch, _ in seen[0]:
        assert batch["expert"]["obs"].shape == (STEPS * ENVS, 2)
        assert all((row == known).all(axis=1).any() for row in batch["expert"]["obs"])


@pytest.mark.parametrize("from_start", [False, True])
def test_windows_are_successive_steps_that_start_at_what_the_run_may_see(from_start):
    demos = demos_of("bandit")
    rows = jax.tree.map(jnp.asarray, transitions(demos))
    demo_indices = DemoIndices(jnp.array([2, 30, len(demos) - 1]), jnp.int32(3), jnp.array([1, 7]))
    windows = sample_windows(rows, demo_indices, jax.random.key(0), 50, 3, from_start).expert
    starts = [int(np.flatnonzero((demos.observations == window[0]).all(axis=1))[0]) for window in windows.obs]
    assert set(starts) == ({1, 7} if from_start else {2, 30, len(demos) - 1})
    for start, obs, cut in zip(starts, windows.obs, windows.truncated, strict=True):
        inside = np.minimum(start + np.arange(3), len(demos) - 1)
        np.testing.assert_array_equal(obs, demos.observations[inside])
        assert start < len(demos) - 1 or cut[0]  # what was repeated lies behind an end


def test_steps_and_episodes_are_counted(seen):
    batches, run = seen
    assert int(run.env_steps[0]) == 4 * STEPS * ENVS and int(run.updates[0]) == 4
    assert run.replay is None
    total, returns = 0.0, np.zeros(ENVS)
    for batch, metrics in batches:
        finished = 0.0
        for reward, cut in zip(batch["policy"]["reward"], batch["policy"]["truncated"], strict=True):
            returns += reward
            finished += returns[cut].sum()
            returns[cut] = 0.0
        assert metrics["episodes"] == batch["policy"]["truncated"].sum()
        assert metrics["return_sum"] == pytest.approx(finished, rel=1e-5)
        total += metrics["episodes"]
    assert total == ENVS * (4 * STEPS // LIMIT)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_the_actions_is_drawn_uniformly(share):
    env, rows = bandit(LIMIT), 4000
    config = made_up_config("iq", "rollout", "bandit", exploration=share)
    act = learner_policy(config, recorder(env), env.spec, {"exploration": share}, {"number": jnp.int32(0)})
    actions = np.array(act(jnp.zeros((rows, 1)), jax.random.key(0)))
    drawn = np.any(actions != LOW, axis=1)  # the recorder's own action is the box's corner
    assert abs(drawn.mean() - share) <= 4 * np.sqrt(share * (1 - share) / rows)
    if share:  # whole actions are drawn, over the whole box
        low, high = env.spec.action_low, env.spec.action_high
        centred = (actions[drawn] - low) / (high - low) - 0.5
        assert np.all(np.abs(centred) <= 0.5) and np.all(drawn == np.all(actions != LOW, axis=1))
        assert np.all(np.abs(centred.mean(axis=0)) < 4 / np.sqrt(12 * drawn.sum()))


def test_both_kinds_of_loops_explore():
    """At a share of 1 no action is the policy's, whatever the loop."""
    env = bandit(LIMIT)
    sizes = {"online__num_envs": ENVS, "online__rollout_steps": STEPS, "log_every": 1, "exploration": 1.0}
    hparams = {"gamma": jnp.ones(1), "exploration": jnp.ones(1)}
    rows = jax.tree.map(jnp.asarray, transitions(demos_of("bandit")))
    demo_indices = DemoIndices(jnp.arange(6)[None], jnp.full(1, 6), jnp.zeros((1, 1), jnp.int32))
    loop = make_rollout(made_up_config("sqil", "rollout", "bandit", **sizes), recorder(env), env)
    run, _ = loop.chunk(hparams, rows, demo_indices, loop.init(hparams, np.array([3]), rows, demo_indices))
    assert np.all(run.state["batch"]["policy"]["action"] != LOW)
    config = made_up_config("sqil", "replay", "bandit", **sizes)
    compiled = compile_host(config, recorder(env), env.spec)
    run = compiled.begin(hparams, np.array([3]), rows, demo_indices)
    assert np.all(compiled.act(hparams, run, jnp.zeros((1, ENVS, 1))) != LOW)
