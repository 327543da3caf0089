"""Spaces of every kind: what is flattened, numbered or refused, the same for all who read them."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Sequence, Text, Tuple
from gymnasium.spaces.utils import flatten

from iqlearn_jax.envs.facts import same, spec_from_json, spec_to_json
from iqlearn_jax.envs.host import HostEnvs, evaluate_host
from iqlearn_jax.envs.registry import ENVIRONMENTS, open_by_name, register_env
from iqlearn_jax.envs.spaces import channels_last, spec_from_spaces
from iqlearn_jax.envs.spaces.spec import inwards
from iqlearn_jax.errors import InputError
from iqlearn_jax.trained import numpy_policy

TWO = Discrete(2)
VECTOR = Box(-np.inf, np.inf, (3,), np.float32)
PLACE = Box(-5, 5, (1,), np.float32)


class Echo(gymnasium.Env):
    """Any spaces; it keeps the actions that it got, and complains of one that is not in its space."""

    def __init__(self, observation_space=VECTOR, action_space=TWO, limit=5):
        self.observation_space, self.action_space, self.limit = observation_space, action_space, limit
        self.got = []

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.got.append(action)
        self.steps += 1
        return self.observation_space.sample(), 1.0, False, self.steps >= self.limit, {}


@pytest.fixture(autouse=True)
def as_before():
    before = dict(ENVIRONMENTS)
    yield
    ENVIRONMENTS.clear()
    ENVIRONMENTS.update(before)


def opened(observation_space=VECTOR, action_space=TWO, wrappers=()):
    register_env("echo", lambda: Echo(observation_space, action_space))
    return open_by_name("echo", wrappers=wrappers)


OBSERVATIONS = {
    "dict": (Dict({"place": PLACE, "goal": Discrete(2)}), (3,), "goal (one-hot of 2), place [1]"),
    "tuple": (Tuple((PLACE, Discrete(2))), (3,), "0 [1], 1 (one-hot of 2)"),
    "nested": (
        Dict({"b": Tuple((PLACE, TWO)), "a": MultiBinary(4)}),
        (7,),
        "a [4], b.0 [1], b.1 (one-hot of 2)",
    ),
    "discrete": (Discrete(11), (11,), "(one-hot of 11)"),
    "discrete from 3": (Discrete(4, start=3), (4,), "(one-hot of 4)"),
    "several": (MultiDiscrete([3, 2]), (5,), "(one-hot of 3 + 2)"),
    "flags": (MultiBinary(3), (3,), "[3]"),
    "stacked vectors": (Box(-1, 1, (4, 3), np.float32), (12,), "[4, 3]"),
    "one number": (Box(0, 1, (), np.float32), (1,), "[]"),
}


@pytest.mark.parametrize("kind", OBSERVATIONS)
def test_observations_are_flattened_as_gymnasium_does_everywhere(kind):
    space, shape, order = OBSERVATIONS[kind]
    spec = spec_from_spaces(space, TWO, "made-up")
    assert (spec.obs_shape, spec.obs_dtype, spec.spaces.order) == (shape, np.float32, order)
    space.seed(0)
    samples = [space.sample() for _ in range(5)]
    expected = np.stack([flatten(space, x).astype(np.float32) for x in samples])
    flat = np.stack([spec.spaces.flat_obs(x) for x in samples])
    np.testing.assert_array_equal(flat, expected)
    assert flat.dtype == np.float32
    part = spec_to_json(spec)[0]["spaces"]["observation"]
    np.testing.assert_array_equal(np.stack([numpy_policy.flat(part, x) for x in samples]), expected)
    np.testing.assert_array_equal(spec.spaces.flat_obs(expected), expected)  # those that are flat stay


def test_observations_may_have_leading_axes_and_be_traced():
    spaces = spec_from_spaces(OBSERVATIONS["dict"][0], TWO).spaces
    obs = {"place": np.float32([[1.5], [-2]]), "goal": np.array([1, 0])}
    expected = [[0, 1, 1.5], [1, 0, -2]]
    np.testing.assert_array_equal(spaces.flat_obs(obs), expected)
    np.testing.assert_array_equal(jax.jit(spaces.flat_obs)(jax.tree.map(jnp.asarray, obs)), expected)
    with pytest.raises(InputError, match=r"\['goal'\]: found int64 0\.\.2; expected integers 0\.\.1"):
        spaces.flat_obs(obs | {"goal": np.array([2, 0])})
    with pytest.raises(InputError, match=r"found keys \['place'\]; expected one with 'goal'"):
        spaces.flat_obs({"place": obs["place"]})


ACTIONS = {
    "from 1": (Discrete(3, start=1), 3),
    "from below 0": (Discrete(3, start=-1), 3),
    "several": (MultiDiscrete([3, 2]), 6),
    "several in rows": (MultiDiscrete([[3, 2], [2, 2]]), 24),
    "several from 1": (MultiDiscrete([3, 2], start=[1, -1]), 6),
    "flags": (MultiBinary(3), 8),
    "integers in a box": (Box(-1, 1, (2,), np.int32), 9),
}


@pytest.mark.parametrize("kind", ACTIONS)
def test_each_combination_of_integers_is_one_action_and_the_environment_gets_its_own(kind):
    space, count = ACTIONS[kind]
    handle = opened(action_space=space)
    spec = handle.spec
    assert (spec.num_actions, spec.action_low) == (count, None)
    numbers = np.arange(count)
    own = spec.spaces.own_actions(numbers)
    assert len(np.unique(own.reshape(count, -1), axis=0)) == count
    np.testing.assert_array_equal(spec.spaces.flat_actions(own), numbers)
    np.testing.assert_array_equal(jax.jit(spec.spaces.own_actions)(numbers), own)
    part = spec_to_json(spec)[0]["spaces"]["action"]
    np.testing.assert_array_equal(numpy_policy.own_action(part, numbers), own)
    envs = HostEnvs(handle, [0], 1)
    for number in numbers:
        step = envs.step(np.full((1, 1), number))
        assert step.action == number
    np.testing.assert_array_equal(envs._envs[0].unwrapped.got, own)


def test_an_environment_that_writes_into_its_action_does_not_change_the_next_one():
    class Writes(Echo):
        def step(self, action):
            result = super().step(action.copy())
            action += 1
            return result

    register_env("writes", lambda: Writes(action_space=MultiDiscrete([3, 2])))
    envs = HostEnvs(open_by_name("writes"), [0], 1)
    for _ in range(3):
        envs.step(np.full((1, 1), 4))
    np.testing.assert_array_equal(envs._envs[0].unwrapped.got, [[2, 0]] * 3)


def test_continuous_actions_of_other_ranks_are_vectors():
    space = Box(np.float32([[-1, 0], [2, 3]]), np.float32([[1, 1], [4, 5]]))
    handle = opened(action_space=space)
    assert handle.spec.action_low.tolist() == [-1, 0, 2, 3]
    envs = HostEnvs(handle, [0], 1)
    envs.step(np.float32([[[9, 0.5, 2, 4]]]))
    np.testing.assert_array_equal(envs._envs[0].unwrapped.got, [[[1, 0.5], [2, 4]]])


def test_bounds_of_float64_are_not_left_by_rounding():
    low, high = np.array([-0.1, -0.3, 1e9 + 1]), np.array([0.1, 0.7, 1e9 + 200])
    assert float(np.float32(0.1)) > 0.1
    inner = inwards(low, high)
    assert inner[0].dtype == inner[1].dtype == np.float32
    assert (inner[0] >= low).all() and (inner[1] <= high).all()
    np.testing.assert_allclose(inner, (low, high), rtol=1e-6)
    envs = HostEnvs(opened(action_space=Box(low, high, dtype=np.float64)), [0], 1)
    for extreme in (-1e12, 1e12):
        envs.step(np.full((1, 1, 3), extreme, np.float32))  # which the environment checks
    assert same(np.float32([0.1]), inwards(-high, high)[1][:1])  # policies of before fit still


@pytest.mark.parametrize(
    ("space", "hint"),
    [
        (Box(-np.inf, np.inf, (2,), np.float32), r"entry \[0\] is -inf to inf; expected a finite box"),
        (Box(np.float32([-1, 0]), np.float32([1, np.inf])), r"entry \[1\] is 0.0 to inf.*TransformAction"),
        (Box(np.float32([0]), np.float32([0])), "expected a finite box"),
        (Box(-3e38, 3e38, (1,), np.float32), "expected a finite box"),
        (MultiDiscrete([100, 100]), "10000 combinations.*4096 at most"),
        (MultiBinary(20), "1048576 combinations"),
        (Dict({"a": TWO}), "action space Dict.*expected Discrete, MultiDiscrete"),
    ],
)
def test_actions_that_cannot_be(space, hint):
    with pytest.raises(InputError, match=hint):
        spec_from_spaces(VECTOR, space, "made-up")


@pytest.mark.parametrize(
    ("space", "hint"),
    [
        (Text(5), "no fixed length"),
        (Dict({"a": Sequence(TWO)}), "no fixed length"),
        (Graph(PLACE, TWO), "no fixed length"),
        (Discrete(10**6), "1000000 entries as a vector; expected 100000 at most"),
    ],
)
def test_observations_that_cannot_be(space, hint):
    with pytest.raises(InputError, match=hint):
        spec_from_spaces(space, TWO, "made-up")


def test_bounds_of_observations_need_not_be_finite():
    one_sided = Box(np.float32([0, -np.inf, 0]), np.float32([np.inf, 1, 2]))
    assert spec_from_spaces(one_sided, TWO).spaces is None


@pytest.mark.parametrize(
    ("shape", "dtype", "order", "turned"),
    [
        ((3, 40, 40), np.uint8, "[C, H, W]", (40, 40, 3)),
        ((4, 84, 84), np.uint8, "[C, H, W]", (84, 84, 4)),
        ((9, 84, 84), np.float32, "[C, H, W]", (84, 84, 9)),
        ((1, 10, 10), np.uint8, "[C, H, W]", (10, 10, 1)),
        ((84, 84), np.uint8, "[H, W]", (84, 84, 1)),
        ((30, 40), np.float32, "[H, W]", (30, 40, 1)),
        ((4, 84, 80, 3), np.uint8, "[N, H, W, C]", (84, 80, 12)),
        ((4, 3, 84, 80), np.uint8, "[N, C, H, W]", (84, 80, 12)),
    ],
)
def test_images_of_another_order_are_refused_by_name_and_put_right(shape, dtype, order, turned):
    space = Box(0, 255, shape, dtype)
    with pytest.raises(InputError) as refused:
        opened(space)
    text = str(refused.value)
    assert f"[H, W, C] expected, looks like {order}" in text and "channels_last" in text and "echo" in text
    spec = opened(space, wrappers=["iqlearn_jax.envs.spaces:channels_last"]).spec
    assert (spec.obs_shape, spec.obs_dtype, spec.spaces) == (turned, dtype, None)


def test_channels_last_moves_pixels_where_they_belong():
    space = Box(0, 255, (2, 3, 8, 9), np.uint8)  # frames, channels, rows, columns
    env, raw = channels_last(Echo(space)), Echo(space)
    turned, frames = env.reset(seed=0)[0], raw.reset(seed=0)[0]
    for n, c, i, j in ((0, 0, 0, 0), (1, 2, 7, 8), (0, 1, 3, 5)):
        assert turned[i, j, 3 * n + c] == frames[n, c, i, j]
    with pytest.raises(InputError, match=r"look like \[H, W, C\]: leave it out"):
        channels_last(Echo(Box(0, 255, (84, 84, 3), np.uint8)))


@pytest.mark.parametrize(
    "shape", [(84, 84, 3), (10, 10, 4), (10, 10, 10), (7, 7, 3), (4, 4, 16), (7, 9, 8), (64, 40, 1)]
)
def test_images_of_our_order_are_taken(shape):
    assert spec_from_spaces(Box(0, 255, shape, np.uint8), TWO).obs_shape == shape


def test_what_a_spec_says_of_its_own_spaces_survives_json():
    spec = spec_from_spaces(OBSERVATIONS["nested"][0], MultiDiscrete([3, 2]), "made-up", 9)
    facts, _ = spec_to_json(spec)
    assert spec_from_json(facts, {}).spaces == spec.spaces
    plain, _ = spec_to_json(spec_from_spaces(VECTOR, TWO))
    assert "spaces" not in plain  # the files of before
    assert spec_from_json(plain, {}).spaces is None


@pytest.mark.parametrize("kind", ["dict", "tuple", "discrete from 3"])
def test_training_and_evaluation_see_the_same_flat_observations(kind):
    handle = opened(OBSERVATIONS[kind][0], MultiBinary(2))
    envs = HostEnvs(handle, [0], 2)
    step = envs.step(np.array([[3, 0]]))
    assert step.next_obs.shape == (1, 2, *handle.spec.obs_shape) and step.next_obs.dtype == np.float32
    seen = []
    played = evaluate_host(
        handle, lambda obs: seen.append(obs.copy()) or np.full(obs.shape[:2], 3), [0], 2, record=True
    )
    assert played.lengths.tolist() == [[5, 5]]
    np.testing.assert_array_equal(played.episodes[0][0].obs, [obs[0, 0] for obs in seen])
    assert played.episodes[0][0].action.tolist() == [3] * 5


def test_float64_entries_of_a_dict_are_not_cast_before_an_origin_is_subtracted():
    """Unix times a second apart are one number in float32."""
    space = Dict(time=Box(0, np.inf, (1,), np.float64), place=Box(-1, 1, (2,), np.float32))
    spaces = opened(space).spec.spaces
    flat = [
        spaces.flat_obs({"time": np.array([1.7e9 + t]), "place": np.zeros(2, np.float32)}) for t in (0, 1)
    ]
    assert flat[0].dtype == np.float64 and np.ptp([row.max() for row in flat]) == 1.0
