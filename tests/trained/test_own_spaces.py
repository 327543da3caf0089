"""Dictionaries and several integers from training to the exported policy, in the environment's own terms."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from iqlearn_jax import Demos, load, load_policy, train
from iqlearn_jax.cli.main import main
from iqlearn_jax.data.demos import load_demos
from iqlearn_jax.data.save import save
from iqlearn_jax.envs.registry import ENVIRONMENTS, open_by_name, register_env
from iqlearn_jax.errors import InputError
from iqlearn_jax.rewards.gymnasium import GymnasiumRewardWrapper
from iqlearn_jax.trained import numpy_policy
from iqlearn_jax.trained.play import policy_returns
from iqlearn_jax.trained.record import record_demos

LAST = 6
SETTINGS = {
    "updates": 200, "log_every": 100, "seeds": 1, "eval_every": 0, "hidden": (16,), "critic_lr": 1e-2,
    "demos__trajectories": 0,
}  # fmt: skip


class Line(gymnasium.Env):
    """A point is to be brought to 0: moves are counted from `start`; `kind` says what it shows and takes."""

    def __init__(self, kind="dict", start=-1):
        self.kind, self.start = kind, start
        if kind == "dict":
            self.observation_space = Dict({"place": Box(-5, 5, (1,), np.float32), "goal": Discrete(2)})
            self.action_space = MultiDiscrete([3, 2], start=[start, 0])
        else:
            self.observation_space, self.action_space = Discrete(11, start=3), Discrete(3, start=start)

    def obs(self):
        if self.kind != "dict":
            return self.place + 8
        return {"place": np.float32([self.place]), "goal": 1}

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = int(self.np_random.integers(-5, 6)), 0
        return self.obs(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.place += int(np.ravel(action)[0]) - self.start - 1
        self.place = int(np.clip(self.place, -5, 5))
        self.steps += 1
        return self.obs(), -float(abs(self.place)), False, self.steps >= LAST, {}

    def expert(self):
        move = 1 + self.start - int(np.sign(self.place))
        return np.array([move, self.place > 0]) if self.kind == "dict" else move


def make(kind):
    return {"dict": Line, "numbers": lambda: Line("numbers")}[kind]


def played(kind):
    """Demonstrations as users have them: flattened by gymnasium, or numbers; actions as it takes them."""
    env, rows = make(kind)(), []
    for episode in range(12):
        obs, _ = env.reset(seed=episode)
        for _ in range(LAST):
            action = env.expert()
            after, reward, terminated, truncated, _ = env.step(action)
            flat = [gymnasium.spaces.flatten(env.observation_space, x) for x in (obs, after)]
            pair = flat if kind == "dict" else (obs, after)
            rows.append((pair[0], action, reward, pair[1], terminated, truncated))
            obs = after
    return Demos(*(np.array(column) for column in zip(*rows, strict=True)), metadata={"env": "line"})


@pytest.fixture(scope="module", params=["dict", "numbers"])
def trained(request):
    before = dict(ENVIRONMENTS)
    register_env("line", make(request.param))
    demos = played(request.param)
    yield request.param, demos, train("line", demos, "bc", progress=False, **SETTINGS)
    ENVIRONMENTS.clear()
    ENVIRONMENTS.update(before)


def test_the_policy_takes_and_gives_what_the_environment_does(trained):
    kind, demos, run = trained
    policy, env = run.policy(), make(kind)()
    obs, _ = env.reset(seed=99)
    for _ in range(LAST):
        action = policy(obs)
        assert env.action_space.contains(action) and np.array_equal(action, env.expert())
        obs, *_ = env.step(action)
    assert env.place == 0
    np.testing.assert_array_equal(policy(demos.observations), demos.actions)  # many at once, flat or own
    assert run.returns[0] > -16  # the expert's: -(5 + 4 + 3 + 2 + 1) at most


def test_the_exported_policy_is_the_same_with_jax_and_without(trained, tmp_path):
    kind, demos, run = trained
    run.policy().save(tmp_path / "policy.npz")
    env = make(kind)()
    obs, _ = env.reset(seed=5)
    for policy in (load_policy(tmp_path / "policy.npz"), numpy_policy.load(tmp_path / "policy.npz")):
        assert np.array_equal(policy(obs), env.expert()) and env.action_space.contains(policy(obs))
        np.testing.assert_array_equal(policy(demos.observations), demos.actions)
    policy = load_policy(tmp_path / "policy.npz")
    returns = policy_returns(policy, open_by_name("line"), 10)
    assert returns.mean() == pytest.approx(run.returns[0])
    with pytest.raises(InputError, match="learned in"):
        policy.require_fit(open_by_name("CartPole-v1", "gymnasium").spec)


@pytest.mark.parametrize("trained", ["dict"], indirect=True)
def test_folders_keep_and_record_demonstrations_in_the_environments_own_terms(trained, tmp_path):
    kind, demos, run = trained
    run.save(tmp_path / "run")
    kept = load_demos(tmp_path / "run" / "demos.npz", open_by_name("line").spec)
    np.testing.assert_array_equal(kept.actions, demos.actions)
    again = load(tmp_path / "run")  # with the same digest of its demonstrations
    obs, _ = make(kind)().reset(seed=3)
    np.testing.assert_array_equal(again.policy()(obs), run.policy()(obs))
    recorded = record_demos(tmp_path / "run", 0, 3)
    assert recorded.actions.shape[1:] == demos.actions.shape[1:]
    np.testing.assert_array_equal(again.policy()(recorded.observations), recorded.actions)
    save(tmp_path / "recorded.npz", recorded)
    assert main(["demos", "validate", str(tmp_path / "recorded.npz"), "--env=line"]) == 0
    assert (
        main(["demos", "convert", str(tmp_path / "recorded.npz"), str(tmp_path / "b.npz"), "--env=line"]) == 0
    )
    np.testing.assert_array_equal(load_demos(tmp_path / "b.npz").actions, recorded.actions)


@pytest.mark.parametrize("trained", ["dict"], indirect=True)
def test_demonstrations_of_other_numbers_are_refused_before_training(trained, tmp_path, capsys):
    _, demos, _ = trained
    actions = demos.actions.copy()
    actions.flat[0] = 9
    wrong = Demos(
        demos.observations, actions, None, demos.next_observations, demos.terminals, demos.truncations
    )
    with pytest.raises(InputError, match=r"actions: .*found int32 -?\d\.\.9; expected integers -1\.\.1"):
        train("line", wrong, "bc", progress=False, **SETTINGS)
    save(tmp_path / "wrong.npz", wrong)
    assert main(["demos", "validate", str(tmp_path / "wrong.npz"), "--env=line"]) == 2
    assert "expected integers -1..1" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("trained", ["dict"], indirect=True)
def test_a_recovered_reward_in_the_environment_itself(trained):
    kind, demos, _ = trained
    run = train(
        "line", demos, "iq", progress=False, **SETTINGS | {"updates": 2, "log_every": 2, "eval_episodes": 0}
    )
    assert run.returns is None and run.summary["likeness"] is None  # nothing is played
    env = GymnasiumRewardWrapper(make(kind)(), run.reward())
    env.reset(seed=0)
    _, reward, *_, info = env.step(env.unwrapped.expert())
    assert np.isfinite(reward) and info["true_reward"] <= 0
