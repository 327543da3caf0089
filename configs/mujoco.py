"""MuJoCo, as TASK_KIND: gymnasium's v5 on the host (needs the extra mujoco), or brax's task on the device.

Kinds: `online` (the stable preset), `paper` (online with the authors' settings), `offline`, `bc`; `few`,
online from few rows in 65,000 steps, `few_dac`, DAC with the same anchor, and without one `few_pwil` and
`few_sqil`; online with the networks of `online` and untuned `dac`, `sqil`, `value_dice`; `expert`, SAC on the
true reward. On the device, with five seeds: `mjx`, `mjx_dac`, `mjx_value_dice`, `mjx_gail`, `mjx_expert`;
brax's observations of Ant and Humanoid leave out the contact forces. No demonstrations are bundled: name a
file with --demos.

Departures from the papers, for all that imitate online except `paper`: learning rates fall linearly to 0 over
the run (`lr_decay=0` keeps them constant), and the mean of the actors plays (`average_rate=1` lets the last
one play, as `mjx_gail` does).
"""

from functools import partial
from typing import NamedTuple

from iqlearn_jax.config import base_config
from iqlearn_jax.config.presets import anchored, dice, imitation, on_policy, paper_sac, smooth_sac, stable_sac


class Task(NamedTuple):
    """A task's name in gymnasium, what the authors chose for it, and the temperature of `few`."""

    env_id: str
    paper_value_term: str = "v0_all"
    paper_temperature: float = 0.01
    few_temperature: float = 0.1


TASKS = {
    "ant": Task("Ant-v5", "mixture", 0.001),
    "halfcheetah": Task("HalfCheetah-v5", "mixture"),
    "hopper": Task("Hopper-v5"),
    # at 0.1 the entropy of 17 actions, -20 nats, costs as much a step as the largest reward
    "humanoid": Task("Humanoid-v5", paper_temperature=1.0, few_temperature=0.01),
    "walker2d": Task("Walker2d-v5"),
}


def sizes(task, backend):
    """What all share."""
    config = base_config()
    config.env.id = TASKS[task].env_id if backend == "gymnasium" else task
    config.env.backend = backend
    config.seeds = 2 if backend == "gymnasium" else 5
    config.batch_size = 256
    config.hidden = (256, 256)
    config.critic_lr = 3e-4
    config.log_every = 1000
    config.eval_every = 10_000
    return config


def acting(task, backend):
    """What all share that act in the environment."""
    config = sizes(task, backend)
    config.feed = "replay"
    config.critics = 2
    config.target_network = True
    config.updates = 300_000
    # docs/research/04-why-a-perfect-policy-is-lost.md says what both are worth
    config.lr_decay = 1.0  # constant rates lose Hopper, falling ones lose less of it
    config.average_rate = 1e-4  # steadier where rates are low, not before
    config.snapshot_every = 75_000
    config.online.update({"learning_starts": 5000, "capacity": 300_000})
    return config


def online(task, backend):
    """IQ-Learn, the stable preset."""
    return stable_sac(acting(task, backend))


def few(config):
    """What all have that learn from few rows: a fifth of the steps, and a mean over a fifth of the time."""
    config.layer_norm = True
    config.batch_size = 128  # of each kind; 50 rows are all there is of one
    config.updates = 60_000
    config.eval_every = 5_000
    config.average_rate = 5e-4
    config.snapshot_every = 0
    return config


def few_iq(task):
    """IQ-Learn with a smooth reward and an anchor."""
    config = few(smooth_sac(acting(task, "gymnasium")))
    config.temperature = TASKS[task].few_temperature
    return config


def few_dac(task):
    """DAC with the same anchor; without one: `dac`."""
    return few(anchored(imitator(task, "gymnasium", "dac")))


def few_plain(task, method):
    """PWIL or SQIL; no anchor, with which PWIL is worse on Hopper (docs/research/12-a-smooth-reward.md)."""
    return few(imitator(task, "gymnasium", method))


def paper(task):
    """IQ-Learn, the authors' settings."""
    config = paper_sac(online(task, "gymnasium"), TASKS[task].paper_value_term)
    config.temperature = TASKS[task].paper_temperature
    return config


def offline(task, method):
    """IQ-Learn or behavioural cloning from demonstrations alone: a Gaussian around a squashed mean."""
    config = sizes(task, "gymnasium")
    config.method = method
    config.updates = 10_000
    config.weight_decay = 1.0
    return config


def imitator(task, backend, method):
    """DAC or SQIL with a replay."""
    return imitation(acting(task, backend), method)


def value_dice(task, backend):
    """ValueDICE with a replay."""
    return dice(acting(task, backend))


def gail(task, backend):
    """Rollouts of 2048 steps, 307,200 in all."""
    config = on_policy(acting(task, backend), "gail")
    config.online.update({"num_envs": 8, "rollout_steps": 256})
    config.updates, config.log_every, config.eval_every = 150, 5, 10
    config.checkpoint_every, config.snapshot_every = 50, 0
    config.minibatches = 32
    return config


def expert(task, backend):
    """SAC on the true reward, a million steps."""
    config = acting(task, backend)
    config.method = "rl"
    config.seeds, config.first_seed = 1, 0
    config.updates = 1_000_000
    config.lr_decay = 0.0
    config.average_rate = 1.0
    config.snapshot_every = 0
    config.online.capacity = 1_000_000
    config.temperature = 0.2
    return config


KINDS = {
    "online": partial(online, backend="gymnasium"),
    "paper": paper,
    "offline": partial(offline, method="iq"),
    "bc": partial(offline, method="bc"),
    "few": few_iq,
    "few_dac": few_dac,
    "few_pwil": partial(few_plain, method="pwil"),
    "few_sqil": partial(few_plain, method="sqil"),
    "dac": partial(imitator, backend="gymnasium", method="dac"),
    "sqil": partial(imitator, backend="gymnasium", method="sqil"),
    "value_dice": partial(value_dice, backend="gymnasium"),
    "expert": partial(expert, backend="gymnasium"),
    "mjx": partial(online, backend="mjx"),
    "mjx_dac": partial(imitator, backend="mjx", method="dac"),
    "mjx_value_dice": partial(value_dice, backend="mjx"),
    "mjx_gail": partial(gail, backend="mjx"),
    "mjx_expert": partial(expert, backend="mjx"),
}
CONFIGS = {f"{task}_{kind}": partial(make, task) for task in TASKS for kind, make in KINDS.items()}
