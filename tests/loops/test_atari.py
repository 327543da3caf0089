"""Atari end to end: the standard's preprocessing, frames stored once, 1,000 steps of IQ-Learn online."""

import importlib.util
import json

import numpy as np
import pytest

from iqlearn_jax.data.demos import Demos
from iqlearn_jax.data.save import save
from iqlearn_jax.envs.host import evaluate_host
from iqlearn_jax.envs.registry import open_by_name
from iqlearn_jax.rewards.recover import join_episodes
from iqlearn_jax.training.reopen import load_run
from iqlearn_jax.training.train import train
from tests.common import configure

GAME = "PongNoFrameskip-v4"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ale_py") is None, reason="ale-py is not installed"),
]


def random_demos():
    """Two whole episodes of uniformly random play."""
    rng = np.random.default_rng(0)

    def act(obs):
        return rng.integers(0, 6, obs.shape[:2])

    rows, _ = join_episodes(evaluate_host(open_by_name(GAME), act, [0], 2, record=True).episodes[0])
    return Demos(
        rows.obs, rows.action, rows.reward, rows.next_obs, rows.terminated, rows.truncated,
        metadata={"env": GAME, "policy": "random"},
    )  # fmt: skip


def test_preprocessing_is_the_standard():
    handle = open_by_name(GAME)
    (env,), spec = handle.new(1), handle.spec
    assert (spec.obs_shape, spec.obs_dtype, spec.frame_stack) == ((84, 84, 4), np.uint8, 4)
    assert env.unwrapped.spec.kwargs["frameskip"] == 1
    assert env.unwrapped.ale.getFloat("repeat_action_probability") == 0.0
    obs, _ = env.reset(seed=3)
    assert all(np.array_equal(obs[..., i], obs[..., 3]) for i in range(3))
    before = env.unwrapped.ale.getEpisodeFrameNumber()
    assert before <= 30  # no-ops at the start
    following, *_ = env.step(0)
    assert env.unwrapped.ale.getEpisodeFrameNumber() - before == 4
    np.testing.assert_array_equal(following[..., :3], obs[..., 1:])
    starts = {env.reset(seed=seed) and env.unwrapped.ale.getEpisodeFrameNumber() for seed in range(8)}
    assert len(starts) > 3


def test_a_thousand_steps_of_pong(tmp_path):
    save(tmp_path / "pong.npz", random_demos())
    config = configure(
        env__id=GAME, env__backend="gymnasium", demos__path=str(tmp_path / "pong.npz"), demos__trajectories=2,
        feed="replay", seeds=1, hidden=(32,), batch_size=8, updates=200, log_every=100, eval_every=0,
        eval_episodes=1, checkpoint_every=0, value_term="policy", regularize="both", terminal="absorbing",
        target_network=True, target_period=100, online__num_envs=4, online__learning_starts=200,
        online__capacity=1000,
    )  # fmt: skip
    summary = train(config, tmp_path / "run")
    assert summary["env_steps"] == 1000
    assert -21 <= summary["returns"][0] <= 21
    assert -21 <= summary["random_return"] <= -19
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line["iq/loss"]) for line in lines)
    _, run = load_run(tmp_path / "run", config)
    frames = run.replay.frames  # [R, E, L, 84, 84]
    assert frames.dtype == np.uint8
    assert frames.shape[1] * frames.shape[2] < 1.2 * 1000
    assert int(run.replay.count[0] - run.replay.oldest[0]) == 250
