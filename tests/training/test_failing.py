"""Environments that fail, end the program or show numbers that are not finite: nothing learned is lost."""

import json

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import logging

import iqlearn_jax
from iqlearn_jax.cli.main import main
from iqlearn_jax.envs.api import Environment, Step
from iqlearn_jax.envs.registry import ENVIRONMENTS, open_by_name, register_env
from iqlearn_jax.envs.seeds import EVALUATE, episode_seed
from iqlearn_jax.errors import InputError, SimulatorError
from iqlearn_jax.loops import host
from iqlearn_jax.report.page import write_report
from iqlearn_jax.runs.folder import stored_config
from iqlearn_jax.sweeps.sweep import points
from iqlearn_jax.training.evaluation import make_evaluator
from iqlearn_jax.training.problem import make_problem
from iqlearn_jax.training.reopen import load_run
from iqlearn_jax.training.train import train
from iqlearn_jax.types import EnvSpec
from tests.common import all_keys_but, made_once, made_up_config

STEPS = 5  # of random play: 10 in 2 environments


class Counter(gymnasium.Env):
    """Counts its steps; all of its kind together fail at one of them."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)
    spec = gymnasium.envs.registration.EnvSpec("Counter-v0", max_episode_steps=4)
    taken, fails_at, bad_seeds, error = 0, 0, (), RuntimeError("simulator connection lost")

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.normal(size=2).astype(np.float32)
        if seed in Counter.bad_seeds:
            self.place[0] = np.nan
        return self.place, {}

    def step(self, action):
        Counter.taken += 1
        if Counter.taken == Counter.fails_at:
            raise Counter.error
        self.place = self.place + np.float32(0.1 * (action - 1))
        return self.place, float(self.place[1]), False, False, {}


COMPILE = made_once(  # for all that differ only in when they are evaluated or saved
    host.compile_host,
    lambda config, method, spec: all_keys_but(config, "eval_", "checkpoint_", "snapshot_"),
)


@pytest.fixture(autouse=True)
def counter(monkeypatch):
    before = dict(ENVIRONMENTS)
    register_env("counter", lambda: Counter())
    open_by_name("counter")
    for name, value in (("taken", 0), ("fails_at", 0), ("bad_seeds", ())):
        monkeypatch.setattr(Counter, name, value)
    monkeypatch.setattr(host, "compile_host", COMPILE)
    yield
    ENVIRONMENTS.clear()
    ENVIRONMENTS.update(before)


def config(**changes):
    small = {
        "seeds": 1,
        "eval_every": 0,
        "eval_episodes": 2,
        "log_every": 4,
        "checkpoint_every": 0,
        "updates": 12,
    }
    return made_up_config("rl", "replay", "counter", **small | changes)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_that_is_only_looked_at_plays_no_episode_again(tmp_path):
    """Only training that goes on needs the simulators where they stood."""
    train(config(checkpoint_every=4, eval_episodes=0), tmp_path / "run")  # so nothing else takes steps
    before = Counter.taken
    load_run(tmp_path / "run", stored_config(tmp_path / "run"))
    assert Counter.taken == before
    longer = stored_config(tmp_path / "run")
    longer.updates += 4
    train(longer, tmp_path / "run", resume=True)
    assert Counter.taken - before == 2 * (1 + 4)  # of each: its running episode again, then four steps


def fail_after(updates, error=None):
    """Lets the second environment fail in the step before that update."""
    play = 8 * 256  # random play that measures the normalisation
    Counter.fails_at = Counter.taken + play + 2 * (STEPS + updates) + 2
    Counter.error = error or RuntimeError("simulator connection lost")


@pytest.mark.parametrize("error", [RuntimeError("simulator connection lost"), SystemExit(0)])
def test_a_simulator_that_fails_inside_a_chunk_loses_nothing(tmp_path, error):
    whole, folder = tmp_path / "whole", tmp_path / "run"
    expected = train(config(), whole)
    fail_after(6, error)
    with pytest.raises(SimulatorError) as failed:
        train(config(), folder)
    text = str(failed.value)
    # 5 + 6 steps were taken, in episodes of 4
    assert (
        f"'counter' failed at step 4 of episode 2 (seed 5000, environment 1): {type(error).__name__}" in text
    )
    assert "test_failing.py" in text and "learned in 6 updates is saved: go on with --resume" in text
    assert [line["update"] for line in lines(folder)] == [4]
    assert not (folder / "summary.json").exists()
    summary = train(config(), folder, resume=True)
    assert [line["update"] for line in lines(folder)] == [4, 8, 12]
    np.testing.assert_allclose(summary["returns"], expected["returns"])
    last, uninterrupted = lines(folder)[-1], lines(whole)[-1]
    assert last.keys() == uninterrupted.keys()
    for name in last.keys() - {"wall_seconds"}:
        np.testing.assert_allclose(last[name], uninterrupted[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_simulator_that_fails_in_an_evaluation_leaves_the_chunk_before_it(tmp_path):
    fail_after(4)
    Counter.fails_at += 1  # the second of the four steps of the first evaluation
    with pytest.raises(SimulatorError, match=r"of an evaluation .*learned in 4 updates is saved"):
        train(config(eval_every=4), tmp_path / "run")
    assert [line["update"] for line in lines(tmp_path / "run")] == [4]
    summary = train(config(eval_every=4), tmp_path / "run", resume=True)
    assert summary["updates"] == 12 and [line["update"] for line in lines(tmp_path / "run")] == [4, 8, 12]


def test_training_in_memory_returns_what_was_learned(caplog):
    fail_after(6)
    logging.get_absl_logger().propagate = True
    run = iqlearn_jax.train("counter", config=config(), progress=False)
    assert "stopped after 6 updates of 12: environment 'counter' failed at step" in caplog.text
    assert run.policy()(np.zeros(2, np.float32)) in (0, 1, 2)


def offline(tmp_path, **changes):
    rows = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    demos = iqlearn_jax.Demos(rows, np.arange(9) % 3, np.ones(9), truncations=np.arange(9) % 3 == 2)
    demos.save(tmp_path / "demos.npz")
    small = {"seeds": 3, "eval_every": 4, "eval_episodes": 2, "log_every": 4, "updates": 4, "hidden": (4,)}
    made = made_up_config("rl", "replay", "counter", **small | changes)
    made.method, made.feed, made.demos.path = "bc", "demos", str(tmp_path / "demos.npz")
    return made


def test_a_run_whose_evaluation_is_not_finite_is_null_and_the_others_as_usual(tmp_path, capsys):
    Counter.bad_seeds = (episode_seed(EVALUATE, 5001, 1, 0),)  # one episode of one run
    summary = train(offline(tmp_path), tmp_path / "run")
    stored = json.loads((tmp_path / "run/summary.json").read_text())
    assert stored == json.loads(json.dumps(summary, allow_nan=False))
    for name in ("returns", "normalized"):
        assert [value is not None for value in stored[name]] == [True, False, True], name
    assert stored["likeness"][0] is not None
    assert stored["likeness"][1] is None  # of the third, too few steps to tell
    assert stored["failed"] == [{"run": 1, "seed": 5001, "update": 4, "not_finite": ["eval/return"]}]
    assert np.isfinite(stored["normalized_iqm"]) and stored["normalized_ci95"] is None
    assert train(offline(tmp_path), tmp_path / "run", resume=True)["returns"] == stored["returns"]
    write_report([tmp_path / "run"], tmp_path / "page")
    [row] = points([({}, stored)])
    assert row["returns"][1] is None and np.isfinite(row["iqm_return"]) and row["failed"] == [5001]
    run = iqlearn_jax.load(tmp_path / "run")
    assert np.isnan(run.returns).tolist() == [False, True, False]


def test_nothing_is_played_with_eval_episodes_0(tmp_path, capsys):
    made = offline(tmp_path, eval_episodes=0)
    made.normalize_obs = True
    Counter.fails_at = (
        Counter.taken + 2
    )  # it was tried by one step when it was opened, and is not played again
    summary = train(made, tmp_path / "run")
    assert summary["returns"] is None and summary["normalized_iqm"] is None
    assert len(summary["agreement"]) == 3 and "rewards.npz" not in {
        x.name for x in (tmp_path / "run").iterdir()
    }
    write_report([tmp_path / "run"], tmp_path / "page")
    assert "eval/return" not in lines(tmp_path / "run")[-1]


def test_observations_that_are_not_finite_on_the_device_make_returns_unknown():
    with_nan = lambda: device(np.nan)  # noqa: E731
    register_env("nan", with_nan)
    register_env("fine", lambda: device(0.0))
    for name, unknown in (("nan", True), ("fine", False)):
        problem = make_problem(config(env__id=name, online__capacity=8))
        state = jax.vmap(problem.method.init)(jax.random.split(jax.random.key(0), 1), problem.hparams)
        assert np.isnan(make_evaluator(problem)(state, 3).returns).all() == unknown


def device(second):
    spec = EnvSpec("line", (2,), np.dtype(np.float32), 3, None, None, 4)

    def step(state, action, key):
        obs = jnp.array([state + 1.0, jnp.where(state == 1, second, 0.0)])
        return Step(state + 1, obs, jnp.float32(1), jnp.bool_(False))

    return Environment(spec, lambda key: (jnp.float32(0), jnp.zeros(2)), step)


@pytest.mark.parametrize("shape", [(20, 84, 3), (2, 2, 5), (30, 40, 1)])
def test_images_that_leave_the_encoder_nothing_are_refused_before_training(shape, tmp_path):
    space = gymnasium.spaces.Box(0, 255, shape, np.uint8)
    demos = iqlearn_jax.Demos(
        np.zeros((4, *shape), np.uint8), np.zeros(4, int), np.zeros(4), truncations=np.arange(4) == 3
    )
    with pytest.raises(
        InputError, match=r"leave the encoder no features; \[H, W, C\] of at least .* expected; .*wrapper"
    ):
        spaces = space, gymnasium.spaces.Discrete(2)
        iqlearn_jax.train(None, demos, "bc", spaces=spaces, workdir=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_the_command_line_says_it_in_a_line(tmp_path, capsys):
    Counter.fails_at = Counter.taken + 20
    path = tmp_path / "configured.py"
    path.write_text("from tests.training.test_failing import config\n\nCONFIGS = {'made': config}\n")
    code = main(["train", f"--config={path}:made", f"--workdir={tmp_path / 'run'}"])
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1 and "error: environment 'counter' failed at step" in error
