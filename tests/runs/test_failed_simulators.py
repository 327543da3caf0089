"""Simulators that hang in training, fail in the final evaluation or hang in a resume: nothing is lost."""

import json
import shutil
import time

import gymnasium
import numpy as np
import pytest

from iqlearn_jax.envs.registry import ENVIRONMENTS, open_by_name, register_env
from iqlearn_jax.envs.seeds import EVALUATE, episode_seed
from iqlearn_jax.errors import SimulatorError
from iqlearn_jax.training.train import train
from tests.common import made_up_config

pytestmark = pytest.mark.slow  # they train several times
NAP = 300  # seconds; what is not ended fails by its time
PLAY = 8 * 256 + 2 * 5  # steps before the first update: of random play that measures, and that fills


class Drift(gymnasium.Env):
    """Moves by its action; all of its kind together sleep in one step, or fail at starts of some seeds."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)
    spec = gymnasium.envs.registration.EnvSpec("Drift-v0", max_episode_steps=4)
    taken, hangs_at, bad_seeds = 0, 0, ()

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        if seed in Drift.bad_seeds:
            raise RuntimeError("simulator connection lost")
        self.place = self.np_random.normal(size=2).astype(np.float32)
        return self.place, {}

    def step(self, action):
        Drift.taken += 1
        if Drift.taken == Drift.hangs_at:
            time.sleep(NAP)
        self.place = self.place + np.float32(0.1 * (action - 1))
        return self.place, float(self.place[1]), False, False, {}


@pytest.fixture(autouse=True)
def drift(monkeypatch):
    """And whoever waits until the simulator wakes has failed."""
    before = dict(ENVIRONMENTS)
    for name, value in (("taken", 0), ("hangs_at", 0), ("bad_seeds", ())):
        monkeypatch.setattr(Drift, name, value)
    monkeypatch.setattr("iqlearn_jax.envs.failing.PATIENCE", 2.0)
    register_env("drift", lambda: Drift())
    open_by_name("drift")
    yield
    ENVIRONMENTS.clear()
    ENVIRONMENTS.update(before)


def config(**changes):
    small = {"seeds": 1, "eval_every": 0, "eval_episodes": 2, "log_every": 4, "checkpoint_every": 0}
    return made_up_config("rl", "replay", "drift", **small | {"updates": 12} | changes)


def logged(folder):
    return [json.loads(line)["update"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_one_that_hangs_in_training_or_in_the_resume_is_gone_on_with(tmp_path):
    expected = train(config(), tmp_path / "whole")
    folder = tmp_path / "run"
    Drift.hangs_at = Drift.taken + PLAY + 2 * 6 + 2
    begun = time.monotonic()
    with pytest.raises(SimulatorError, match=r"'drift' has not come back at step 4 of episode 2") as ended:
        train(config(), folder)
    assert str(ended.value).endswith("what was learned in 6 updates is saved: go on with --resume")
    assert time.monotonic() - begun < NAP
    assert logged(folder) == [4] and not (folder / "summary.json").exists()
    Drift.hangs_at = Drift.taken + 2  # of the steps of the episodes in progress, which are taken again
    with pytest.raises(SimulatorError, match=r"'drift' has not come back at step 2 of episode 2"):
        train(config(), folder, resume=True)
    assert time.monotonic() - begun < NAP
    summary = train(config(), folder, resume=True)
    assert logged(folder) == [4, 8, 12]
    np.testing.assert_allclose(summary["returns"], expected["returns"], rtol=1e-5)


def test_one_that_fails_in_the_final_evaluation_loses_nothing(tmp_path):
    expected = train(config(), tmp_path / "whole")
    folder = tmp_path / "run"
    Drift.bad_seeds = (episode_seed(EVALUATE, 5000, 9, 0),)  # 2 are played in training, 10 at its end
    with pytest.raises(SimulatorError, match=r"failed at the reset of episode 9 of an evaluation") as failed:
        train(config(), folder)
    assert "training is done and saved: --resume evaluates again" in str(failed.value)
    assert logged(folder) == [4, 8, 12] and not (folder / "summary.json").exists()
    shutil.copytree(folder, tmp_path / "unplayed")
    unplayed = train(config(eval_episodes=0), tmp_path / "unplayed", resume=True, force=True)
    assert unplayed["returns"] is None and unplayed["updates"] == 12  # as the error advises
    Drift.bad_seeds = ()
    before = Drift.taken
    assert train(config(), folder, resume=True)["returns"] == expected["returns"]
    assert Drift.taken - before < PLAY  # nothing is learned again
