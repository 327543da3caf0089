"""PWIL: primal Wasserstein imitation learning (Dadashi, Hussenot, Geist & Pietquin 2021; arXiv 2006.04678).

Soft RL on a reward that is not learned. As an episode is lived, each of its T steps moves its share of weight
to the demonstrated pairs (s, a) nearest to it that have weight left (Algorithm 1): a greedy coupling, whose
mean cost c bounds the Wasserstein-1 distance of the two occupancies from above in episodes of T steps. The
reward of a step is

    r = 5 exp(−5 c / √D),   c = T Σ_j (what j takes) ‖(s, a) − (s_j, a_j)‖,

D = dim S + dim A, and 0 once nothing is left: T is the mean length of the demonstrated episodes. It depends
on what the episode did before, so that it is given where the environment steps, and kept in the replay.

Departures from the paper and its authors' code, each with the switch that restores their choice:
  the agent is the soft one of all methods here, theirs is D4PG: no switch;
  demonstrated rows, whose reward is the largest, 5, are half of each batch, where the authors put 50,000
    copies of them into the replay before training: no switch;
  T is the demonstrations' mean length, in the paper the task's horizon: no switch (equal where experts last);
  thinned-out demonstrations keep a last row that is terminal: no switch;
  the actor may be held near the demonstrations: `anchor=0`, the default.
"""

from typing import Any

import jax
import jax.numpy as jnp

from iqlearn_jax.agents.common import STANDARD_PARTS, AgentState, Learner, Parts, anchored
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.config.values import require
from iqlearn_jax.data.sampling import DemoIndices, take_rows
from iqlearn_jax.methods.forward_rl.soft_rl import IMITATION_KEYS, soft_rl_step
from iqlearn_jax.methods.method import Labels, Method, MethodEntry
from iqlearn_jax.ops.baselines.coupling import transport
from iqlearn_jax.types import EnvSpec, Transition, join

KEYS = (IMITATION_KEYS - {"terminal", "absorbing_entropy"}) | {"reward_input"}
LARGEST, SHARPNESS = 5.0, 5.0  # the paper's α and β
CONSTANT, ROUNDING = 1e-6, 2.0**-20  # what varies less, or less than float32 rounds, is not rescaled


def make_pwil(config, spec: EnvSpec, parts: Parts = STANDARD_PARTS) -> Method:
    """Soft RL on the coupling's rewards; a terminal is worth 0.

    `config.reward_input="state"` couples states alone; demonstrated rows are still learned from with theirs.

    Raises:
      InputError: images, between which a distance means nothing.
    """
    require(
        len(spec.obs_shape) == 1,
        f"method 'pwil' measures distances between observations, but those of {spec.id} have shape "
        f"{list(spec.obs_shape)}; it needs vectors: choose another --config.method, e.g. sqil",
    )
    agent = make_agent(config, spec, parts, anchored=anchored(config))

    def update(hparams, state, batch, key):
        rows, expert = join(batch)
        reward = jnp.where(expert > 0, LARGEST, rows.reward)
        learner = Learner(config, agent, hparams, state)
        state, metrics = soft_rl_step(learner, rows, reward, key, expert=batch.expert)
        return state, metrics | {"pwil/reward_policy": jnp.mean(batch.policy.reward)}

    def init(key, hparams):
        return CoupledState(**vars(agent.init(key, hparams)))

    return Method(init=init, update=update, act=agent.act, reward=None, labels=make_labels(config, spec))


class CoupledState(AgentState):
    """An agent's, and what the running episodes have done.

    Attributes:
      memory: {"full": [N] weight that each demonstrated row can take in an episode, whose steps weigh 1;
        "left": [E, N] what is left of it; "scale": [D] by which coordinates are divided}; None before the
        first step.
    """

    memory: Any = None


def make_labels(config, spec: EnvSpec) -> Labels:
    """The rewards of the coupling."""
    pairs = config.reward_input == "state_action"

    def begin(rows: Transition, chosen: DemoIndices, state: CoupledState, num_envs: int) -> CoupledState:
        valid = jnp.arange(len(chosen.indices)) < chosen.count
        points = atoms(spec, pairs, take_rows(rows, chosen.indices))
        mean = jnp.mean(points, axis=0, where=valid[:, None])
        spread = jnp.std(points, axis=0, where=valid[:, None])
        scale = jnp.where(spread > jnp.maximum(CONSTANT, ROUNDING * jnp.abs(mean)), spread, 1.0)
        full = jnp.where(valid, mean_length(rows, chosen) / chosen.count, 0.0)
        memory = {"full": full, "left": jnp.tile(full, (num_envs, 1)), "scale": scale}
        return state.replace(memory=memory)

    def label(rows: Transition, chosen: DemoIndices, state: CoupledState, lived: Transition):
        memory = state.memory
        points = atoms(spec, pairs, take_rows(rows, chosen.indices)) / memory["scale"]
        here = atoms(spec, pairs, lived) / memory["scale"]
        distance = jnp.linalg.norm(here[:, None] - points, axis=-1)
        left, cost = jax.vmap(transport)(memory["left"], distance)
        ended = (lived.terminated | lived.truncated)[:, None]
        left = jnp.where(ended, memory["full"], left)
        reward = LARGEST * jnp.exp(-SHARPNESS / jnp.sqrt(points.shape[1]) * cost)
        return state.replace(memory=memory | {"left": left}), reward

    return Labels(begin, label)


def mean_length(rows: Transition, chosen: DemoIndices) -> jax.Array:
    """Mean number of steps of the chosen episodes. []"""
    ends = rows.terminated | rows.truncated
    later = jnp.arange(len(ends)) >= chosen.initial[:, None]
    return jnp.mean(jnp.argmax(ends & later, axis=1) + 1.0 - chosen.initial)


def atoms(spec: EnvSpec, pairs: bool, rows: Transition) -> jax.Array:
    """What is compared: (s, a), or s alone. [N, D]"""
    obs = rows.obs.astype(jnp.float32)
    if not pairs:
        return obs
    action = jax.nn.one_hot(rows.action, spec.num_actions) if spec.discrete else rows.action
    return jnp.concatenate([obs, action], axis=-1)


ENTRY = MethodEntry(
    make_pwil,
    KEYS,
    "soft RL on how well an episode can be coupled with the demonstrations (Dadashi et al. 2021)",
    feeds=frozenset({"replay"}),
    refuses=frozenset({"state_only"}),
    parts=frozenset({"critic", "actor", "optimizer"}),
)
