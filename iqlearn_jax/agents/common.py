"""What the agents share: their interface, state, optimiser step, target and temperature updates."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from iqlearn_jax.config.values import require, values_of
from iqlearn_jax.errors import InputError
from iqlearn_jax.nets import QNetwork
from iqlearn_jax.types import EnvSpec, Hparams, Metrics

ADAM = optax.scale_by_adam()
ENTROPY_ROWS = 16  # of a batch, where the entropy is a metric only: spares a pass over the whole batch

# Config keys by who reads them; methods declare theirs in terms of these.
NETWORK_KEYS = frozenset({"hidden", "layer_norm"})
CRITIC_KEYS = frozenset({"critic_lr", "weight_decay"})
TARGET_KEYS = frozenset({"target_network", "target_period", "target_rate"})
TEMPERATURE_KEYS = frozenset(
    {"temperature", "learn_temperature", "temperature_lr", "target_entropy", "excess_entropy"}
)
AGENT_KEYS = NETWORK_KEYS | CRITIC_KEYS | TARGET_KEYS | TEMPERATURE_KEYS | {"critics", "actor_lr"}


# of a policy over continuous actions that may be a quadratic soft Q-function
POLICY_KEYS = frozenset({"policy_class", "policy_std", "learn_std"})


def policy_class(config) -> str:
    """The policy class of continuous actions that the configuration chooses, "gaussian_q" or "sac"."""
    if config.policy_class != "auto":
        return config.policy_class
    return "gaussian_q" if config.feed == "demos" else "sac"


class Parts(NamedTuple):
    """What a method is built of instead of the library's own; see `methods.make_method`.

    Attributes:
      critic, actor: networks with `init(key, *inputs)` and `apply(params, *inputs)`, or None.
      optimizer: what turns gradients of networks into directions (`descend`); temperatures keep Adam.
    """

    critic: Any = None
    actor: Any = None
    optimizer: optax.GradientTransformation = ADAM


STANDARD_PARTS = Parts()


class AgentState(struct.PyTreeNode):
    """Everything that learning changes; no keys, functions or optimiser objects.

    Attributes:
      critic: {"net": parameters with a leading ensemble axis (none if there is one critic by construction),
        "absorbing": [] reward of the absorbing state}.
      target_critic: the same, slowly moved; equals `critic` when targets are off.
      actor: parameters of the explicit policy, {} for soft Q-learning.
      mean_actor: their running mean, which plays deterministically; None unless `average_rate` asks for it.
      log_temperature: [] the only live temperature, log τ.
      step: [] int32 number of updates.
    """

    critic: Any
    target_critic: Any
    critic_opt: Any
    actor: Any
    mean_actor: Any
    actor_opt: Any
    log_temperature: jax.Array
    temperature_opt: Any
    step: jax.Array

    @property
    def temperature(self) -> jax.Array:
        """τ [], in reward units per nat."""
        return jnp.exp(self.log_temperature)


class Agent(NamedTuple):
    """Soft Q-learning, the quadratic soft Q-function and SAC behind one interface; `critic` is given apart
    from the state, because losses are differentiated in it and targets replace it. E critics, batch B.

    Attributes:
      init: (key, hparams) -> AgentState.
      values: (hparams, state, critic, obs, action, key) -> (Q(s,a) [E, B], V(s) [B]).
      value: (hparams, state, critic, obs, key) -> V(s) [B], of the smallest critic.
      expected_q: (hparams, state, critic, obs, key) -> E_{a~π}Q(s,a) [E, B].
      q: (hparams, critic, obs, action) -> Q(s,a) [E, B].
      preprocess: (hparams, obs) -> network input (images in [0, 1], standardised vectors).
      q_of_input: (hparams, critic, network input, action) -> Q(s,a) [E, B].
      log_prob: (hparams, policy, temperature, obs, action) -> log π(a|s) [B]; `policy` are the
        parameters in the state's field `policy_field`.
      improve: (hparams, state, obs, key, expert=None) -> (state, metrics): policy and temperature step; the
        expert's rows are read where `config.anchor` is above 0.
      act: (hparams, state, obs, key, deterministic) -> actions.
      max_entropy: the largest entropy of a policy, in nats as V counts them: log|A|, the log-volume of the
        box, or that of a Gaussian in units of its own volume (`agents.gaussian_q`).
      optimizer: gives the directions of its networks' steps.
      half_width: [A] half-widths of the box of continuous actions, None where they are discrete.
    """

    init: Callable
    values: Callable
    value: Callable
    expected_q: Callable
    q: Callable
    preprocess: Callable
    q_of_input: Callable
    log_prob: Callable
    policy_field: str
    improve: Callable
    act: Callable
    max_entropy: float
    optimizer: optax.GradientTransformation
    half_width: np.ndarray | None = None


class Learner(NamedTuple):
    """What losses are evaluated with: an agent, the hyperparameters of its run and its present state."""

    config: Any
    agent: Agent
    hparams: Hparams
    state: Any


def check_observations(spec: EnvSpec) -> None:
    """Refuses observations for which there is no network.

    Raises:
      InputError: names the environment and what it is to show.
    """
    if spec.obs_fault is not None:  # as `iqlearn demos validate --env` says
        raise InputError(spec.obs_fault)


def make_preprocess(spec: EnvSpec) -> Callable[[Hparams, jax.Array], jax.Array]:
    """(hparams, obs) -> network input: images to [0, 1], vectors standardised, tabular states as they are."""
    if spec.obs_shape == ():
        return lambda hparams, obs: obs
    if len(spec.obs_shape) == 3:
        scale = 255.0 if spec.obs_dtype == jnp.uint8 else 1.0
        return lambda hparams, obs: obs.astype(jnp.float32) / scale
    return standardised


def make_q_network(config, spec: EnvSpec, outputs: int, **more):
    """The network with that many outputs that fits the observations; `more` as `QNetwork`."""
    standard = {
        "hidden": tuple(config.hidden),
        "image": len(spec.obs_shape) == 3,
        "num_states": spec.mdp.transition.shape[0] if spec.obs_shape == () else None,
        "layer_norm": config.layer_norm,
    }
    return QNetwork(num_actions=outputs, **standard | more)


def standardised(hparams: Hparams, obs: jax.Array) -> jax.Array:
    """Observations [..., D] without their mean, in standard deviations; with `config.whiten` uncorrelated."""
    scaled = (obs - hparams["obs_mean"]) / hparams["obs_std"]
    return scaled @ hparams["obs_turn"] if "obs_turn" in hparams else scaled


def initial_state(critic, actor, hparams: Hparams, optimizer=ADAM) -> AgentState:
    """A fresh state around the networks' parameters; targets are copies."""
    critic = {"net": critic, "absorbing": jnp.zeros(())}
    log_temperature = jnp.log(jnp.asarray(hparams["temperature"], jnp.float32))
    return AgentState(
        critic=critic,
        target_critic=jax.tree.map(jnp.copy, critic),  # its own buffers: the state is donated
        critic_opt=optimizer.init(critic),
        actor=actor,
        mean_actor=None,
        actor_opt=optimizer.init(actor),
        log_temperature=log_temperature,
        temperature_opt=ADAM.init(log_temperature),
        step=jnp.int32(0),
    )


