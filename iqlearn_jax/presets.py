"""Choices that belong together, for IQ-Learn online with continuous actions; a task's sizes are its own.

`stable_sac` is what every online preset uses; docs/results/stability.md shows what each of its choices is
worth. `paper_sac` is what the authors' code does. `mujoco` makes the configurations of one MuJoCo task.
"""

from collections.abc import Callable
from functools import partial

from iqlearn_jax.config import base_config


def stable_sac(config):
    """χ² over both samples, ends and targets at its bounds ±4α. Changes and returns `config`.

    The bounds hold at the optimum; in training single rewards leave them (docs/results/stability.md).
    """
    config.temperature = 0.01
    config.critics = 2
    config.layer_norm = True
    config.target_network = True
    config.value_term = "policy"
    config.regularize = "both"
    config.terminal = "bounded"
    config.clip_targets = True
    return config


def stable_q(config):
    """The same for discrete actions, with a learned absorbing state. Changes and returns `config`."""
    config.target_network = True
    config.value_term = "policy"
    config.regularize = "both"
    config.terminal = "absorbing"
    return config


def paper_sac(config, value_term="v0_all"):
    """The authors' settings for MuJoCo (their configuration files). Changes `config` and returns it.

    Args:
      value_term: "v0_all" for Hopper, Walker2d and Humanoid, "mixture" for HalfCheetah and Ant.
    """
    config.temperature = 0.01
    config.critics = 1
    config.layer_norm = False
    config.target_network = True
    config.target_rate = 0.005
    config.critic_lr = 3e-4
    config.actor_lr = 3e-5
    config.value_term = value_term
    config.regularize = "both"
    config.terminal = "zero"
    config.clip_targets = False
    config.normalize_obs = False
    config.lr_decay = 0.0
    config.average_rate = 1.0
    return config


def on_policy(config, method):
    """PPO's usual values (Schulman et al. 2017, Table 3) for method "ppo", "gail", "airl" or "asaf". Changes
    `config` and returns it.

    Sizes of rollouts are a task's own. AIRL's reward holds the policy's entropy already.
    """
    config.method = method
    config.feed = "rollout"
    config.average_rate = 1.0  # these states have no mean
    config.critics = 1
    config.target_network = False
    config.terminal = "absorbing" if method in ("gail", "airl") else "zero"
    config.critic_lr = 1e-3
    config.actor_lr = 3e-4
    config.discriminator_lr = 3e-4
    config.temperature = 1e-3 if method == "airl" else 0.01
    config.gae_lambda = 0.95
    config.clip_range = 0.2
    config.epochs = 10
    return config


def dice(config):
    """ValueDICE as its paper has it: ν's rate 1e-3, the actor's 1e-5, gradient penalty 10. Changes `config`
    and returns it.
    """
    config.method = "value_dice"
    config.normalize_by = "demos"
    config.critics = 1
    config.layer_norm = False
    config.target_network = False
    config.clip_targets = False
    config.regularize = "expert"
    config.terminal = "absorbing"
    config.value_term = "v0_all"  # start states are all expert states, as in the authors' code
    config.critic_lr = 1e-3
    config.actor_lr = 1e-5
    config.gradient_penalty = 10.0
    config.orthogonal = 1e-4
    config.replay_share = 0.1
    return config


def imitation(config, method):
    """SQIL, AdRIL, DAC or deep maximum entropy: losses, rounds (1250 on PyBullet) and penalty of their papers
    and their authors' code, on sizes that the config has already. Changes `config` and returns it.
    """
    config.method = method
    config.round_updates = 1250
    config.terminal = "absorbing" if method in ("dac", "max_entropy_deep") else "zero"
    config.temperature = 0.1
    config.gradient_penalty = 10.0 if method == "dac" else 0.0
    return config


