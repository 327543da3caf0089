"""The one schema of a run's configuration: every key, its type and its default.

Keys in `TRACED` become traced leaves (a grid over them is one compiled program); all others are static.
`configs/*.py` hold the defaults of each task family and change only what differs from here.
"""

import math

from ml_collections import ConfigDict

TINY = 1e-12  # smallest weight or temperature that float32 arithmetic can still divide by


TRACED = (
    "temperature", "gamma", "alpha", "critic_lr", "actor_lr", "temperature_lr",
    "target_rate", "target_entropy", "gradient_penalty", "weight_decay", "discriminator_lr", "margin",
    "reward_weight", "replay_share", "orthogonal", "chain_step_size", "chain_noise", "chain_restart",
    "gap_square", "ridge", "bandwidth", "transition_weight", "phi_slope",
    "clip_range", "gae_lambda", "lr_decay", "average_rate",
)  # fmt: skip
RATES = tuple(name for name in TRACED if name.endswith("_lr"))  # what `lr_decay` scales


def base_config() -> ConfigDict:
    """Typed, locked configuration; assigning an unknown key or another type is an error."""
    config = ConfigDict()
    config.method = "iq"  # a name in iqlearn_jax.methods.METHODS
    config.feed = "demos"  # "demos" (offline), "replay" (online) or "rollout" (online, on-policy)
    config.seeds = 4  # runs of each point of the grid; all runs are one array axis
    config.first_seed = 5000  # reports use 5000 and above, tuning stays below 1000
    config.grid = ConfigDict(dict.fromkeys(TRACED, ()))  # values to be tried of what is traced
    config.part = (0, 1)  # (k, n): only the k-th of n parts of the runs, for sweeps too large for one program
    config.updates = 10_000
    config.batch_size = 32  # of each kind: expert, and policy when online

    config.env = ConfigDict({"id": "CartPole-v1", "backend": "gymnax"})
    config.reward_path = ""  # rl, ppo: a recovered reward (npz) to learn from instead of the environment's
    config.demos = ConfigDict({"path": "", "trajectories": 1, "subsample": 1})

    config.divergence = "chi2"
    config.regularize = "expert"  # φ over "expert" samples (eq. 12), or χ² over "both" (authors, online)
    config.value_term = "expert"  # "v0", "v0_all" (authors), "expert", "mixture" or "policy" (online)
    config.terminal = "zero"  # "zero" (authors), "absorbing" or "bounded"
    config.absorbing_entropy = False  # adds τ log|A| to the absorbing state's value
    config.clip_targets = False  # next values clipped to the range that the divergence allows
    config.state_only = False
    config.infer_actions = False  # state_only: the expert's actions by an inverse model, not the policy's
    config.reward_shape = "log_odds"  # dac, gail: "log_odds" (AIRL, DAC), "positive" (GAIL) or "negative"
    config.window = (
        1  # asaf: steps in a row that are judged together, a divisor of rollout_steps; 0: episodes
    )
    config.epochs = 4  # ppo, gail, airl, asaf: passes of the policy and its values over each rollout
    config.minibatches = 4  # ppo, gail, airl, asaf: steps in a pass; the discriminator takes one pass
    config.round_updates = 1000  # updates in a round; adril: a multiple of online.updates_per_step; dsfn
    config.reward_input = "state_action"  # what a learned reward sees: "state_action" or "state"
    config.inner_steps = 10  # tabular methods, lstd_mu: inner iterations (of policies, or backups) per update
    config.tolerance = 1e-3  # max_margin, lstd_mu, dsfn: distance of feature expectations at which it stops
    config.features = 64  # lstd_mu, dsfn: number of features of an observation
    config.next_actions = False  # iq with value_term "expert", bc: learn from what the expert did next, too
    config.normalize_obs = True  # offline by the demonstrations, online as `normalize_by` says
    config.normalize_by = "both"  # online: "both" demonstrations and random play, half each; or "demos" alone
    config.whiten = False  # turns standardised observations, too, so that no two entries are correlated

    config.critics = 1
    config.target_network = False
    config.target_period = 0  # 0: moved by `target_rate` at each update; k: copied every k updates
    config.learn_temperature = False
    config.excess_entropy = False  # with learn_temperature: values count what exceeds target_entropy only
    config.hidden = (64, 64)
    config.layer_norm = False

    config.online = ConfigDict(
        {"num_envs": 1, "updates_per_step": 1, "learning_starts": 1000, "capacity": 100_000,
         "rollout_steps": 128}  # of each environment in an update; feed "rollout" reads only it and num_envs
    )  # fmt: skip
    config.log_every = 500  # updates in one compiled chunk; one return to the host each
    config.eval_every = 2000  # updates; a multiple of log_every
    config.eval_episodes = 10
    config.eval_sampled = False  # evaluations draw actions as the policy does, not its likeliest ones
    config.checkpoint_every = 10_000  # updates; a multiple of log_every; 0: only at the end
    config.checkpoint_minutes = 10.0  # and whenever the last one is so old; 0: off; changes no result
    config.snapshot_every = 0  # updates; a multiple of log_every: states kept for good; 0: none
    config.tensorboard = False

    config.temperature = 0.01  # τ, reward units per nat; the start when it is learned
    config.gamma = 0.99
    config.alpha = 0.5  # weight of the divergence (χ²'s α, TV's R, W1's K); max_entropy_deep: |r| ≤ 4α
    config.phi_slope = 100.0  # slope of φ at which it goes on as a straight line; the paper's φ: 1e8
    config.critic_lr = 1e-4
    config.actor_lr = 3e-4
    config.temperature_lr = 3e-4
    config.lr_decay = 0.0  # share of `updates`, the last ones, over which all learning rates fall to 0
    config.average_rate = 1.0  # share of the new actor in the mean that plays deterministically; 1: no mean
    config.discriminator_lr = 1e-3  # dac, gail, airl, infer_actions; max_entropy_deep: of the reward
    config.target_rate = 0.005
    config.target_entropy = 0.0  # nats
    config.gradient_penalty = 0.0  # weight; 10 for W1 in the paper and for dac's discriminator in its own
    config.weight_decay = 0.0
    config.margin = 1.0  # regularized_bc: by how much the demonstrated action's Q is to lead, reward units
    config.reward_weight = 1.0  # λ of what Q(s,a) − γQ(s') enters: regularized_bc's |r|, avril's log-density
    config.replay_share = 0.1  # value_dice online: share of the replay in both distributions (the paper: 0.1)
    config.orthogonal = 1e-4  # value_dice: weight of the actor's orthogonal regularisation (the paper: 1e-4)
    config.chain_count = 10_000  # edm: Langevin chains in the state, standardised observations
    config.chain_steps = 20  # edm: moves of each chain that takes part in an update
    config.chain_step_size = 0.01  # edm: weight of the energy's gradient in a move
    config.chain_noise = 0.01  # edm: deviation of a move's noise; √(2·chain_step_size) samples exp(−E)
    config.chain_restart = 0.05  # edm: probability that a chain starts anew before it moves
    config.gap_square = (
        1.0  # edm: weight of the squared gap between mean energies (authors' code); the paper: 0
    )
    config.ridge = 1e-3  # lstd_mu: added to the diagonal of its linear systems
    config.bandwidth = 1.0  # lstd_mu: length of its random features, in standard deviations of observations
    config.transition_weight = 1.0  # dsfn: of the error in predicted successors, beside the action's
    config.clip_range = 0.2  # ppo: by how much π_new/π_old may leave 1
    config.gae_lambda = 0.95  # ppo: λ of generalised advantage estimation; 0: one step, 1: whole returns
    return config.lock()


