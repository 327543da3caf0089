"""The unit and the origin of observations are free: networks see the same, whatever they are."""

import dataclasses

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import iqlearn_jax as iq
from iqlearn_jax.agents.common import standardised
from iqlearn_jax.cli.describe import _direction_text
from iqlearn_jax.config.values import as_plain
from iqlearn_jax.data.demos import Demos, load
from iqlearn_jax.data.origin import find_origin
from iqlearn_jax.data.sampling import measure_normalization
from iqlearn_jax.envs.registry import ENVIRONMENTS, open_env, register_env
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import make_method
from iqlearn_jax.rewards import load_reward, make_reward, save_reward
from iqlearn_jax.rewards.gymnasium import GymnasiumRewardWrapper
from iqlearn_jax.trained import numpy_policy
from iqlearn_jax.trained.export import export_policy
from iqlearn_jax.trained.play import policy_returns
from iqlearn_jax.trained.policy import load_policy
from iqlearn_jax.trained.record import record_demos
from iqlearn_jax.training.problem import make_problem
from tests.common import configure, hyper, spec_of

COLUMNS = np.array([1e-6, 1e3, 0.02, 1e7])


def inputs(obs, whiten=False):
    """What a network sees of observations [n, D] that were standardised by themselves."""
    obs = np.asarray(obs, np.float32)
    own = {name: jnp.asarray(x[0]) for name, x in measure_normalization([[obs]], whiten).items()}
    return np.asarray(standardised(own, obs))


@pytest.fixture(scope="module")
def cartpole():
    return load("bundled:CartPole-v1").observations


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("scale", [1e-3, 1e3, 1e-10, COLUMNS], ids=["1e-3", "1e3", "1e-10", "columns"])
def test_observations_in_another_unit_are_the_same_to_a_network(cartpole, scale, whiten):
    """Up to float32's rounding, of the order of 1e-7 of a standard deviation of each entry."""
    np.testing.assert_allclose(inputs(cartpole * scale, whiten), inputs(cartpole, whiten), atol=2e-5)


def test_what_only_rounding_makes_vary_is_left_alone():
    """Constants, large ones whose sums in float32 are off, and what is left of 0 = sin(pi)."""
    rng = np.random.default_rng(0)
    constant = np.tile(np.float32([0.0, 1.0, 123456.789, -1.7e9]), (5000, 1))
    flicker = np.float32(1.7e9) + np.float32(128) * rng.integers(0, 2, (5000, 1))
    left = 1.2e-16 * rng.normal(size=(5000, 1))
    seen = inputs(np.concatenate([constant, flicker, left], axis=1))
    assert np.isfinite(seen).all()
    np.testing.assert_array_equal(seen[:, :3], 0.0)
    assert np.abs(seen).max() < 0.1


def test_an_entry_of_small_unit_far_from_its_floor_is_standardised():
    x = np.random.default_rng(0).normal(5e-5, 1e-6, (1000, 1))
    np.testing.assert_allclose(inputs(x).std(), 1.0, rtol=1e-3)


# Far from 0: unix time, map coordinates ---------------------------------------------------------------------

NOW = 1.7e9  # float32 has steps of 128 there


class Clock(gymnasium.Env):
    """A point on a line is to be brought to 0; it is observed, beside the time, from an origin."""

    def __init__(self, origin=0.0):
        self.origin = np.array([origin, origin])
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = gymnasium.spaces.Discrete(3)

    def _obs(self):
        return self.origin + np.array([self.place, 0.1 * self.steps])

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = self.np_random.uniform(-1, 1), 0
        return self._obs(), {}

    def step(self, action):
        self.place, self.steps = self.place + 0.1 * (int(action) - 1), self.steps + 1
        return self._obs(), -abs(self.place), False, self.steps >= 20, {}


def expert_of(env, episodes=4):
    """Its demonstrations, in float64 as the environment gives them."""
    steps = []
    for seed in range(episodes):
        obs, cut = env.reset(seed=seed)[0], False
        while not cut:
            action = 1 - int(np.sign(np.round(env.place, 1)))
            following, reward, _, cut, _ = env.step(action)
            steps.append((obs, action, reward, following, False, cut))
            obs = following
    return Demos(*map(np.array, zip(*steps, strict=True)))


@pytest.fixture
def here():
    register_env("clock", Clock)
    yield
    del ENVIRONMENTS["clock"]


def problem_of(origin, demos=None, **changes):
    config = configure(env__id="clock", env__kwargs=f'{{"origin": {origin}}}', seeds=2, demos__trajectories=2)
    for name, value in changes.items():
        config[name] = value
    return make_problem(config, demos=demos or expert_of(Clock(origin)))


def seen_by(problem):
    """Network inputs of all demonstrated rows, by the statistics of the second run."""
    own = {name: problem.hparams[name][1] for name in ("obs_mean", "obs_std")}
    return np.asarray(standardised(own, problem.rows.obs))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("feed", ["demos", "replay"])
def test_vectors_in_float64_are_centred_before_they_are_cast(feed):
    """Up to float64's rounding at 1.7e9, 2e-7, over deviations of 0.3 and more."""
    near, far = problem_of(0.0, feed=feed), problem_of(NOW, feed=feed)
    assert near.spec.obs_origin is None and far.spec.obs_origin == pytest.approx(NOW, abs=2)
    assert far.demos.observations.dtype == np.float64 and far.rows.obs.dtype == np.float32
    np.testing.assert_allclose(seen_by(far), seen_by(near), atol=2e-5)
    [env] = far.handle.new(1)
    obs, _ = env.reset(seed=5)
    following = env.step(2)[0]
    assert obs.dtype == following.dtype == np.float32 and np.abs(obs).max() < 3
    plain = Clock()
    plain.reset(seed=5)
    np.testing.assert_allclose(following - obs, plain.step(2)[0] - [plain.place - 0.1, 0.0], atol=1e-6)


