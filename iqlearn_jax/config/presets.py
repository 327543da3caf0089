"""Values that belong together on any task: a function changes the configuration it is given and returns it.

The configurations that come with the library are made of these and of a task's sizes. `stable_sac` and
`stable_q` are what they use for IQ-Learn online, `smooth_sac` from few rows; docs/results/stability.md shows
what each value is worth. `paper_sac` is what the authors' code does.
"""


def stable_sac(config):
    """IQ-Learn online with continuous actions: χ² over both samples, ends and targets at its bounds ±4α.

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


def smooth_sac(config):
    """IQ-Learn online with continuous actions from few rows: a split critic, whose reward is smooth between
    learner and expert, and an actor near the demonstration, slowly moved. docs/research/12-a-smooth-reward.md
    """
    config = anchored(stable_sac(config))
    config.split_critic = True
    config.gradient_penalty = 20.0
    config.temperature = 0.1
    return config


def anchored(config):
    """An actor that is held near the demonstrated actions and moves slowly, for methods with a replay."""
    config.anchor = 50.0
    config.actor_lr = 5e-5
    return config


def stable_q(config):
    """IQ-Learn online with discrete actions: χ² over both samples, and a learned absorbing state."""
    config.target_network = True
    config.value_term = "policy"
    config.regularize = "both"
    config.terminal = "absorbing"
    return config


def paper_sac(config, value_term="v0_all"):
    """IQ-Learn online as in the authors' configuration files for MuJoCo.

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
    """PPO's usual values (Schulman et al. 2017, Table 3); sizes of rollouts are a task's own.

    AIRL's reward holds the policy's entropy already, hence its low temperature.

    Args:
      method: "ppo", "gail", "airl" or "asaf".
    """
    config.method = method
    config.feed = "rollout"
    config.average_rate = 1.0  # these methods keep no mean of the actors
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
    """ValueDICE as its paper has it: ν's rate 1e-3, the actor's 1e-5, gradient penalty 10."""
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


def imitation(config, method, round_updates=1250):
    """Losses and penalties of the papers and of their authors' code; sizes are a task's own.

    Args:
      method: "sqil", "adril", "dac" or "max_entropy_deep".
      round_updates: AdRIL's; its authors have 1250 on PyBullet.
    """
    config.method = method
    config.round_updates = round_updates
    config.terminal = "absorbing" if method in ("dac", "max_entropy_deep") else "zero"
    config.temperature = 0.1
    config.gradient_penalty = 10.0 if method == "dac" else 0.0
    return config


def soft_q_expert(config):
    """Soft Q-learning on the true reward, on small tasks with discrete actions."""
    config.method = "rl"
    config.feed = "replay"
    config.batch_size = 64
    config.critic_lr = 1e-3
    config.temperature = 0.1
    config.target_network = True
    return config
