"""Whole loops: environment, replay and update together, beside the update alone."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from benchmarks.measure import Row, alternate, at_most, row
from benchmarks.updates import Case, random_rows
from iqlearn_jax.config.files import load_config
from iqlearn_jax.config.presets import stable_sac
from iqlearn_jax.config.values import base_config
from iqlearn_jax.devices.placement import vmap
from iqlearn_jax.loops.loop import start_run
from iqlearn_jax.loops.online import make_learner, online_replay
from iqlearn_jax.training.problem import Problem, make_loop, make_problem
from iqlearn_jax.types import Batch

CHUNK = 50


def device_loop() -> list[Row]:
    """A brax task on its cheapest backend, one environment step per update, beside the update alone."""
    problem = make_problem(_pendulum())
    times = alternate({"loop": _chunks(problem), "update": _updates_alone(problem)}, 7)
    rate = CHUNK / np.median(times["loop"])
    return [
        row(
            "loop: brax on the device ÷ update",
            times["loop"] / times["update"],
            "time ratio",
            at_most(1.3),
            steps_per_second=rate,
        )
    ]


def _pendulum():
    config = stable_sac(base_config())
    config.env.update({"id": "inverted_pendulum", "backend": "spring"})
    config.demos.path = "bundled:inverted_pendulum-generalized"
    config.feed, config.seeds, config.hidden, config.batch_size = "replay", 1, (256, 256), 256
    config.log_every = config.eval_every = config.checkpoint_every = CHUNK
    config.updates = 100 * CHUNK
    return config


def _updates_alone(problem: Problem):
    """A call of `CHUNK` updates of the same method, networks and batch sizes, on batches held fixed."""
    spec, config = problem.spec, problem.config
    case = Case(
        spec.obs_shape,
        spec.action_low.size,
        False,
        tuple(config.hidden),
        config.batch_size,
        config.critics,
        CHUNK,
    )
    half = random_rows(case, case.batch)
    batch, hparams = Batch(policy=half, expert=half), jax.tree.map(lambda x: x[0], problem.hparams)
    state = problem.method.init(jax.random.key(0), hparams)

    def body(state, key):
        return problem.method.update(hparams, state, batch, key)[0], None

    many = jax.jit(lambda state, keys: jax.lax.scan(body, state, keys)[0])
    keys = jax.random.split(jax.random.key(1), CHUNK)
    return lambda: many(state, keys)


def pixel_loop() -> list[Row]:
    """MinAtar's Breakout as its presets have it, one run: IQ-Learn beside PQN on the true reward."""
    updates = 2
    calls = {name: _preset(f"minatar:{name}", updates) for name in ("breakout", "breakout_expert")}
    times = alternate(calls, 7)
    steps = updates * 128 * 32
    rates = {name: steps / np.median(times[name]) for name in calls}
    return [
        row(
            "pixels: IQ ÷ PQN on MinAtar",
            times["breakout"] / times["breakout_expert"],
            "time ratio",
            at_most(1.3),
            steps_per_second=rates["breakout"],
            of_pqn=rates["breakout_expert"],
        )
    ]


def _preset(name: str, updates: int):
    """A call of so many updates of a preset, one run."""
    config = load_config(name)
    config.seeds = 1
    config.log_every = config.eval_every = config.checkpoint_every = updates
    return _chunks(make_problem(config))


def _chunks(problem: Problem):
    """A call of a chunk of the loop, which goes on where the last one ended."""
    loop, (hparams, _, rows, demo_indices) = make_loop(problem), problem.inputs
    held = {"run": loop.init(*problem.inputs)}

    def chunk():
        held["run"], metrics = loop.chunk(hparams, rows, demo_indices, held["run"])
        return metrics

    return chunk


def host_loop(demos: str) -> list[Row]:
    """gymnasium's Hopper: share of the time outside the compiled update.

    Args:
      demos: a Hopper-v5 file.
    """
    config = load_config("mujoco:hopper_online")
    config.demos.path = demos
    config.seeds, config.updates, config.online.learning_starts = 1, 100 * CHUNK, 500
    config.log_every = config.eval_every = config.checkpoint_every = CHUNK
    config.snapshot_every = 0
    problem = make_problem(config)
    times = alternate({"loop": _chunks(problem), "update": _learning_alone(problem)}, 7)
    return [
        row(
            "loop: gymnasium Hopper, outside update",
            1.0 - times["update"] / times["loop"],
            "share of time",
            at_most(0.15),
            steps_per_second=CHUNK / np.median(times["loop"]),
        )
    ]


def cold_start(demos: str) -> list[Row]:
    """Seconds of a process that learns Hopper offline from one demonstration, from its start to the expert's
    level: start-up, compilation and an evaluation of 10 episodes included.

    Args:
      demos: a Hopper-v5 file.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "iqlearn_jax.cli", "train", "--config=mujoco:hopper_offline"),
            *(f"--demos={demos}", f"--workdir={folder}/run", "--config.seeds=1", "--config.first_seed=0"),
            *("--config.updates=3000", "--config.eval_every=3000", "--config.eval_episodes=10"),
        ]
        begun = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        elapsed = time.perf_counter() - begun
        summary = json.loads((Path(folder) / "run" / "summary.json").read_text())
    score = float(np.mean(summary["normalized"]))
    name, there = "cold: seconds to Hopper's expert, offline", score >= 0.95
    return [row(name, [elapsed if there else np.inf], "s", at_most(60), share_of_the_experts_return=score)]


def replay_in_loop(demos: dict[str, str]) -> list[Row]:
    """A step of the host's loop with the presets' room in the replay beside one with room for 1,000.

    Args:
      demos: task of configs/mujoco.py -> its demonstration file.
    """
    rows = []
    for task, path in demos.items():
        calls = {str(size): _host_chunk(task, path, size) for size in (1_000, 300_000)}
        times = alternate(calls, 9)
        ratio = times["300000"] / times["1000"]
        milliseconds = 1e3 * np.median(times["300000"]) / CHUNK
        name = f"capacity: {task} online, 300,000 ÷ 1,000"
        rows.append(row(name, ratio, "time ratio", at_most(1.1), milliseconds=milliseconds))
    return rows


def _host_chunk(task: str, demos: str, capacity: int):
    """A call of `CHUNK` steps of one run of the preset."""
    config = load_config(f"mujoco:{task}_online")
    config.demos.path, config.seeds, config.updates = demos, 1, 300_000
    config.online.update({"learning_starts": 300, "capacity": capacity})
    config.log_every = config.eval_every = config.checkpoint_every = CHUNK
    config.snapshot_every = 0
    return _chunks(make_problem(config))


def _learning_alone(problem: Problem):
    """A call of `CHUNK` updates as the host's loop makes them: sampled from a replay, each waited for."""
    config, (hparams, seeds, rows, demo_indices) = problem.config, problem.inputs
    replay = online_replay(config, problem.spec)
    learn = vmap(make_learner(config, problem.method, replay), in_axes=(0, None, 0, 0, 0))

    def begin(hparams, seed):
        key = jax.random.key(seed)
        return start_run(problem.method.init(key, hparams), key, replay.init())

    learn, held = jax.jit(learn, donate_argnums=3), {"run": jax.jit(vmap(begin))(hparams, seeds)}
    keys = jax.random.split(jax.random.key(0), (CHUNK, len(seeds)))

    def call():
        for key in keys:
            held["run"], metrics = learn(hparams, rows, demo_indices, held["run"], key)
            jax.block_until_ready(metrics)

    return call
