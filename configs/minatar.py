"""MinAtar on the device (gymnax): images of 10 x 10 cells, learned from rollouts without a replay.

Kinds: `GAME` (IQ-Learn), `GAME_sqil` and `GAME_bc` from one demonstrated episode, and `GAME_expert`, PQN on
the true reward, which recorded it. Breakout's demonstrations come with the library; of the other games an
expert is trained first, as `python -m experiments.tables.images` does. Sizes of rollouts, passes and rates
are those of PQN's authors for MinAtar (Gallici et al. 2024).

These games hardly draw anything, so a greedy policy plays one episode or two again and again: policies are
judged by what they draw (`eval_sampled`).
"""

from functools import partial
from typing import NamedTuple

from iqlearn_jax.config import base_config
from iqlearn_jax.config.presets import stable_q


class Game(NamedTuple):
    """A game's name in gymnax, updates of its expert and of imitators, of 4,096 steps each, and their γ."""

    env_id: str
    expert_updates: int
    updates: int = 240
    gamma: float = 0.99
    demos: str = ""


GAMES = {
    "asterix": Game("Asterix-MinAtar", 800),
    "breakout": Game("Breakout-MinAtar", 1200, 720, 0.9, "bundled:Breakout-MinAtar"),
    "freeway": Game("Freeway-MinAtar", 500),
    "spaceinvaders": Game("SpaceInvaders-MinAtar", 720),
}


def sizes(game):
    """What the expert and its imitators share."""
    config = base_config()
    config.env.update({"id": GAMES[game].env_id, "backend": "gymnax"})
    config.hidden = (128,)
    config.layer_norm = True
    config.critic_lr = 5e-4
    config.temperature = 0.01
    config.lr_decay = 1.0
    config.seeds = 5
    config.eval_sampled = True
    config.eval_episodes = 100
    return config


def rollouts(game, updates):
    """128 environments of 32 steps in each update, learned from in two passes of 32 minibatches."""
    config = sizes(game)
    config.feed = "rollout"
    config.online.update({"num_envs": 128, "rollout_steps": 32})
    config.epochs = 2
    config.minibatches = 32
    config.updates = updates
    config.log_every = updates // 20
    config.eval_every = config.checkpoint_every = updates // 5
    return config


def imitator(game):
    """What learns from demonstrations by acting; its target network is the critic of before each rollout."""
    config = rollouts(game, GAMES[game].updates)
    config.demos.path = GAMES[game].demos
    config.gamma = GAMES[game].gamma
    config.target_network = True
    config.target_period = 1
    config.terminal = "absorbing"
    return config


def online(game):
    """IQ-Learn.

    Rewards are a tenth of the usual (`alpha`), so values reach at most 20 at γ = 0.99. What that, the target
    network and γ are worth: docs/methods/pqn.md.
    """
    config = stable_q(imitator(game))
    config.alpha = 0.05
    return config


def sqil(game):
    """SQIL. Its rewards, 0 and 1, are 2.5 times as far apart as IQ-Learn's, so its temperature is, too."""
    config = imitator(game)
    config.method = "sqil"
    config.temperature = 0.025
    return config


def bc(game):
    """Behavioural cloning."""
    config = sizes(game)
    config.method = "bc"
    config.demos.path = GAMES[game].demos
    config.batch_size = 64
    config.critic_lr = 3e-4
    config.updates = 16_000
    config.eval_every = config.checkpoint_every = 4000
    return config


def expert(game):
    """PQN on the true reward.

    Some actions are drawn uniformly; docs/methods/pqn.md says what that is worth.
    """
    config = rollouts(game, GAMES[game].expert_updates)
    config.method = "pqn"
    config.gae_lambda = 0.65
    config.exploration = 0.05
    config.seeds, config.first_seed = 1, 0
    return config


KINDS = {"": online, "_sqil": sqil, "_bc": bc, "_expert": expert}
CONFIGS = {f"{game}{kind}": partial(make, game) for game in GAMES for kind, make in KINDS.items()}
