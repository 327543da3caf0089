"""Brax tasks on the device: experts trained here by SAC, IQ-Learn online from one demonstration."""

from functools import partial

from iqlearn_jax.config import base_config

BUNDLED = "iqlearn_jax/data/bundled/{}-{}.npz"
BACKENDS = {"inverted_pendulum": "spring", "inverted_double_pendulum": "spring"}


def sac(task):
    """What IQ-Learn and the expert share: SAC 256-256, two critics, target rate 0.005."""
    config = base_config()
    config.env.update({"id": task, "backend": BACKENDS[task]})
    config.feed = "replay"
    config.hidden = (256, 256)
    config.critics = 2
    config.target_network = True
    config.batch_size = 256
    config.critic_lr = 3e-4
    config.actor_lr = 3e-4
    return config


def expert(task):
    """SAC on the true reward with a learned temperature."""
    config = sac(task)
    config.method = "rl"
    config.seeds = 2
    config.first_seed = 0
    config.updates = 30_000
    config.learn_temperature = True
    config.temperature = 1.0
    config.target_entropy = -1.0
    return config


def online(task):
    """IQ-Learn from one demonstration: χ² over both kinds of samples, a learned absorbing state."""
    config = sac(task)
    config.demos.path = BUNDLED.format(task, BACKENDS[task])
    config.seeds = 5
    config.updates = 20_000
    config.temperature = 0.01
    config.value_term = "mixture"
    config.regularize = "both"
    config.terminal = "absorbing"
    return config


CONFIGS = {task: partial(online, task) for task in BACKENDS}
CONFIGS |= {f"{task}_expert": partial(expert, task) for task in BACKENDS}
