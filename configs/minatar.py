"""MinAtar on the device (gymnax): images of 10 x 10 cells.

`python -m experiments.images` trains the experts, records their demonstrations and runs the rest.
"""

from functools import partial

from iqlearn_jax.config import base_config
from iqlearn_jax.config.presets import stable_q

GAMES = {name.lower(): f"{name}-MinAtar" for name in ("Breakout", "Asterix", "Freeway", "SpaceInvaders")}


def sizes(game):
    """What the expert and its imitators share."""
    config = base_config()
    config.env.update({"id": GAMES[game], "backend": "gymnax"})
    config.log_every = 1000
    config.eval_every = 20_000
    config.checkpoint_every = 20_000
    config.batch_size = 64
    config.hidden = (128,)
    config.critic_lr = 3e-4
    config.temperature = 0.01
    return config


def acting(game):
    """What those who act share."""
    config = sizes(game)
    config.feed = "replay"
    config.target_network = True
    config.target_period = 1000
    config.online.update({"num_envs": 4, "learning_starts": 5000, "capacity": 100_000})
    return config


def online(game):
    """IQ-Learn from 20 demonstrations of `GAME_expert`; name their file with --demos."""
    config = stable_q(acting(game))
    config.demos.trajectories = 20
    config.seeds = 5
    config.updates = 300_000
    return config


def bc(game):
    """Behavioural cloning on the same demonstrations."""
    config = sizes(game)
    config.method = "bc"
    config.demos.trajectories = 20
    config.seeds = 5
    config.updates = 20_000
    return config


def expert(game):
    """Soft Q-learning on the true reward."""
    config = acting(game)
    config.method = "rl"
    config.seeds = 1
    config.first_seed = 0
    config.updates = 400_000
    config.eval_every = 50_000
    config.checkpoint_every = 50_000
    return config


KINDS = {"": online, "_bc": bc, "_expert": expert}
CONFIGS = {f"{game}{kind}": partial(make, game) for game in GAMES for kind, make in KINDS.items()}