def test_float64_is_kept_where_float32_would_lose_it_and_in_files_too(tmp_path):
    far, near = expert_of(Clock(NOW)), expert_of(Clock(1.0))
    assert (far.observations.dtype, near.observations.dtype) == (np.float64, np.float32)
    far.save(tmp_path / "far.npz")
    again = load(tmp_path / "far.npz")
    np.testing.assert_array_equal(again.observations, far.observations)
    assert again.digest == far.digest
    constant = dataclasses.replace(far, observations=0 * far.observations + 0.1 + NOW)
    assert find_origin([constant.observations]) is None  # nothing to keep
    assert find_origin([far.observations.astype(np.float32)]) is None  # nothing left to keep


@pytest.mark.usefixtures("here")
def test_what_float32_has_lost_is_said(capsys):
    demos = expert_of(Clock(0.0))
    rounded = {
        name: (getattr(demos, name) * 500 + NOW).astype(np.float32)
        for name in ("observations", "next_observations")
    }
    problem_of(0.0, demos=dataclasses.replace(demos, **rounded))
    said = capsys.readouterr().err
    assert "observations[:, 0] vary by" in said and "float32 has steps of 128" in said


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_run_far_from_0_is_the_run_at_0(tmp_path):
    """Training, evaluation, the folder, and what is exported: as the same environment counted from 0."""
    config = {"method": "bc", "updates": 300, "log_every": 100, "critic_lr": 1e-2, "demos__trajectories": 4}
    runs = {}
    for name, origin in (("near", 0.0), ("far", NOW)):
        settings = config | {
            "env__kwargs": f'{{"origin": {origin}}}',
            "demos__trajectories": 4,
            "progress": False,
        }
        runs[name] = iq.train("clock", expert_of(Clock(origin)), workdir=tmp_path / name, **settings)
    assert runs["near"].returns.max() > -5
    np.testing.assert_allclose(runs["far"].returns, runs["near"].returns, rtol=0.05)
    policy, folder = runs["far"].policy(1), tmp_path / "far"
    obs = expert_of(Clock(NOW), 20).observations
    actions = runs["near"].policy(1)(obs - NOW)
    assert (policy(obs) == actions).mean() > 0.98
    export_policy(folder, 1, tmp_path / "policy.npz")
    for exported in (load_policy(tmp_path / "policy.npz"), numpy_policy.load(tmp_path / "policy.npz")):
        np.testing.assert_array_equal(exported(obs), policy(obs))
    handle = open_env(runs["far"].config.env)
    np.testing.assert_allclose(policy_returns(policy, handle, 10).mean(), runs["far"].returns[1], rtol=1e-6)
    with pytest.raises(InputError, match=r"vary too little.*--format=npz"):
        export_policy(folder, 1, tmp_path / "program", format="stablehlo")
    np.testing.assert_array_equal(iq.load(folder).policy(1)(obs), policy(obs))
    recorded = record_demos(folder, 1, 2)
    assert recorded.observations.dtype == np.float64
    np.testing.assert_allclose(recorded.observations[:, 0], NOW, atol=3)
    assert len(np.unique(recorded.observations[:20, 1])) == 20


@pytest.mark.slow
def test_a_recovered_reward_subtracts_its_origin_also_from_a_file(tmp_path):
    config, spec = configure(), spec_of(obs_shape=(2,), num_actions=3)
    method, hparams = make_method(config, spec), hyper(config, spec)
    state = method.init(jax.random.key(0), hparams)
    rng = np.random.default_rng(0)
    obs, following, action = rng.normal(size=(5, 2)), rng.normal(size=(5, 2)), rng.integers(0, 3, 5)
    ends = obs[:, 0] > 9
    near = make_reward(method, spec, hparams, state, as_plain(config), {})(obs, action, following, ends)
    far = spec._replace(obs_origin=np.full(2, NOW))
    save_reward(tmp_path / "r.npz", method, far, hparams, state, as_plain(config), {})
    reward = load_reward(tmp_path / "r.npz")
    found = reward(obs + NOW, action, following + NOW, ends)
    np.testing.assert_allclose(found, near, atol=1e-5)
    np.testing.assert_allclose(reward.of_relative()(obs, action, following, ends), near, atol=1e-6)
    wrapped = GymnasiumRewardWrapper(Clock(NOW), reward)
    start, _ = wrapped.reset(seed=0)
    after, value, *_ = wrapped.step(2)
    np.testing.assert_allclose(value, reward(start, np.int32(2), after, False), atol=1e-6)
    assert start.dtype == np.float64 and abs(value) < 10


def test_inspect_tells_directions_in_any_unit_and_from_any_origin():
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(500, 3)) * [1.0, 1e-6, 1e4]
    obs[:, 2] += 5e3 * obs[:, 0]
    said = _direction_text(obs.astype(np.float32))
    assert said.startswith("standardised, deviate by 0.7")
    assert _direction_text(obs + NOW * np.array([0, 1, 0])) != "none vary"
    far = obs * np.array([1.0, 1e6, 1e-4])
    assert _direction_text(far + NOW) == _direction_text(far.astype(np.float32))
    constant = np.tile(np.float32([123456.789, 0.1]), (5000, 1))
    assert _direction_text(constant) == "none vary"