def taken(table: jax.Array, action: jax.Array) -> jax.Array:
    """Entries of the chosen actions: table [..., B, A], action [B] -> [..., B]."""
    chosen = jnp.broadcast_to(action[..., None], (*table.shape[:-1], 1))
    return jnp.take_along_axis(table, chosen, axis=-1)[..., 0]


def box(spec: EnvSpec) -> tuple[np.ndarray, np.ndarray]:
    """Middle and half-widths [A] of the box of continuous actions, float32; networks see it as [-1, 1]."""
    low, high = np.asarray(spec.action_low, np.float32), np.asarray(spec.action_high, np.float32)
    return 0.5 * (high + low), 0.5 * (high - low)


def descend(params, opt_state, grads, rate, weight_decay=0.0, optimizer=ADAM):
    """One step p ← p − rate·(u + weight_decay·p), u being the direction that the optimiser makes of `grads`.

    By default Adam, or AdamW where weights decay (Loshchilov & Hutter 2019).

    Args:
      rate, weight_decay: [] may be traced.
      optimizer: gives a direction of ascent alone, without learning rate and sign: `optax.scale_by_adam()` or
        a chain that ends in such a transformation, not `optax.adam(rate)`.
    Returns:
      (params, opt_state).
    """
    updates, opt_state = optimizer.update(grads, opt_state, params)
    params = jax.tree.map(lambda p, u: p - rate * (u + weight_decay * p), params, updates)
    return params, opt_state


