"""MuJoCo of gymnasium on the host (needs the extra mujoco). None is bundled: name a file with --demos.

Each task has TASK (online, the stable preset), TASK_paper (online, the authors' settings), TASK_offline
and TASK_bc.
"""

from functools import partial

from iqlearn_jax.config import base_config
from iqlearn_jax.presets import paper_sac, stable_sac

TASKS = {"hopper": "Hopper-v5", "halfcheetah": "HalfCheetah-v5", "walker2d": "Walker2d-v5", "ant": "Ant-v5",
         "humanoid": "Humanoid-v5"}  # fmt: skip
REPLAY_TERM = ("halfcheetah", "ant")  # tasks for which the authors use the replay value term
PAPER_TEMPERATURE = {"ant": 0.001, "humanoid": 1.0}


def sac(task):
    """Sizes that all methods share."""
    config = base_config()
    config.env.id = TASKS[task]
    config.env.backend = "gymnasium"
    config.seeds = 2
    config.batch_size = 256
    config.hidden = (256, 256)
    config.critic_lr = 3e-4
    config.log_every = 1000
    config.eval_every = 10_000
    return config


def online(task):
    """One demonstration and 300,000 steps."""
    config = stable_sac(sac(task))
    config.feed = "replay"
    config.updates = 300_000
    config.online.update({"learning_starts": 5000, "capacity": 300_000})
    return config


def paper(task):
    """As `online`, with the authors' settings."""
    config = paper_sac(online(task), "mixture" if task in REPLAY_TERM else "v0_all")
    config.temperature = PAPER_TEMPERATURE.get(task, config.temperature)
    return config


def offline(task):
    """Demonstrations alone."""
    config = sac(task)
    config.updates = 50_000
    config.critics = 2
    config.layer_norm = True
    config.target_network = True
    config.clip_targets = True
    return config


def bc(task):
    """Behavioural cloning with the same networks."""
    config = offline(task)
    config.method = "bc"
    return config


CONFIGS = {task: partial(online, task) for task in TASKS}
for make in (paper, offline, bc):
    CONFIGS |= {f"{task}_{make.__name__}": partial(make, task) for task in TASKS}
