"""Acrobot-v1 (gymnax on the device, equal to gymnasium's)."""

from iqlearn_jax.config import base_config

BUNDLED = "iqlearn_jax/data/bundled/Acrobot-v1.npz"


def offline():
    """One whole demonstration, no environment steps."""
    config = base_config()
    config.env.update({"id": "Acrobot-v1", "backend": "gymnax"})
    config.demos.path = BUNDLED
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
    config = base_config()
    config.method = "rl"
    config.feed = "replay"
    config.env.update({"id": "Acrobot-v1", "backend": "gymnax"})
    config.seeds = 4
    config.first_seed = 0
    config.updates = 60_000
    config.batch_size = 64
    config.critic_lr = 1e-3
    config.temperature = 0.1
    config.target_network = True
    config.eval_every = 5000
    return config


CONFIGS = {"offline": offline, "bc": bc, "expert": expert}
