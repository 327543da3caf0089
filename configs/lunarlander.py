"""LunarLander-v3: gymnasium on the host (needs the extra box2d). No demonstrations are bundled."""

from iqlearn_jax.config import base_config
from iqlearn_jax.config.presets import soft_q_expert


def offline():
    """Three whole demonstrations, no environment steps."""
    config = base_config()
    config.env.update({"id": "LunarLander-v3", "backend": "gymnasium"})
    config.demos.trajectories = 3
    config.seeds = 10
    config.updates = 60_000
    config.eval_every = 60_000
    config.temperature = 0.1
    return config


def sparse():
    """Every 20th step of the same demonstrations."""
    config = offline()
    config.demos.subsample = 20
    return config


def bc():
    """Behavioural cloning on the same data."""
    config = offline()
    config.method = "bc"
    return config


def expert():
    """Soft Q-learning on the true reward."""
    config = soft_q_expert(base_config())
    config.env.update({"id": "LunarLander-v3", "backend": "gymnasium"})
    config.seeds = 2
    config.updates = 200_000
    config.eval_every = 50_000
    config.hidden = (256, 256)
    return config


CONFIGS = {"offline": offline, "sparse": sparse, "bc": bc, "expert": expert}
