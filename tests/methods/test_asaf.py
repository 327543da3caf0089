"""ASAF: its optimum on known densities, its gradient and masks against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.agents.common import ADAM
from iqlearn_jax.methods.imitation.asaf import judged, windows
from iqlearn_jax.types import Batch, Transition
from tests.common import compiled, configure, deterministic_mdp, hyper, random_rows, slope, table_spec
from tests.methods.soft_rl_reference import ACTIONS, STATES

SPEC = table_spec(deterministic_mdp(STATES, ACTIONS, 3), ACTIONS)


def setup(logits, steps, envs, **changes):
    """(method, hparams, state whose policy is softmax(logits) [S, A])."""
    options = {"epochs": 1, "minibatches": 1, "online__rollout_steps": steps, "online__num_envs": envs}
    config = configure(method="asaf", feed="rollout", **options | changes)
    made, hparams = compiled(config, SPEC), hyper(config, SPEC, jnp.result_type(float))
    state = made.init(jax.random.key(0), hparams)
    actor = jax.tree.map(lambda _: jnp.asarray(logits), state.actor)
    return made, hparams, state.replace(actor=actor, actor_opt=ADAM.init(actor))


def table(tree):
    return np.asarray(jax.tree.leaves(tree)[0])


def softmax(logits):
    weight = np.exp(logits)
    return weight / weight.sum(axis=-1, keepdims=True)


def counted(counts):
    """Rows in which each (s, a) occurs `counts` [S, A] times."""
    s, a = (jnp.asarray(np.repeat(x.ravel(), counts.ravel()), jnp.int32) for x in np.indices(counts.shape))
    return Transition(obs=s, action=a, reward=s * 0.0, next_obs=s, terminated=s < 0, truncated=s < 0)


def test_where_state_visits_agree_the_optimum_is_the_expert():
    """ρ_E/ρ_G = π_E/π_G, so that D's optimum has π̃ = π_E, whatever π_G (Barde et al., theorem 1)."""
    rng = np.random.default_rng(0)
    visits = np.array([40, 80, 60, 100])
    split = [np.array([rng.multinomial(n - 12, [0.2, 0.3, 0.5]) + 4 for n in visits]) for _ in range(2)]
    split[1] = split[1][:, ::-1]
    expert, learner = (counts / visits[:, None] for counts in split)
    rows, played = counted(split[0]), counted(split[1])
    made, hparams, state = setup(np.log(learner).astype(np.float32), 1, 280, epochs=1500, actor_lr=0.02)
    batch = Batch(
        policy=jax.tree.map(lambda x: x[None], played), expert=jax.tree.map(lambda x: x[:, None], rows)
    )
    state, _ = made.update(hparams, state, batch, jax.random.key(1))
    np.testing.assert_allclose(softmax(table(state.actor)), expert, atol=0.005)
    assert np.abs(expert - learner).max() > 0.2


def test_one_step_follows_the_gradient_of_the_windows_that_are_whole():
    """Two steps from π_G: at the first all log-odds are 0, at the second π̃ is no longer π_G."""
    steps, envs, width = 4, 6, 2
    with jax.enable_x64(True):
        logits = np.random.default_rng(0).normal(size=(STATES, ACTIONS))
        options = {"window": width, "actor_lr": 0.3}
        made, hparams, state = setup(logits, steps, envs, **options)
        twice, *_ = setup(logits, steps, envs, epochs=2, **options)
        played, shown = (jax.tree.map(jnp.asarray, random_rows(SPEC, 24, seed, 0.2)) for seed in (0, 1))
        played = jax.tree.map(lambda x: x.reshape(steps, envs), played)
        shown = jax.tree.map(lambda x: x.reshape(-1, width), shown)
        batch = Batch(policy=played, expert=shown)
        first, _ = made.update(hparams, state, batch, jax.random.key(1))
        last, _ = twice.update(hparams, state, batch, jax.random.key(1))
    pairs = [
        (np.asarray(shown.obs), np.asarray(shown.action), np.asarray(shown.terminated | shown.truncated))
    ]
    pairs += [cut_by_hand(played, width)]
    assert all(0 < ends[:, 0].sum() < len(ends) for _, _, ends in pairs)

    def loss(tilde):
        total = 0.0
        for sign, (s, a, ends) in zip((1, -1), pairs, strict=True):
            ratio = np.log(softmax(tilde)[s, a] / softmax(logits)[s, a]).sum(axis=1)
            total += np.log1p(np.exp(-sign * ratio))[~ends[:, 0]].mean()
        return total

    moved = table(first.actor)
    one, two = slope(loss, logits), slope(loss, moved)
    np.testing.assert_allclose(table(last.actor_opt.mu), 0.09 * one + 0.1 * two, atol=1e-7)
    assert np.abs(one - two).max() > 0.01