# Inclusive ranges of numbers; an open end is written as the nearest float inside.
RANGES = {
    "gamma": (0.0, math.nextafter(1.0, 0.0)),
    "temperature": (TINY, math.inf),
    "alpha": (TINY, math.inf),
    "phi_slope": (1.0, 1e12),
    "margin": (TINY, math.inf),
    "target_rate": (0.0, 1.0),
    "inner_steps": (1, math.inf),
    "tolerance": (0, math.inf),
    "replay_share": (0.0, math.nextafter(1.0, 0.0)),
    "chain_restart": (0.0, 1.0),
    "bandwidth": (TINY, math.inf),
    "features": (2, math.inf),
    "clip_range": (TINY, math.inf),
    "gae_lambda": (0.0, 1.0),
    "lr_decay": (0.0, 1.0),
    "average_rate": (0.0, 1.0),
    "epochs": (1, math.inf),
    "window": (0, math.inf),
    "minibatches": (1, math.inf),
    "online.rollout_steps": (1, math.inf),
    "chain_count": (1, math.inf),
    "chain_steps": (1, math.inf),
    "seeds": (1, math.inf),
    "batch_size": (1, math.inf),
    "critics": (1, math.inf),
    "eval_episodes": (1, math.inf),
    "online.num_envs": (1, math.inf),
    "online.updates_per_step": (1, math.inf),
    "online.capacity": (1, math.inf),
    "round_updates": (1, math.inf),
    "log_every": (1, math.inf),
    "updates": (1, math.inf),
    "checkpoint_minutes": (0, 1e6),
} | dict.fromkeys(
    (
        "critic_lr", "actor_lr", "temperature_lr", "gradient_penalty", "weight_decay", "first_seed",
        "target_period", "online.learning_starts", "eval_every", "checkpoint_every", "snapshot_every",
        "discriminator_lr", "reward_weight", "orthogonal", "chain_step_size", "chain_noise",
        "gap_square", "ridge", "transition_weight",
    ),
    (0, math.inf),
)  # fmt: skip
