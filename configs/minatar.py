"""MinAtar on the device (gymnax): images of 10 x 10 cells. Long runs and their tuning are still to come."""

from functools import partial

from iqlearn_jax.config import base_config

GAMES = {name.lower(): f"{name}-MinAtar" for name in ("Breakout", "Asterix", "Freeway", "SpaceInvaders")}


def online(game):
    """IQ-Learn from demonstrations of an expert trained by `GAME_expert`; name its file with --demos."""
    config = expert(game)
    config.method = "iq"
    config.demos.trajectories = 20
    config.first_seed = 5000
    config.seeds = 5
    config.temperature = 0.01
    config.value_term = "policy"
    config.regularize = "both"
    config.terminal = "absorbing"
    return config


def expert(game):
    """Soft Q-learning on the true reward."""
    config = base_config()
    config.env.update({"id": GAMES[game], "backend": "gymnax"})
    config.method = "rl"
    config.feed = "replay"
    config.seeds = 1
    config.first_seed = 0
    config.updates = 500_000
    config.log_every = 1000
    config.eval_every = 50_000
    config.batch_size = 64
    config.hidden = (128,)
    config.critic_lr = 3e-4
    config.temperature = 0.01
    config.target_network = True
    config.target_period = 1000
    config.online.update({"learning_starts": 5000, "capacity": 100_000})
    return config


CONFIGS = {name: partial(online, name) for name in GAMES}
CONFIGS |= {f"{name}_expert": partial(expert, name) for name in GAMES}
