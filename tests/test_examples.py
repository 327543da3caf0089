"""The examples learn, and the one becomes the other by a handful of lines."""

import difflib
import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from iqlearn_jax.config.values import as_plain
from iqlearn_jax.methods import make_method
from iqlearn_jax.rewards import save_reward
from tests.common import configure, hyper

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "share"), [("soft_dqn", 0.7), ("plug_in", 0.9)])
@pytest.mark.slow
def test_example_learns(name, share):
    learned, yardstick = load(name).main(seed=0)
    assert yardstick == 500
    assert learned >= share * yardstick


@pytest.mark.slow
def test_ppo_learns_to_balance_by_a_reward_that_is_not_the_environments():
    """The reward pays for an upright pole and knows that a fallen one is worth nothing."""
    import brax.envs  # seconds, which the other tests need not pay

    from iqlearn_jax.rewards import RecoveredReward
    from iqlearn_jax.rewards.brax import spec_of

    def upright(hparams, state, rows, key):
        return 1.0 - 5.0 * jnp.square(rows.next_obs[:, 1])

    example = load("train_ppo_on_reward")
    env = brax.envs.get_environment("inverted_pendulum", backend="generalized")
    parts = {"hparams": {"gamma": jnp.float32(0.99)}, "state": None, "sampled": False}
    curve = example.train(env, RecoveredReward(spec_of(env), {}, upright, None, **parts), 300_000)
    assert curve[0][1] < 100
    assert curve[-1][1] > 5 * curve[0][1]
    assert curve[-1][2] < curve[-1][1]  # what it learned from pays less than 1 a step


@pytest.mark.slow
def test_ppo_examples_command_line_trains_in_the_named_environment_on_the_saved_reward(tmp_path, monkeypatch):
    """All but the training itself, which the slow test above runs."""
    import brax.envs

    from iqlearn_jax.rewards.brax import BraxRewardWrapper, spec_of

    spec = spec_of(brax.envs.get_environment("inverted_pendulum", backend="generalized"))
    config = configure(hidden=(8,), gamma=0.9, method="iq")
    method, hparams = make_method(config, spec), hyper(config, spec)
    like = jax.eval_shape(method.init, jax.random.key(0), hparams)
    state = jax.tree.map(lambda x: jnp.full(x.shape, 0.1, x.dtype), like)
    save_reward(tmp_path / "reward.npz", method, spec, hparams, state, as_plain(config), {})

    example, seen = load("train_ppo_on_reward"), {}
    monkeypatch.setattr(example.ppo, "train", lambda **options: seen.update(options))
    options = ["--env=inverted_pendulum", "--backend=generalized", "--steps=3000", "--seed=7"]
    monkeypatch.setattr("sys.argv", ["train_ppo_on_reward.py", f"--reward={tmp_path}/reward.npz", *options])
    example.main()
    assert (seen["num_timesteps"], seen["seed"]) == (3000, 7)
    assert seen["discounting"] == pytest.approx(0.9)  # the reward's own
    assert isinstance(seen["environment"], BraxRewardWrapper)
    assert seen["environment"].observation_size == 4


def test_iq_learn_takes_at_most_15_changed_lines():
    before, after = ((EXAMPLES / f"{n}.py").read_text().splitlines() for n in ("soft_dqn", "plug_in"))
    blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    changed = sum(max(b - a, d - c) for kind, a, b, c, d in blocks if kind != "equal")
    assert 0 < changed <= 15
    library = [line for line in after if "import" in line and "iqlearn_jax" in line]
    assert library == ["from iqlearn_jax.ops.iq import objectives, soft"]


def test_iq_learn_does_not_read_the_environments_reward():
    source = (EXAMPLES / "plug_in.py").read_text()
    assert "batch.reward" not in source
