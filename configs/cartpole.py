"""CartPole-v1: gymnax's where it is installed, else gymnasium's, which is equal but steps on the host."""

from functools import partial

from iqlearn_jax.config import base_config
from iqlearn_jax.config.presets import dice, imitation, on_policy, soft_q_expert, stable_q


def offline():
    """One whole demonstration, no environment steps."""
    config = base_config()
    config.env.id = "CartPole-v1"
    config.demos.path = "bundled:CartPole-v1"
    config.seeds = 10
    config.updates = 30_000
    config.eval_every = 5000
    config.temperature = 0.5
    return config


def bc():
    """Behavioural cloning on the same data."""
    config = offline()
    config.method = "bc"
    return config


def regularized_bc():
    """RCAL on the same data. Margin and weight are ours and untuned: the paper has no network."""
    config = offline()
    config.method = "regularized_bc"
    config.margin = 1.0
    config.reward_weight = 0.1
    return config


def value_dice():
    """ValueDICE offline on the same data, with its paper's rates; untuned here."""
    config = dice(offline())
    config.batch_size = 64
    return config


def avril():
    """AVRIL on the same data, with the authors' values (β = λ = 1); untuned here."""
    config = offline()
    config.method = "avril"
    config.batch_size = 64
    config.temperature = 1.0
    config.reward_weight = 1.0
    return config


def edm():
    """EDM on the same data, with its paper's values for the chains; untuned here."""
    config = offline()
    config.method = "edm"
    config.batch_size = 64
    config.critic_lr = 1e-3
    return config


def lstd_mu():
    """LSTD-μ and LSPI on the same data: one round on 512 rows, drawn from 500, in each update.

    Features and their width were tried on seeds 0 to 2 (docs/methods/lstd_mu.md)."""
    config = offline()
    config.method = "lstd_mu"
    config.batch_size = 512
    config.features = 32
    config.bandwidth = 3.0
    config.updates = 100
    config.log_every = 10
    config.eval_every = 50
    config.checkpoint_every = 100
    return config


def dsfn():
    """DSFN on the same data; rates, rounds and sizes are ours and untuned."""
    config = offline()
    config.method = "dsfn"
    config.batch_size = 64
    config.target_network = True
    config.target_rate = 0.02
    config.critic_lr = 1e-3
    config.actor_lr = 1e-3
    config.features = 32
    config.round_updates = 3000
    return config


def subsampled():
    """The paper's setting: several demonstrations, every 20th step."""
    config = offline()
    config.demos.trajectories = 10
    config.demos.subsample = 20
    return config


def sparse():
    """One demonstration, every 20th step: 25 transitions. Too few to standardise observations by."""
    config = offline()
    config.demos.subsample = 20
    config.normalize_obs = False
    config.target_network = True
    config.temperature = 0.001
    config.critic_lr = 1e-3
    config.updates = 20_000
    return config


def acting():
    """One demonstration, every 20th step; the dynamics come from 20,000 steps of interaction.

    What layer norm is worth here: docs/research/05-online-from-25-rows.md
    """
    config = offline()
    config.feed = "replay"
    config.target_network = True
    config.demos.subsample = 20
    config.critic_lr = 1e-3
    config.temperature = 0.01
    config.layer_norm = True
    config.updates = 20_000
    config.eval_every = 2000
    return config


def online():
    """IQ-Learn on the data and steps of `acting`."""
    return stable_q(acting())


def with_data():
    """IQ-Learn offline on every 20th step and on what `--data` names: LS-IQ's bounds, both kinds of rows.

    `python -m experiments.studies.other_data` measures it with random play.
    """
    config = offline()
    config.demos.subsample = 20
    config.value_term, config.regularize, config.terminal = "mixture", "both", "bounded"
    config.target_network = config.clip_targets = config.layer_norm = True
    config.temperature, config.critic_lr, config.lr_decay = 0.1, 1e-3, 1.0
    config.batch_size, config.weight_decay, config.updates = 256, 1.0, 3000
    config.eval_every = 1000
    return config


def state_only():
    """IQ-Learn from one whole demonstration without its actions, and the same steps."""
    config = online()
    config.state_only = True
    config.demos.subsample = 1
    return config


def imitator(method):
    """SQIL, AdRIL, DAC or deep maximum entropy on the data and steps of `acting`: untuned starting values."""
    return imitation(acting(), method, round_updates=1000)


def expert():
    """Soft Q-learning on the true reward."""
    config = soft_q_expert(base_config())
    config.env.id = "CartPole-v1"
    config.seeds = 4
    config.first_seed = 0
    config.updates = 50_000
    return config


def adversarial(method):
    """GAIL, AIRL or ASAF-1 on the data of `acting`, 300,000 steps: untuned starting values."""
    config = rollouts(on_policy(offline(), method))
    config.demos.subsample = 20
    return config


def ppo_expert():
    """PPO on the true reward."""
    return rollouts(on_policy(expert(), "ppo"))


def pqn_expert():
    """Soft PQN on the true reward: our starting values."""
    config = rollouts(expert())
    config.method, config.feed = "pqn", "rollout"
    config.target_network = False
    config.layer_norm = True
    config.gae_lambda = 0.65
    return config


def rollouts(config):
    """Eight environments, 1024 steps in each update."""
    config.online.num_envs = 8
    config.online.rollout_steps = 128
    config.updates = 300
    config.log_every = 10
    config.eval_every = 30
    config.checkpoint_every = 300
    return config


CONFIGS = {
    "offline": offline,
    "subsampled": subsampled,
    "sparse": sparse,
    "online": online,
    "with_data": with_data,
    "state_only": state_only,
    "sqil": partial(imitator, "sqil"),
    "adril": partial(imitator, "adril"),
    "dac": partial(imitator, "dac"),
    "pwil": partial(imitator, "pwil"),
    "max_entropy_deep": partial(imitator, "max_entropy_deep"),
    "gail": partial(adversarial, "gail"),
    "airl": partial(adversarial, "airl"),
    "asaf": partial(adversarial, "asaf"),
    "ppo_expert": ppo_expert,
    "pqn_expert": pqn_expert,
    "bc": bc,
    "regularized_bc": regularized_bc,
    "value_dice": value_dice,
    "avril": avril,
    "edm": edm,
    "lstd_mu": lstd_mu,
    "dsfn": dsfn,
    "expert": expert,
}