def mujoco(env_id, paper_term="v0_all", paper_temperature=0.01) -> dict[str, Callable]:
    """Configurations of a gymnasium MuJoCo task on the host (needs the extra mujoco).

    `online` (the stable preset), `paper` (online, the authors' settings), `offline`, `bc`; online, with the
    same networks and untuned: `dac`, `sqil`, `value_dice`; `expert`: SAC on the true reward. `mjx`,
    `mjx_dac`, `mjx_value_dice`, `mjx_gail`, `mjx_expert`: the same, five seeds, on the device, as brax's task
    of that name (its observations of Ant and Humanoid leave out the contact forces). None has bundled
    demonstrations: name a file with --demos.

    Departures from the papers, for all that imitate online but `paper`: learning rates fall linearly to 0
    over the run, `lr_decay=0` keeps them constant; and the mean of the actors plays (not PPO's, of
    `mjx_gail`), `average_rate=1` lets the last one.

    Args:
      paper_term, paper_temperature: the authors' choices for this task.
    """
    device = env_id.split("-")[0].lower()
    return {
        "online": partial(mujoco_online, env_id),
        "paper": partial(_paper, env_id, paper_term, paper_temperature),
        "offline": partial(_offline, env_id),
        "bc": partial(_bc, env_id),
        "dac": partial(_imitation, env_id, "dac"),
        "sqil": partial(_imitation, env_id, "sqil"),
        "value_dice": partial(_value_dice, env_id),
        "expert": partial(_expert, env_id),
        "mjx": partial(mujoco_online, device, "mjx"),
        "mjx_dac": partial(_imitation, device, "dac", "mjx"),
        "mjx_value_dice": partial(_value_dice, device, "mjx"),
        "mjx_gail": partial(_gail, device),
        "mjx_expert": partial(_expert, device, "mjx"),
    }


def _sizes(env_id, backend="gymnasium"):
    config = base_config()
    config.env.update({"id": env_id, "backend": backend})
    config.seeds = 2 if backend == "gymnasium" else 5
    config.batch_size = 256
    config.hidden = (256, 256)
    config.critic_lr = 3e-4
    config.log_every = 1000
    config.eval_every = 10_000
    return config


def mujoco_online(env_id, backend="gymnasium"):
    """The stable preset with MuJoCo's sizes, on the host or on a backend of brax."""
    return stable_sac(_acting(env_id, backend))


def _acting(env_id, backend="gymnasium"):
    config = _sizes(env_id, backend)
    config.feed = "replay"
    config.critics = 2
    config.target_network = True
    config.updates = 300_000
    config.lr_decay = 1.0  # constant rates lose Hopper, falling ones lose less of it (docs/results/notes.md)
    config.average_rate = 1e-4  # steadier where rates are low, not before (docs/results/notes.md)
    config.snapshot_every = 75_000
    config.online.update({"learning_starts": 5000, "capacity": 300_000})
    return config


def _imitation(env_id, method, backend="gymnasium"):
    return imitation(_acting(env_id, backend), method)


def _value_dice(env_id, backend="gymnasium"):
    return dice(_acting(env_id, backend))


def _gail(env_id):
    """Rollouts of 2048 steps, 307,200 in all."""
    config = on_policy(_acting(env_id, "mjx"), "gail")
    config.online.update({"num_envs": 8, "rollout_steps": 256})
    config.updates, config.log_every, config.eval_every = 150, 5, 10
    config.checkpoint_every, config.snapshot_every = 50, 0
    config.minibatches = 32
    return config


def _expert(env_id, backend="gymnasium"):
    """SAC on the true reward, a million steps."""
    config = _acting(env_id, backend)
    config.method = "rl"
    config.seeds, config.first_seed = 1, 0
    config.updates = 1_000_000
    config.lr_decay = 0.0
    config.average_rate = 1.0
    config.snapshot_every = 0
    config.online.capacity = 1_000_000
    config.temperature = 0.2
    return config


def _paper(env_id, term, temperature):
    config = paper_sac(mujoco_online(env_id), term)
    config.temperature = temperature
    return config


def _offline(env_id):
    config = _sizes(env_id)
    config.updates = 50_000
    config.critics = 2
    config.layer_norm = True
    config.target_network = True
    config.clip_targets = True
    return config


def _bc(env_id):
    config = _offline(env_id)
    config.method = "bc"
    return config
