"""Acrobot-v1: gymnax's where it is installed, else gymnasium's, which is equal but steps on the host."""

from iqlearn_jax.config import base_config
from iqlearn_jax.config.presets import soft_q_expert


def offline():
    """One whole demonstration, no environment steps."""
    config = base_config()
    config.env.id = "Acrobot-v1"
    config.demos.path = "bundled:Acrobot-v1"
    config.seeds = 10
    config.updates = 10_000
    config.temperature = 0.1
    return config


def bc():
    """Behavioural cloning on the same data."""
    config = offline()
    config.method = "bc"
    return config


def expert():
    """Soft Q-learning on the true reward."""
    config = soft_q_expert(base_config())
    config.env.id = "Acrobot-v1"
    config.seeds = 4
    config.first_seed = 0
    config.updates = 60_000
    config.eval_every = 5000
    return config


CONFIGS = {"offline": offline, "bc": bc, "expert": expert}
