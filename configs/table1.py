"""Table 1, as TASK_SETTING_METHOD: every method on the same data, networks, batches, updates and evaluation.

Offline settings, never mixed: `full` (whole demonstrations, standardised inputs) and `sparse` (every 20th
step on CartPole, every 5th elsewhere; raw inputs, since few rows say little of their spread, but
ValueDICE's as its search found). `online`: one demonstration, thinned out in the same way, and few steps.
What differs between methods is in RECIPES (their papers' choices) and in TUNED (what the search
experiments/tables/tuning.py found: table1.json), with the same number of points, seeds and updates for
each. Only brax's double pendulum has bundled demonstrations (name a file with --demos elsewhere); what
methods do not share there is that of configs/brax.py.
"""

import json
from functools import partial
from pathlib import Path

from iqlearn_jax.config import base_config
from iqlearn_jax.config.files import load_config
from iqlearn_jax.config.presets import on_policy, stable_q

TASKS = {
    "cartpole": ("CartPole-v1", "auto"),
    "acrobot": ("Acrobot-v1", "auto"),
    "lunarlander": ("LunarLander-v3", "gymnasium"),
}
EVERY = {"cartpole": 20, "acrobot": 5, "lunarlander": 5}
UPDATES = {"cartpole": 10_000, "acrobot": 10_000, "lunarlander": 20_000}
RECIPES = {
    "iq": {},
    "iq_w1": {"method": "iq", "divergence": "w1", "gradient_penalty": 10.0},
    "bc": {},
    "iq_next": {"method": "iq", "next_actions": True},  # (s', a') as AVRIL sees it
    "bc_next": {"method": "bc", "next_actions": True},
    "regularized_bc": {"margin": 1.0},
    "value_dice": {  # its authors: constant rates and 1e-4 (docs/research/09-what-few-rows-cannot-tell.md)
        "terminal": "absorbing", "critic_lr": 1e-3, "lr_decay": 1.0, "orthogonal": 0.0,
    },
    "avril": {},
    "edm": {"chain_count": 10_000, "chain_steps": 20, "chain_restart": 0.05},
    "lstd_mu": {"features": 32, "batch_size": 512, "updates": 100, "eval_every": 100, "log_every": 10},
    "dsfn": {"features": 32, "target_network": True, "target_rate": 0.02, "round_updates": 1000},
}  # fmt: skip
ONLINE_UPDATES = 20_000  # one step of the environment each, after 1000 random ones
ROLLOUTS = {"updates": 40, "log_every": 2, "eval_every": 2}  # of 512 steps: the same number of steps
ONLINE_RECIPES = {
    "iq": {},
    "sqil": {"terminal": "absorbing"},
    "adril": {"terminal": "absorbing", "round_updates": 1000},
    "dac": {"terminal": "absorbing", "gradient_penalty": 10.0, "discriminator_lr": 3e-4},
    "max_entropy_deep": {"terminal": "absorbing", "discriminator_lr": 3e-4},
    "gail": {"terminal": "absorbing", "gradient_penalty": 1.0},
    "airl": {"gradient_penalty": 1.0},
    "asaf": {},
}
PENDULUM = "inverted_double_pendulum"
PENDULUM_METHODS = {"iq": "_whitened", "dac": "_dac", "value_dice": "_value_dice"}  # kinds in configs/brax.py
TUNED = json.loads(Path(__file__).with_suffix(".json").read_text())


def shared(task):
    """What all methods have on one task."""
    config = base_config()
    config.env.id, config.env.backend = TASKS[task]
    config.seeds = 10
    config.batch_size = 64
    config.checkpoint_every = 0
    return config


def offline(task, setting, method):
    """One method on one task from demonstrations alone."""
    config = shared(task)
    config.method = method
    config.updates = config.eval_every = UPDATES[task]
    config.demos.subsample = EVERY[task] if setting == "sparse" else 1
    config.normalize_obs = setting == "full"
    config.update(RECIPES[method])
    config.update(TUNED.get(f"{task}_{setting}_{method}", {}))
    return config


def online(task, method):
    """One method on one task from one demonstration and few steps."""
    config = shared(task)
    config.demos.subsample = EVERY[task]
    config.updates = ONLINE_UPDATES
    config.eval_every = 1000
    config.feed = "replay"
    config.target_network = True
    if method == "iq":
        config = stable_q(config)
    if method in ("gail", "airl", "asaf"):
        config = on_policy(config, method)
        config.update(ROLLOUTS)
        config.online.update({"num_envs": 8, "rollout_steps": 64})
    config.method = method
    config.update(ONLINE_RECIPES[method])
    config.update(TUNED.get(f"{task}_online_{method}", {}))
    return config


def pendulum(method):
    """One method on the double pendulum from one bundled demonstration, 60,000 steps after 1000 random ones.

    IQ-Learn and ValueDICE have whitened inputs (docs/research/07-whitening.md).
    """
    config = load_config(f"brax:{PENDULUM}{PENDULUM_METHODS[method]}")
    sizes = load_config(f"brax:{PENDULUM}")
    config.seeds, config.hidden, config.batch_size = 10, sizes.hidden, sizes.batch_size
    config.updates = 60_000
    config.eval_every = 5000
    config.checkpoint_every = 0
    config.update(TUNED.get(f"{PENDULUM}_online_{method}", {}))
    return config


CONFIGS = (
    {
        f"{task}_{setting}_{method}": partial(offline, task, setting, method)
        for task in TASKS
        for setting in ("full", "sparse")
        for method in RECIPES
    }
    | {
        f"{task}_online_{method}": partial(online, task, method)
        for task in ("cartpole", "acrobot")
        for method in ONLINE_RECIPES
    }
    | {f"{PENDULUM}_online_{method}": partial(pendulum, method) for method in PENDULUM_METHODS}
)
