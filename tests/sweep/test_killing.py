"""Killed with SIGKILL at 27 random moments and resumed each time: as if it had never been killed.

Six minutes on two busy cores, most of them imports.
"""

import os
import sys
from collections import Counter

import pytest
from common import ROOT
from comparing import assert_no_gap, assert_same_files, assert_same_state
from killing import Job, complete, kill_and_resume

from iqlearn_jax.settings import from_flat
from iqlearn_jax.sweep.run import load_run
from iqlearn_jax.sweep.workdir import read_config

TRAIN = [sys.executable, "-m", "iqlearn_jax.cli", "train"]
SMALL = [
    "--config=configs/gridworld.py:offline", "--config.feed=replay", "--config.seeds=2",
    "--config.batch_size=8", "--config.demos.trajectories=3", "--config.online.num_envs=2",
    "--config.online.learning_starts=10", "--config.online.capacity=64", "--config.updates=1_200",
    "--config.log_every=5", "--config.checkpoint_every=5", "--config.eval_every=20",
    "--config.eval_episodes=2", "--config.snapshot_every=200",
]  # fmt: skip


def job(workdir, cache) -> Job:
    """A run with a replay, environments and two seeds that saves after each chunk; compiled once for all."""
    env = dict(
        os.environ,
        PYTHONPATH=str(ROOT),
        JAX_COMPILATION_CACHE_DIR=str(cache),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
        JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1",
    )
    place = f"--workdir={workdir}"
    return Job([[*TRAIN, place, *SMALL]], [[*TRAIN, place, "--resume"]], workdir, env)


def state(workdir):
    config = from_flat(read_config(workdir))
    return load_run(workdir, config)[1], config


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    complete(job(tmp_path / "whole", tmp_path / "cache"))
    kills = kill_and_resume(job(tmp_path / "parts", tmp_path / "cache"), seed=0, kills=27)
    print(Counter((kill.aim, "save halved" if kill.halved else "") for kill in kills))
    whole, config = state(tmp_path / "whole")
    parts, same = state(tmp_path / "parts")
    assert config.to_dict() == same.to_dict()
    assert_same_state(whole, parts)
    assert_same_files(tmp_path / "whole", tmp_path / "parts")
    assert_no_gap(tmp_path / "parts", config)
    snapshots = [sorted(p.name for p in (tmp_path / n / "snapshots").iterdir()) for n in ("whole", "parts")]
    assert snapshots[0] == snapshots[1]
    assert len(kills) == 27
