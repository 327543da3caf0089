"""Hopper-v5 (gymnasium on the host; needs the extra mujoco). Long runs and their tuning are still to come."""

from iqlearn_jax.config import base_config


def online():
    """One demonstration; none is bundled: name a file with --demos."""
    config = base_config()
    config.env.update({"id": "Hopper-v5", "backend": "gymnasium"})
    config.feed = "replay"
    config.seeds = 2
    config.updates = 300_000
    config.log_every = 1000
    config.eval_every = 10_000
    config.batch_size = 256
    config.hidden = (256, 256)
    config.critics = 2
    config.layer_norm = True
    config.target_network = True
    config.critic_lr = 3e-4
    config.temperature = 0.01
    config.value_term = "policy"
    config.regularize = "both"
    config.terminal = "bounded"
    config.clip_targets = True
    config.online.update({"learning_starts": 5000, "capacity": 300_000})
    return config


CONFIGS = {"online": online}