def critic_step(
    config, hparams: Hparams, state: AgentState, loss_fn: Callable, optimizer=ADAM
) -> tuple[AgentState, Metrics]:
    """Gradient step of the critic on `loss_fn(critic) -> (loss, metrics)`, then the target's move."""
    grads, metrics = jax.grad(loss_fn, has_aux=True)(state.critic)
    critic, opt = descend(
        state.critic, state.critic_opt, grads, hparams["critic_lr"], hparams["weight_decay"], optimizer
    )
    step = state.step + 1
    target = _move_target(config, hparams, critic, state.target_critic, step)
    metrics = metrics | {"critic/grad_norm": optax.tree.norm(grads)}
    return state.replace(critic=critic, critic_opt=opt, target_critic=target, step=step), metrics


def _move_target(config, hparams, critic, target, step):
    if not config.target_network:
        return critic
    if config.target_period:
        return replaced_if_due(config, critic, target, step)
    return optax.incremental_update(critic, target, hparams["target_rate"])


def replaced_if_due(config, critic, target, step):
    """The target after update number `step`: the critic at each `target_period`-th, else the old target."""
    due = step % config.target_period == 0
    return jax.tree.map(lambda new, old: jnp.where(due, new, old), critic, target)


def reward_part(critic):
    """The critic that is the reward alone of one that is split (`nets.Split`): its Q [1, B] is r(s,a)."""
    return {"net": {"reward": critic["net"]["reward"]}}


def bootstrap_critic(config, state: AgentState, critic):
    """The critic that values the successor: the target (no gradient) or the one being trained."""
    return state.target_critic if config.target_network else critic


def entropy_floor(config, hparams: Hparams):
    """The entropy [] (nats) from which values count: V = E[Q] + τ(H − floor), 0 unless `excess_entropy`.

    A learned τ is the multiplier of the constraint H ≥ `target_entropy`, and the Lagrangian holds τ(H −
    target) (Haarnoja et al. 2018b, §5; they drop the constant, so every step's reward shifts by τ·target).
    Where episodes end, or values have bounds, that matters: under a target of −3 nats and τ = 1 each step
    costs 3, against rewards of 2 at most, and to end becomes better than to go on.
    """
    return hparams["target_entropy"] if config.learn_temperature and config.excess_entropy else 0.0


def temperature_step(config, hparams: Hparams, state: AgentState, entropy) -> tuple[AgentState, Metrics]:
    """Moves log τ so that the policy's entropy (nats) nears the target (Haarnoja et al. 2018b, eq. 18)."""
    metrics = {"policy/entropy": entropy, "policy/temperature": state.temperature}
    if not config.learn_temperature:
        return state, metrics
    grad = entropy - hparams["target_entropy"]
    log_temperature, opt = descend(
        state.log_temperature, state.temperature_opt, grad, hparams["temperature_lr"]
    )
    return state.replace(log_temperature=log_temperature, temperature_opt=opt), metrics


def anchored(config) -> bool:
    """Whether the actor of one of the program's runs is held near the expert's actions (`agents.sac`)."""
    return max(values_of(config, "anchor")) > 0


def require_differentiable(config, spec: EnvSpec, remedy: str) -> None:
    """Refuses a gradient penalty where observations are integers."""
    weight = max(values_of(config, "gradient_penalty"))
    require(
        weight == 0 or spec.obs_shape != (),
        f"config.gradient_penalty is {weight}, but {spec.id} has integer states, by which nothing can be "
        f"differentiated; {remedy}",
    )


def require_discrete(config, spec: EnvSpec, why: str) -> None:
    """Refuses continuous actions, for the reason given."""
    require(
        spec.discrete,
        f"config.method is '{config.method}', which needs discrete actions, but those of {spec.id} are "
        f"continuous: {why}; set --config.method=iq, bc or value_dice",
    )
