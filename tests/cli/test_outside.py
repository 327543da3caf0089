"""A method and an environment from outside the package: one file, named once, found by every command."""

import os
import subprocess
import sys

import pytest

from tests.common import ROOT, demos_of

MODULE = '''
import jax.numpy as jnp
import numpy as np

import iqlearn_jax as iq
from iqlearn_jax.agents.common import descend
from iqlearn_jax.agents.soft_q import make_agent
from tests.common import walk


def make_lazy_bc(config, spec):
    """Cloning whose logits are also pulled towards 0."""
    import jax

    agent = make_agent(config, spec)

    def update(hparams, state, batch, key):
        rows = batch.expert

        def loss(critic):
            fit = agent.log_prob(hparams, critic, state.temperature, rows.obs, rows.action)
            return hparams["laziness"] * jnp.mean(fit**2) - jnp.mean(fit)

        value, grads = jax.value_and_grad(loss)(state.critic)
        critic, opt = descend(state.critic, state.critic_opt, grads, hparams["critic_lr"])
        return state.replace(critic=critic, critic_opt=opt, step=state.step + 1), {"lazy/loss": value}

    def reward(hparams, state, rows, key):
        return agent.log_prob(hparams, state.critic, state.temperature, rows.obs, rows.action)

    return iq.Method(init=agent.init, update=update, act=agent.act, reward=reward)


iq.register_env("outside-walk", lambda: walk())
iq.register_method(
    "lazy_bc",
    make_lazy_bc,
    feeds={"demos"},
    meaning="cloning with small logits",
    keys={
        "laziness": iq.Key(0.01, "weight of the squared log-likelihood", 0.0, traced=True),
        "critic_lr": None, "hidden": None, "critics": None, "layer_norm": None, "temperature": None,
        "gamma": None,
    },
)
'''
CONFIG = """
from iqlearn_jax.config import base_config


def lazy():
    config = base_config()
    config.env.id = "outside-walk"
    config.seeds, config.hidden, config.batch_size = 2, (8,), 8
    config.updates, config.log_every, config.eval_every, config.checkpoint_every = 8, 4, 4, 4
    config.snapshot_every = 4
    return config


CONFIGS = {"lazy": lazy}
"""


@pytest.mark.slow
def test_every_command_finds_what_a_module_registers(tmp_path):
    demos_of("walk").save(tmp_path / "walk.npz")
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "settings.py").write_text(CONFIG)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def iqlearn(*arguments, cwd=elsewhere, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "iqlearn_jax.cli", *map(str, arguments)],
            cwd=cwd, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == code, done.stderr[-2000:]
        return done.stdout + done.stderr

    run = f"--workdir={tmp_path / 'run'}"
    train = ("train", "--config=settings.py:lazy", "--config.method=lazy_bc", "--demos=walk.npz")
    assert "outside-walk" in iqlearn(*train, "--import=mine", run, "--config.laziness=0.1", cwd=tmp_path)
    unread = "--config.clip_range=0.3"
    refused = iqlearn(*train, "--import=mine", "--workdir=no", unread, cwd=tmp_path, code=2)
    assert "clip_range" in refused and "ppo" in refused
    # from another folder and without --import: the run's folder remembers
    assert "seed 5001" in iqlearn("evaluate", run, "--episodes=2")
    iqlearn("demos", "record", run, "--episodes=2", "--out=again.npz")
    assert "2" in iqlearn("demos", "inspect", "again.npz")
    iqlearn("train", run, "--resume", "--config.updates=16")
    iqlearn("evaluate", run, "--episodes=2", "--at=4")
    iqlearn("policy", "export", run, "--run=0", "--out=policy.npz")
    iqlearn("reward", "export", run, "--run=1", "--out=reward.npz")
    iqlearn("report", tmp_path / "run", "--out=page")
    module = f"--import={tmp_path / 'mine.py'}"
    assert "lazy_bc" in iqlearn("policy", "inspect", "policy.npz", module)
    assert "lazy_bc" in iqlearn("reward", "inspect", "reward.npz", module)
    iqlearn("evaluate", "--policy=policy.npz", "--env=outside-walk", "--episodes=2", module)
    assert "the doctor knows the metrics of iq only" in iqlearn("doctor", run, code=2)
    grid = ("--grid=laziness=0.1,0.2", f"--workdir={tmp_path / 'sweep'}", "--import=mine")
    assert "laziness" in iqlearn("sweep", *train[1:], *grid, cwd=tmp_path)
    assert "lazy_bc" in iqlearn("list", "methods", module)
    assert "outside-walk" in iqlearn("list", "envs", module)
    assert "laziness" in iqlearn("list", "keys", "--method=lazy_bc", module)
    assert "fits outside-walk" in iqlearn("demos", "validate", "again.npz", "--env=outside-walk", module)
