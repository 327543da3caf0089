"""Frames stored once give back every transition, exactly and uniformly, whatever the lengths of episodes."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.data.demos import Demos, validate
from iqlearn_jax.data.replay import make_replay
from iqlearn_jax.data.sampling import count_rows, make_rows, take_rows
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import Transition
from tests.common import spec_of

SIZE = 3


def play(rng, steps, num_envs, stack, mean_length):
    """Transitions [num_envs] of random frames, stacked the slow way; the reward is the row's number."""
    channels = stack if stack > 1 else 2

    def frame():
        return rng.integers(0, 256, (SIZE, SIZE, 1 if stack > 1 else 2), dtype=np.uint8)

    def begin():
        return np.repeat(frame(), stack, axis=-1)

    obs = [begin() for _ in range(num_envs)]
    for number in range(steps):
        following = [np.concatenate([o, frame()], axis=-1)[..., -channels:] for o in obs]
        ended = rng.random(num_envs) < 1 / mean_length
        terminated = ended & (rng.random(num_envs) < 0.5)
        yield Transition(
            obs=np.stack(obs),
            action=rng.integers(0, 3, num_envs).astype(np.int32),
            reward=np.float32(number * num_envs + np.arange(num_envs)),
            next_obs=np.stack(following),
            terminated=terminated,
            truncated=ended & ~terminated,
        )
        obs = [begin() if end else after for end, after in zip(ended, following, strict=True)]


def image_spec(stack):
    shape = (SIZE, SIZE, stack if stack > 1 else 2)
    return spec_of(obs_shape=shape, obs_dtype=np.uint8, num_actions=3)._replace(frame_stack=stack)


@pytest.mark.parametrize(("stack", "num_envs", "mean_length"), [(4, 3, 20), (4, 1, 2), (1, 2, 9), (3, 2, 1)])
def test_samples_are_what_was_added(stack, num_envs, mean_length):
    capacity = 12 * num_envs
    replay = make_replay(image_spec(stack), capacity, 12, num_envs)
    add, sample = jax.jit(replay.add), jax.jit(replay.sample)
    state, seen = replay.init(), {}
    for number, batch in enumerate(play(np.random.default_rng(0), 60, num_envs, stack, mean_length)):
        state = add(state, batch)
        for i in range(num_envs):
            seen[float(batch.reward[i])] = jax.tree.map(lambda x, i=i: x[i], batch)
        drawn = jax.device_get(sample(state, jax.random.key(number)))
        for i, name in enumerate(drawn.reward):
            wanted = seen[float(name)]  # an overwritten one would differ in its frames
            jax.tree.map(np.testing.assert_array_equal, jax.tree.map(lambda x, i=i: x[i], drawn), wanted)
        assert drawn.reward.min() >= (number + 1) * num_envs - capacity
    kept = int(state.count - state.oldest)
    assert kept == 12 if mean_length >= 20 else 4 <= kept <= 12


def test_every_transition_that_is_kept_is_drawn_alike():
    replay = make_replay(image_spec(4), 20, 20, 2)
    add, state = jax.jit(replay.add), replay.init()
    for batch in play(np.random.default_rng(1), 30, 2, 4, 9):
        state = add(state, batch)
    draw = jax.jit(jax.vmap(lambda key: replay.sample(state, key).reward))
    counts = Counter(np.asarray(draw(jax.random.split(jax.random.key(0), 1000))).ravel().tolist())
    assert sorted(counts) == list(range(2 * int(state.oldest), 60))
    expected = 20_000 / len(counts)
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    assert statistic < 50  # χ² with 19 degrees of freedom: beyond it once in 10,000


def test_a_frame_is_held_once():
    spec = spec_of(obs_shape=(84, 84, 4), obs_dtype=np.uint8, num_actions=3)._replace(frame_stack=4)
    state = jax.eval_shape(make_replay(spec, 10_000, 32, 1).init)
    held = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    assert held < 1.15 * 10_000 * 84 * 84


def demonstrations(stack=4):
    rows = list(play(np.random.default_rng(2), 50, 1, stack, 9))
    steps = jax.tree.map(lambda *x: np.concatenate(x), *rows)
    steps.truncated[-1] = not steps.terminated[-1]
    return Demos(steps.obs, steps.action, steps.reward, steps.next_obs, steps.terminated, steps.truncated)


@pytest.mark.parametrize("stack", [1, 4])
def test_demonstrations_come_back_as_they_were(stack):
    demos = demonstrations(stack)
    rows = jax.tree.map(jnp.asarray, make_rows(demos, image_spec(stack)))
    assert count_rows(rows) == len(demos)
    assert len(rows.frames) == len(demos) + demos.num_episodes
    index = np.arange(len(demos))
    batch = jax.jit(take_rows)(rows, index)
    np.testing.assert_array_equal(batch.obs, demos.observations)
    np.testing.assert_array_equal(batch.next_obs, demos.next_observations)
    np.testing.assert_array_equal(batch.action, demos.actions)
    np.testing.assert_array_equal(batch.terminated, demos.terminals)


@pytest.mark.parametrize("field", ["observations", "next_observations"])
def test_demonstrations_that_are_no_stacks_are_refused(field):
    demos = demonstrations()
    last = int(demos.episode_lengths[0]) - 1
    getattr(demos, field)[last, 0, 0, 1] ^= 1
    with pytest.raises(InputError, match=f"file: {field}"):
        validate(demos, image_spec(4), "file")
