"""Choices that belong together, for IQ-Learn online with continuous actions; a task's sizes are its own.

`stable_sac` is what every online preset uses; docs/results/stability.md shows what each of its choices is
worth. `paper_sac` is what the authors' code does.
"""


def stable_sac(config):
    """Rewards and values kept within the bounds that the objective implies. Changes and returns `config`."""
    config.temperature = 0.01
    config.critics = 2
    config.layer_norm = True
    config.target_network = True
    config.value_term = "policy"
    config.regularize = "both"
    config.terminal = "bounded"
    config.clip_targets = True
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
    return config