def cut_by_hand(rollout, width):
    """(states, actions, ends) [M, width] of a rollout [T, N], window by window."""
    actual = [[], [], []]
    values = [np.asarray(x) for x in (rollout.obs, rollout.action, rollout.terminated | rollout.truncated)]
    steps, envs = values[0].shape
    for start, env in np.ndindex(steps // width, envs):
        window = slice(start * width, (start + 1) * width)
        for part, value in zip(actual, values, strict=True):
            part.append(value[window, env])
    return [np.stack(part) for part in actual]


def test_windows_stay_in_their_environment():
    time, env = np.indices((6, 2))
    actual = windows({"time": jnp.asarray(time), "env": jnp.asarray(env)}, 3)
    np.testing.assert_array_equal(actual["time"], [[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]])
    np.testing.assert_array_equal(actual["env"][:, 0], [0, 1, 0, 1])
    assert (np.ptp(actual["env"], axis=1) == 0).all()


@pytest.mark.parametrize("expert", [True, False])
def test_whole_episodes_are_judged_by_the_sums_of_their_own_steps(expert):
    rng = np.random.default_rng(0)
    ratio, ended = rng.normal(size=(20, 15)), rng.random((20, 15)) < 0.25
    sums, weight = map(np.asarray, judged(jnp.asarray(ratio), jnp.asarray(ended), 0, expert))
    wanted = np.zeros_like(weight)
    for row, ends in enumerate(map(np.flatnonzero, ended)):
        spans = list(enumerate(zip(np.r_[0, ends[:-1] + 1], ends, strict=False)))
        for number, (first, end) in spans[:1] if expert else spans[1:]:
            wanted[row, number] = 1
            np.testing.assert_allclose(sums[row, number], ratio[row, first : end + 1].sum(), atol=1e-5)
    np.testing.assert_array_equal(weight, wanted)
    assert 0 < wanted.sum() < ended.sum()


@pytest.mark.slow
def test_whole_episodes_find_the_expert_although_the_learner_visits_other_states():
    """Barde et al., theorem 1; single steps do not (they lack log ρ_E/ρ_G)."""
    rng, steps, count = np.random.default_rng(1), 3, 4000
    expert, learner = (softmax(rng.normal(size=(STATES, ACTIONS))) for _ in range(2))
    shown = episodes(expert, steps, count, rng)
    played = episodes(learner, steps, count, rng)
    visited = np.isin(np.arange(STATES), shown.obs[:, :steps])
    actual = {}
    for window in (0, 1):
        changes = {"window": window, "epochs": 120, "actor_lr": 0.05}
        made, hparams, state = setup(np.log(learner).astype(np.float32), steps + 1, count, **changes)
        width = made.window
        batch = Batch(
            policy=jax.tree.map(lambda x: jnp.roll(x, 1, axis=1).T, played),  # an end, then an episode
            expert=jax.tree.map(
                lambda x, w=width: x.reshape(-1, w) if w > 1 else x[:, :-1].reshape(-1, 1), shown
            ),
        )
        state, _ = made.update(hparams, state, batch, jax.random.key(1))
        actual[window] = np.abs(softmax(table(state.actor)) - expert)[visited].max()
    assert visited.sum() == 3 and np.abs(expert - learner)[visited].max() > 0.3
    assert actual[0] < 0.02 < 0.04 < actual[1]


def episodes(policy, steps, count, rng):
    """Episodes of `steps` steps from state 0 and one step more, an end by itself: rows [count, steps + 1]."""
    goes_to = np.argmax(SPEC.mdp.transition, axis=-1)
    state, actual = np.zeros(count, int), []
    for _ in range(steps + 1):
        action = np.array([rng.choice(ACTIONS, p=policy[s]) for s in state])
        actual.append((state, action))
        state = goes_to[state, action]
    s, a = (jnp.asarray(np.stack(part, axis=1), jnp.int32) for part in zip(*actual, strict=True))
    ended = jnp.broadcast_to(jnp.arange(steps + 1) >= steps - 1, s.shape)
    return Transition(obs=s, action=a, reward=s * 0.0, next_obs=s, terminated=ended, truncated=s < 0)
