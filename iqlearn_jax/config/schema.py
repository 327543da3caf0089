"""The one table of a run's configuration: a row for each key, from which checks, help and reference follow.

A traced key becomes a leaf of the compiled program, so that a grid over it is one more array axis; all others
are static. Keys marked `of_method` matter to the methods that name them (`iqlearn_jax.methods.METHODS`), all
others to training as a whole.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

TINY = 1e-12  # smallest weight or temperature that float32 arithmetic can still divide by
BELOW_ONE = math.nextafter(1.0, 0.0)  # ranges are inclusive: an open end is the nearest number inside

FEEDS = ("demos", "replay", "rollout")
ONLINE = ("replay", "rollout")


class Key(NamedTuple):
    """A row of the table.

    Attributes:
      default: value, whose type is the key's type; a dictionary is kept as its JSON text.
      meaning: one line, with units.
      low, high: inclusive range of a number, None where it has none.
      choices: all values that it may have, () where they are not listed here.
      traced: whether it is a leaf of the compiled program.
      of_method: whether only the methods that name it read it.
      feeds: the feeds with which it is read; () for all.
      words: numbers that may be written as words.
      needs: another key and the value without which this one is not read.
    """

    default: Any
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    traced: bool = False
    of_method: bool = False
    feeds: tuple[str, ...] = ()
    words: Mapping[str, int] = MappingProxyType({})
    needs: tuple[str, Any] | None = None


def _static(default: Any, meaning: str, low: float | None = None, **more: Any) -> Key:
    return Key(default, meaning, low, of_method=True, **more)


def _traced(
    default: float, meaning: str, low: float | None = 0.0, high: float | None = None, **more: Any
) -> Key:
    return Key(default, meaning, low, high, traced=True, of_method=True, **more)


WITH_TARGET = ("target_network", True)
WITH_LEARNED_TEMPERATURE = ("learn_temperature", True)
BEFORE = {"policy_class": "sac"}  # what folders mean that were made before there was such a key

KEYS: dict[str, Key] = {
    # the run
    "method": Key("iq", "what learns; `iqlearn list methods`"),
    "feed": Key("demos", "demos: offline; replay: online; rollout: online, on-policy", choices=FEEDS),
    "imports": Key((), "modules to import first: they register environments and methods"),
    "seeds": Key(4, "runs of each point of the grid; all runs are one array axis", 1),
    "first_seed": Key(5000, "seeds count up from here; reports use 5000 and above, tuning below 1000", 0),
    "part": Key((0, 1), "(k, n): the k-th of n parts of the runs, for sweeps too large for one program"),
    "updates": Key(10_000, "gradient updates of each run", 1),
    "batch_size": Key(32, "rows of each kind in an update: expert, and policy when online", 1),
    # the task
    "env.id": Key("CartPole-v1", "name of the environment; `iqlearn list envs`"),
    "env.backend": Key("auto", "auto: on the device if it can be, else gymnasium; or one by name"),
    "env.kwargs": Key("{}", "keyword arguments of the environment, a dictionary"),
    "env.wrappers": Key((), "gymnasium wrappers, innermost first, each 'module:Name'"),
    "reward_path": Key("", "a recovered reward (npz) to learn from instead of the environment's", of_method=True),
    "init_from": Key("", "folder of a run whose networks these runs start from"),
    "demos.path": Key("", "demonstration file, or bundled:NAME", of_method=True),
    "demos.trajectories": Key(1, "episodes that each run sees, drawn by its seed; all (or 0): every one", 0, of_method=True, words={"all": 0}),
    "demos.subsample": Key(1, "keeps one step in so many of each episode", 1, of_method=True),
    "data.path": Key("", "transitions of anyone beside the demonstrations, a file", of_method=True, feeds=("demos",)),
    # observations
    "normalize_obs": Key(True, "standardise vector observations"),
    "normalize_by": Key("both", "online: demonstrations and random play, half each; or demos alone", choices=("both", "demos"), feeds=ONLINE),
    "whiten": Key(False, "also rotate standardised observations until no two entries are correlated"),
    # what IQ-Learn maximises
    "divergence": _static("chi2", "statistical distance, by its concave φ; `iqlearn list divergences`"),
    "regularize": _static("expert", "φ over expert rows (eq. 12), or χ² over both kinds (authors, online)", choices=("expert", "both")),
    "value_term": _static("expert", "estimator of (1−γ)E[V(s0)]: v0, v0_all (authors), expert, mixture, policy (online)", choices=("v0", "v0_all", "expert", "mixture", "policy")),
    "terminal": _static("zero", "value after an end: zero (authors), absorbing (learned), bounded (LS-IQ)", choices=("zero", "absorbing", "bounded")),
    "absorbing_entropy": _static(False, "adds τ log|A| to the absorbing state's value", needs=("terminal", "absorbing")),
    "clip_targets": _static(False, "next values clipped to the range that the divergence allows"),
    "state_only": _static(False, "demonstrations without actions"),
    "infer_actions": _static(False, "state_only: actions from an inverse model instead of the policy"),
    "split_critic": _static(False, "online: Q is the sum of its reward, whose slope gradient_penalty bounds, and of what follows"),
    "next_actions": _static(False, "learn from what the expert did next as well; value_term expert only"),
    "alpha": _traced(0.5, "weight of the divergence: χ²'s α, TV's R, W1's K; |r| ≤ 4α in max_entropy_deep", TINY),
    "phi_slope": _traced(100.0, "slope of φ at which it continues as a straight line; the paper's φ: 1e8", 1.0, 1e12),
    "gradient_penalty": _traced(0.0, "weight; 10 for W1 in the paper and for dac's discriminator in its own"),
    # the agent
    "temperature": _traced(0.01, "entropy weight τ, in reward units per nat; the start when it is learned", TINY),
    "gamma": _traced(0.99, "discount factor", 0.0, BELOW_ONE),
    "policy_class": _static("auto", "continuous actions: gaussian_q (one quadratic critic), sac (actor and critics); auto: gaussian_q offline, sac online", choices=("auto", "gaussian_q", "sac")),
    "policy_std": _traced(0.2, "gaussian_q: σ of the policy, in half-widths of the box", 1e-3, 1.0),
    "learn_std": _static(False, "gaussian_q: learn σ(s) between a fifth and five times policy_std"),
    "hidden": _static((64, 64), "widths of the hidden layers"),
    "layer_norm": _static(False, "layer normalisation in the critics"),
    "critics": _static(1, "critics of an ensemble, whose smallest value counts", 1),
    "target_network": _static(False, "value successors by a slowly moved copy of the critic"),
    "target_period": _static(0, "0: the copy moves by target_rate at each update; k: replaced every k", 0, needs=WITH_TARGET),
    "target_rate": _traced(0.005, "share of the critic that enters the copy at each update", 0.0, 1.0, needs=WITH_TARGET),
    "learn_temperature": _static(False, "adapt τ until the policy's entropy is target_entropy"),
    "excess_entropy": _static(False, "learn_temperature: values count only the entropy above target_entropy"),
    "target_entropy": _traced(0.0, "nats", None, needs=WITH_LEARNED_TEMPERATURE),
    "critic_lr": _traced(1e-4, "learning rate of critics, and of networks that score discrete actions"),
    "actor_lr": _traced(3e-4, "learning rate of the actor"),
    "anchor": _traced(0.0, "weight of the actor's squared distance to the expert's actions, times mean|Q|"),
    "temperature_lr": _traced(3e-4, "learning rate of log τ", needs=WITH_LEARNED_TEMPERATURE),
    "discriminator_lr": _traced(1e-3, "learning rate of discriminators, learned rewards and inverse models"),
    "weight_decay": _traced(0.0, "decoupled decay of the weights (AdamW)"),
    "lr_decay": Key(0.0, "share of the updates, the last ones, over which learning rates fall to 0", 0.0, 1.0, traced=True),
    "average_rate": Key(1.0, "share of the new actor in the mean that plays deterministically; 1: no mean", 0.0, 1.0, traced=True),
    # other methods
    "reward_shape": _static("log_odds", "reward of a discriminator: log_odds (AIRL, DAC), positive (GAIL), negative", choices=("log_odds", "positive", "negative")),
    "reward_input": _static("state_action", "what a learned reward sees", choices=("state_action", "state")),
    "window": _static(1, "steps judged together, a divisor of online.rollout_steps; 0: whole episodes", 0),
    "epochs": _static(4, "passes over each rollout", 1, feeds=("rollout",)),
    "minibatches": _static(4, "gradient steps in a pass", 1, feeds=("rollout",)),
    "round_updates": _static(1000, "updates in a round", 1),
    "inner_steps": _static(10, "inner iterations (of policies, or backups) in an update", 1),
    "tolerance": _static(1e-3, "distance of feature expectations at which it stops", 0),
    "features": _static(64, "number of features of an observation", 2),
    "margin": _traced(1.0, "lead that the demonstrated action's Q is to have, in reward units", TINY),
    "reward_weight": _traced(1.0, "λ of what Q(s,a) − γQ(s') enters"),
    "replay_share": _traced(0.1, "share of the replay in both distributions (the paper: 0.1)", 0.0, BELOW_ONE),
    "orthogonal": _traced(1e-4, "weight of the actor's orthogonal regularisation (the paper: 1e-4)"),
    "chain_count": _static(10_000, "Langevin chains that are kept", 1),
    "chain_steps": _static(20, "moves of each chain that takes part in an update", 1),
    "chain_step_size": _traced(0.01, "weight of the energy's gradient in a move"),
    "chain_noise": _traced(0.01, "deviation of a move's noise; √(2·chain_step_size) samples exp(−E)"),
    "chain_restart": _traced(0.05, "probability that a chain starts anew before it moves", 0.0, 1.0),
    "gap_square": _traced(1.0, "weight of the squared gap between mean energies (authors' code); the paper: 0"),
    "ridge": _traced(1e-3, "added to the diagonal of linear systems"),
    "bandwidth": _traced(1.0, "length of random features, in standard deviations of observations", TINY),
    "transition_weight": _traced(1.0, "weight of the error in predicted successors, beside the action's"),
    "clip_range": _traced(0.2, "by how much π_new/π_old may leave 1", TINY),
    "gae_lambda": _traced(0.95, "λ of generalised advantage estimation; 0: one step, 1: whole returns", 0.0, 1.0),
    # acting
    "exploration": Key(0.0, "share of uniformly random actions in training, beside what the policy draws", 0.0, 1.0, traced=True, feeds=ONLINE),
    "online.num_envs": Key(1, "environments of each run", 1, feeds=ONLINE),
    "online.updates_per_step": Key(1, "updates for each step of all environments", 1, feeds=("replay",)),
    "online.learning_starts": Key(1000, "steps of random play before the first update", 0, feeds=("replay",)),
    "online.capacity": Key(100_000, "transitions that the replay holds", 1, feeds=("replay",)),
    "online.rollout_steps": Key(128, "steps of each environment in an update", 1, feeds=("rollout",)),
    # what is written
    "log_every": Key(500, "updates in a compiled chunk, after each of which metrics are logged", 1),
    "eval_every": Key(2000, "updates between evaluations, a multiple of log_every; 0: at the end", 0),
    "eval_episodes": Key(10, "episodes of an evaluation; 0: nothing is played, also at the end", 0),
    "eval_sampled": Key(False, "evaluations draw actions as the policy does, not its likeliest ones"),
    "checkpoint_every": Key(10_000, "updates between checkpoints, a multiple of log_every; 0: at the end", 0),
    "checkpoint_minutes": Key(10.0, "and whenever the last one is so old; 0: never; changes no result", 0, 1e6),
    "snapshot_every": Key(0, "updates between states that are kept for good; 0: none", 0),
    "tensorboard": Key(False, "write TensorBoard files as well"),
}  # fmt: skip
