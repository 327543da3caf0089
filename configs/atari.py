"""Atari on the host (needs the extra atari): 84 x 84 grey, 4 frames a step, 4 frames one observation.

Sizes and rates are the authors' (Nature CNN, batch 64, rate 1e-4, target copied every 1000 updates); the
shared Pong demonstrations are converted first: `iqlearn demos convert FRAMES.npz pong.npz`.
"""

from functools import partial

from iqlearn_jax.config import base_config
from iqlearn_jax.config.presets import stable_q

GAMES = {"pong": "PongNoFrameskip-v4", "breakout": "BreakoutNoFrameskip-v4"}


def sizes(game):
    """What all methods share."""
    config = base_config()
    config.env.update({"id": GAMES[game], "backend": "gymnasium"})
    config.seeds = 1
    config.batch_size = 64
    config.hidden = (512,)
    config.critic_lr = 1e-4
    config.temperature = 0.01
    config.target_network = True
    config.target_period = 1000
    config.log_every = 500
    config.demos.trajectories = 4
    return config


def offline(game):
    """Demonstrations alone; what was not chosen is held out."""
    config = sizes(game)
    config.updates = 20_000
    config.eval_every = 5000
    config.checkpoint_every = 2500
    return config


def bc(game):
    """Behavioural cloning on the same demonstrations."""
    config = offline(game)
    config.method = "bc"
    return config


def online(game):
    """Four environments, so one update for every four of their steps, as DQN has it."""
    config = stable_q(sizes(game))
    config.feed = "replay"
    config.updates = 250_000  # a million steps
    config.eval_every = 10_000
    config.eval_episodes = 3
    config.checkpoint_every = 5000
    config.online.update({"num_envs": 4, "learning_starts": 5000, "capacity": 100_000})
    return config


KINDS = {"": online, "_offline": offline, "_bc": bc}
CONFIGS = {f"{game}{kind}": partial(make, game) for game in GAMES for kind, make in KINDS.items()}
