"""What standardises the observations, offline and online."""

from pathlib import Path

import jax
import numpy as np
import pytest

from iqlearn_jax.agents.common import standardised
from iqlearn_jax.config.files import load_config
from iqlearn_jax.data.origin import moments
from iqlearn_jax.data.sampling import measure_normalization
from iqlearn_jax.envs.registry import open_by_name
from iqlearn_jax.errors import InputError
from iqlearn_jax.loops.host import random_play
from iqlearn_jax.loops.play import random_observations
from iqlearn_jax.training.problem import make_problem
from tests.common import cartpole_demos

CONFIGS = Path(__file__).parents[2] / "configs"


def test_moments_are_those_of_the_mixture_with_equal_weights():
    rng = np.random.default_rng(0)
    narrow, wide = rng.normal(3.0, 1e-4, (50, 2)), rng.normal(-1.0, 2.0, (400, 2))
    mean, std = moments([narrow, wide])
    together = np.concatenate([np.repeat(narrow, 8, axis=0), wide])  # the same number of rows of each
    np.testing.assert_allclose(mean, together.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std, together.std(axis=0), rtol=1e-12)


def of(name, path, **changes):
    config = load_config(f"{CONFIGS}/cartpole.py:{name}")
    config.demos.path = str(path)
    config.seeds = 2
    for key, value in changes.items():
        config[key] = value
    return make_problem(config)


def test_offline_by_the_demonstrations_and_online_by_random_play_too(tmp_path):
    path = cartpole_demos(tmp_path / "cartpole.npz")
    offline, online = of("offline", path), of("online", path)
    assert not np.allclose(online.hparams["obs_std"][0], offline.hparams["obs_std"][0], rtol=0.05)
    for problem in (offline, of("online", path, normalize_by="demos")):
        demo_indices = np.asarray(problem.demo_indices.indices[0])[: int(problem.demo_indices.count[0])]
        seen = (problem.demos.observations[demo_indices], problem.demos.next_observations[demo_indices])
        spread = np.concatenate(seen).std(axis=0)
        np.testing.assert_allclose(problem.hparams["obs_std"][0], spread, rtol=1e-5)
    raw = of("online", path, normalize_obs=False)
    np.testing.assert_array_equal(raw.hparams["obs_std"], 1.0)


def test_statistics_of_demonstrations_need_them(tmp_path):
    with pytest.raises(InputError, match="normalize_by is 'demos', but method 'rl' has no demonstrations"):
        of("expert", tmp_path, normalize_by="demos")
    with pytest.raises(InputError, match=r"normalize_by 'demo'; did you mean demos"):
        of("online", tmp_path, normalize_by="demo")


def test_whitened_inputs_are_uncorrelated(tmp_path):
    problem = of("online", cartpole_demos(tmp_path / "cartpole.npz"), normalize_by="demos", whiten=True)
    for run in range(2):
        demo_indices = np.asarray(problem.demo_indices.indices[run])[: int(problem.demo_indices.count[run])]
        seen = (problem.demos.observations[demo_indices], problem.demos.next_observations[demo_indices])
        own = {name: values[run] for name, values in problem.hparams.items()}
        inputs = standardised(own, np.concatenate(seen))
        np.testing.assert_allclose(np.cov(inputs.T, bias=True), np.eye(4), atol=1e-3)


def test_sources_of_other_lengths_count_alike_when_whitened():
    rng = np.random.default_rng(0)
    near, far = (
        rng.normal(3.0, 0.1, (50, 2)),
        rng.normal(-1.0, 2.0, (400, 2)) @ np.array([[1.0, 0.9], [0.0, 0.5]]),
    )
    stats = {name: x[0] for name, x in measure_normalization([[near, far]], whiten=True).items()}
    together = np.concatenate([np.repeat(near, 8, axis=0), far])  # the same number of rows of each
    inputs = (together - stats["obs_mean"]) / stats["obs_std"] @ stats["obs_turn"]
    np.testing.assert_allclose(np.cov(inputs.T, bias=True), np.eye(2), atol=1e-5)


def test_directions_without_spread_keep_their_scale():
    x = np.random.default_rng(0).normal(size=(1000, 1))
    stats = measure_normalization([[np.concatenate([x, 3 * x + 1e-6, 1 + 1e-9 * x], axis=1)]], whiten=True)
    turned = (np.array([[0.0, 0.0, 2.0]]) @ stats["obs_turn"][0]) / 2.0
    np.testing.assert_allclose(np.linalg.norm(turned), 1.0, rtol=1e-5)  # the constant entry is only turned
    scales = np.sort(np.linalg.norm(stats["obs_turn"][0], axis=0))
    np.testing.assert_allclose(scales, [np.sqrt(0.5), 1.0, 1.0], rtol=1e-3)  # two entries are one


def test_raw_inputs_cannot_be_whitened(tmp_path):
    with pytest.raises(InputError, match=r"config.whiten is True, but config.normalize_obs is False"):
        of("online", tmp_path, normalize_obs=False, whiten=True)


def test_random_play_on_the_host_is_the_devices():
    """gymnasium's CartPole is gymnax's, so random play has the same spread."""
    device = random_observations(open_by_name("CartPole-v1", "gymnax").device, jax.random.key(0))
    host = random_play(open_by_name("CartPole-v1", "gymnasium"))
    assert host.shape == (2048, 4)
    np.testing.assert_array_equal(host, random_play(open_by_name("CartPole-v1", "gymnasium")))
    np.testing.assert_allclose(host.std(axis=0), device.std(axis=0), rtol=0.15)
