"""Killed with SIGKILL at 27 random moments and resumed each time: as if it had never been killed.

Six minutes on two busy cores, most of them imports.
"""

import os
import sys
from collections import Counter

import pytest

from iqlearn_jax.runs.folder import stored_config
from iqlearn_jax.training.reopen import load_run
from tests.common import ROOT
from tests.runs.comparing import assert_no_gap, assert_same_files, assert_same_state
from tests.runs.killing import Job, complete, kill_and_resume

IQLEARN = [sys.executable, "-m", "iqlearn_jax.cli"]
SMALL = [
    "--config=gridworld:offline", "--config.feed=replay", "--config.seeds=2",
    "--config.batch_size=8", "--config.demos.trajectories=3", "--config.online.num_envs=2",
    "--config.online.learning_starts=10", "--config.online.capacity=64", "--config.updates=1_200",
    "--config.log_every=5", "--config.checkpoint_every=5", "--config.eval_every=20",
    "--config.eval_episodes=2", "--config.snapshot_every=200",
]  # fmt: skip
SWEEP = [*SMALL, "--grid=temperature=0.1,0.2,0.3"]  # six runs
PORTS = iter(range(39_411, 39_600))


def environment(cache, devices=1):
    """Of a process that compiles once for all its lives, with so many simulated devices."""
    return dict(
        os.environ,
        PYTHONPATH=str(ROOT),
        XLA_FLAGS=f"--xla_force_host_platform_device_count={devices}",
        JAX_COMPILATION_CACHE_DIR=str(cache),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
        JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1",
    )


def train_job(workdir, cache) -> Job:
    """A run with a replay, environments and two seeds that saves after each chunk."""
    train, place = [*IQLEARN, "train"], f"--workdir={workdir}"
    return Job([[*train, place, *SMALL]], [[*train, place, "--resume"]], workdir, environment(cache))


def sweep_job(workdir, cache) -> Job:
    """A sweep of six runs on eight devices; the same command starts it and goes on."""
    command = [[*IQLEARN, "sweep", f"--workdir={workdir}", *SWEEP]]
    return Job(command, command, workdir / "program-0", environment(cache, devices=8))


def hosts_job(workdir, cache) -> Job:
    """The sweep in two processes of four devices; one of them is killed, the other must notice."""
    joined = ["--distributed", f"--coordinator=127.0.0.1:{next(PORTS)}", "--processes=2", "--heartbeat=3"]
    command = [*IQLEARN, "sweep", f"--workdir={workdir}", *SWEEP, "--config.updates=300", *joined]
    both = [[*command, f"--process-id={number}"] for number in (0, 1)]
    return Job(both, both, workdir / "program-0", environment(cache, devices=4), alone=True)


def state(workdir):
    config = stored_config(workdir)
    return load_run(workdir, config)[1], config


def compare(whole, parts):
    """Parameters, replay, keys, counters, metrics, snapshots and summaries of two run folders."""
    (state_of_whole, config), (state_of_parts, same) = state(whole), state(parts)
    assert config.to_dict() == same.to_dict()
    assert_same_state(state_of_whole, state_of_parts)
    assert_same_files(whole, parts)
    assert_no_gap(parts, config)
    snapshots = [sorted(p.name for p in (folder / "snapshots").iterdir()) for folder in (whole, parts)]
    assert snapshots[0] == snapshots[1]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("make_job", "kills"), [(train_job, 27), (sweep_job, 25), (hosts_job, 6)], ids=["train", "sweep", "hosts"]
)
def test_killed_and_resumed_equals_uninterrupted(make_job, kills, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    whole, parts = (make_job(tmp_path / name, tmp_path / "cache") for name in ("whole", "parts"))
    complete(whole)
    done = kill_and_resume(parts, seed=0, kills=kills)
    print(Counter((kill.aim, "save halved" if kill.halved else "") for kill in done))
    compare(whole.workdir, parts.workdir)
    assert len(done) == kills
