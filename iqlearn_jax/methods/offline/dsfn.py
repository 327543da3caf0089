"""DSFN: max-margin IRL from demonstrations alone with deep successor features (Lee, Srinivasan & Doshi-Velez
2019, arXiv 1903.10077).

Departures from the paper, of which we know the abstract and the figure of its networks, no more:
  one network of successor features gives feature expectations and, as wᵀψ, the values of the reward's optimal
    policy; the paper evaluates policies by one network and improves them by a DQN of its own: no switch;
  the expert's successor features have a second network, learned with what the expert did next;
  both start at the demonstrated states, as in `methods.offline.lstd_mu`;
  until the imitation network's policy, the first one, is compared, w = μ_E: no policy is optimal for it, but
    `reward` needs one;
  the encoder learns in round 0 and stands still afterwards, as features must;
  wherever ψ is read it is clipped to [0, 1], in which φ and so its normalised sums lie. Without that the
    greedy policy's ψ left every bound on CartPole (errors of 1e12 after 6000 updates): no switch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from iqlearn_jax.agents.common import (
    CRITIC_KEYS,
    NETWORK_KEYS,
    STANDARD_PARTS,
    TARGET_KEYS,
    AgentState,
    Parts,
    critic_step,
    descend,
    initial_state,
    make_preprocess,
)
from iqlearn_jax.config.values import require
from iqlearn_jax.methods.batches import taken
from iqlearn_jax.methods.method import DEMOS, PLAIN, Method, MethodEntry
from iqlearn_jax.methods.offline.lstd_mu import better, check_linear, with_constant
from iqlearn_jax.methods.tabular.max_margin import nearer
from iqlearn_jax.nets import QNetwork, TransitionEncoder
from iqlearn_jax.ops.baselines.lstd import pair_features
from iqlearn_jax.ops.iq.objectives import weighted_mean
from iqlearn_jax.types import discount

KEYS = DEMOS | NETWORK_KEYS | CRITIC_KEYS | TARGET_KEYS | {
    "actor_lr", "gamma", "transition_weight", "features", "reward_input", "round_updates", "tolerance",
}  # fmt: skip


class Successors(struct.PyTreeNode):
    """A policy, greedy in wᵀψ or the imitation network's, and its reward.

    Attributes:
      weights: [q] w of its reward wᵀφ.
      net: parameters of its successor features ψ.
      distance: [] ‖μ_E − μ_π‖ where it was measured; ∞ before the first one was.
      imitates: [] whether it is the imitation network's policy.
    """

    weights: jax.Array
    net: Any
    distance: jax.Array
    imitates: jax.Array


class SuccessorState(AgentState):
    """An agent's state: `critic["net"]` holds ψ of the policy and of the expert, `actor` the encoder.

    Attributes:
      weights: [q] w, the reward of the present round.
      best: the policy nearest to the expert so far, which acts.
    """

    weights: jax.Array
    best: Successors


class Networks(NamedTuple):
    """The networks, on standardised observations x [B, D].

    Attributes:
      encoder: `TransitionEncoder`; its features and a constant are those of an observation.
      successor: `QNetwork`, all of ψ(s,·), flat.
      actions, width: A, and q = features of a reward.
      of_state: whether rewards see the observation alone.
      optimizer: gives the directions of their steps.
    """

    encoder: Any
    successor: Any
    actions: int
    width: int
    of_state: bool
    optimizer: optax.GradientTransformation

    def phi(self, params, x, action):
        """φ(s,a) [B, q]."""
        features = with_constant(self.encoder.apply(params, x)[0])
        return features if self.of_state else pair_features(features, action, self.actions)

    def psi(self, params, x):
        """ψ(s,·) [B, A, q], as the network has it."""
        return self.successor.apply(params, x).reshape(-1, self.actions, self.width)

    def bounded_psi(self, params, x):
        """ψ(s,·) within its bounds: features lie in [0, 1], and so do their normalised discounted sums."""
        return jnp.clip(self.psi(params, x), 0.0, 1.0)

    def action(self, encoder, table, weights, x, imitates):
        """What a policy does [B]: argmax of the imitation network's logits, or of wᵀψ.

        Args:
          table: [B, A, q] its ψ(s,·) within their bounds; imitates: [] which of the two.
        """
        imitated = jnp.argmax(self.encoder.apply(encoder, x)[1], axis=-1).astype(jnp.int32)
        return jnp.where(imitates, imitated, greedy(table, weights))


def make_dsfn(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """Rounds of `config.round_updates` updates. Round 0: features φ by TRIL. Round 1: ψ for TRIL's policy.
    Each later one: ψ for the policy that is optimal for wᵀφ. At the end of each w = μ_E − μ̄, projected.
    ψ(s,a) → (1−γ)φ(s,a) + γψ(s',a') by TD all along.

    φ(s,a) is the encoder's features and a constant, in the action's block; of the observation alone with
    `reward_input="state"`. After an end features count 0. The networks' last layer starts at 0: an action
    that nobody took keeps ψ = 0, as in `lstd_mu`. The rate of ψ is `critic_lr`, the encoder's `actor_lr`.
    `reward` is the wᵀφ for which the acting policy is optimal; μ_Eᵀφ where that is TRIL's.

    Raises:
      InputError: continuous actions, images, or tabular observations.
    """
    nets, preprocess = make_networks(config, spec, parts), make_preprocess(spec)

    def init(key, hparams):
        return initial(nets, jnp.zeros((1, *spec.obs_shape)), key, hparams)

    def update(hparams, state, batch, key):
        rows = batch.expert
        rows = rows.replace(obs=preprocess(hparams, rows.obs), next_obs=preprocess(hparams, rows.next_obs))
        state, encoder_metrics = encode(config, nets, hparams, state, rows)
        imitates = imitation(config, state.step)
        loss = td_loss(nets, hparams, state, rows, batch.next_action, imitates)
        state, metrics = critic_step(config, hparams, state, loss, nets.optimizer)
        state, margin_metrics = compare(config, nets, state, rows)
        return state, encoder_metrics | metrics | margin_metrics

    def act(hparams, state, obs, key, deterministic=False):
        x = preprocess(hparams, obs)
        best = state.best
        return nets.action(state.actor, nets.bounded_psi(best.net, x), best.weights, x, best.imitates)

    def reward(hparams, state, transition, key=None):
        """wᵀφ(s,a) of the acting policy, [B]; 0 before one was compared."""
        x = preprocess(hparams, transition.obs)
        return nets.phi(state.actor, x, transition.action) @ state.best.weights

    return Method(init=init, update=update, act=act, reward=reward)


def make_networks(config, spec, parts: Parts = STANDARD_PARTS) -> Networks:
    """The networks of a configuration, which is checked first."""
    check_linear(config, spec)
    require(
        len(spec.obs_shape) == 1,
        f"observations of {spec.id} are integers, but method 'dsfn' learns features of vectors; set "
        "--config.method=lstd_mu",
    )
    of_state = config.reward_input == "state"
    width = config.features * (1 if of_state else spec.num_actions)
    encoder = TransitionEncoder(spec.num_actions, config.features - 1, tuple(config.hidden))
    successor = QNetwork(spec.num_actions * width, tuple(config.hidden), layer_norm=config.layer_norm)
    return Networks(encoder, successor, spec.num_actions, width, of_state, parts.optimizer)


def initial(nets: Networks, x, key, hparams) -> SuccessorState:
    """A fresh state; x: [1, D] any input."""
    encoder_key, *keys = jax.random.split(key, 3)
    names = ("policy", "expert")
    critic = {name: silent(nets.successor.init(k, x)) for name, k in zip(names, keys, strict=True)}
    hparams = hparams | {"temperature": 1.0}  # no soft value is ever taken
    state = initial_state(critic, nets.encoder.init(encoder_key, x), hparams, nets.optimizer)
    copy = jax.tree.map(jnp.copy, critic["policy"])  # no buffer twice: the state is donated
    weights = jnp.zeros(nets.width)
    best = Successors(jnp.copy(weights), copy, jnp.asarray(jnp.inf, weights.dtype), jnp.asarray(True))
    return SuccessorState(**vars(state), weights=weights, best=best)


def encode(config, nets: Networks, hparams, state, rows):
    """The encoder's step in round 0; its rate is 0 afterwards."""

    def loss(params):
        _, logits, predicted = nets.encoder.apply(params, rows.obs)
        return tril_loss(logits, predicted, rows.action, rows.next_obs, hparams["transition_weight"])

    grads, metrics = jax.grad(loss, has_aux=True)(state.actor)
    rate = hparams["actor_lr"] * (state.step < config.round_updates)
    actor, opt = descend(state.actor, state.actor_opt, grads, rate, optimizer=nets.optimizer)
    return state.replace(actor=actor, actor_opt=opt), metrics | {"tril/grad_norm": optax.tree.norm(grads)}


def imitation(config, step):
    """Whether the policy of the round that update `step` is part of is the imitation network's. []"""
    return step < 2 * config.round_updates


def td_loss(nets: Networks, hparams, state, rows, next_action, imitates) -> Callable:
    """critic -> (loss, metrics): mean squared TD errors of both networks, for all of ψ at once.

    The policy's a' is `Networks.action`'s for the present w, the expert's is what it did. Rows that were cut
    show none and are left out.
    """
    phi = nets.phi(state.actor, rows.obs, rows.action)
    factor = discount(hparams["gamma"], rows.terminated)[:, None]
    targets = {}
    for name, params in state.target_critic["net"].items():
        after = nets.bounded_psi(params, rows.next_obs)
        then = next_action
        if name == "policy":
            then = nets.action(state.actor, after, state.weights, rows.next_obs, imitates)
        targets[name] = successor_target(phi, at(after, then), factor, hparams["gamma"])

    def loss(critic):
        psi = {name: at(nets.psi(p, rows.obs), rows.action) for name, p in critic["net"].items()}
        errors = {name: jnp.sum(jnp.square(psi[name] - targets[name]), axis=-1) for name in psi}
        followed = rows.terminated | ~rows.truncated
        means = {f"dsfn/td_loss_{name}": weighted_mean(error, followed) for name, error in errors.items()}
        return sum(means.values()), means

    return loss


def compare(config, nets: Networks, state, rows):
    """At the end of a round: the policy is measured against the expert on the batch, and w moves."""
    number, due = state.step // config.round_updates, state.step % config.round_updates == 0
    params = state.critic["net"]
    expert = at(nets.bounded_psi(params["expert"], rows.obs), rows.action)
    table = nets.bounded_psi(params["policy"], rows.obs)
    imitates = imitation(config, state.step - 1)
    chosen = nets.action(state.actor, table, state.weights, rows.obs, imitates)
    gap = jnp.mean(expert - at(table, chosen), axis=0)
    distance = jnp.linalg.norm(gap)
    moved, _ = nearer(state.weights, gap, config.tolerance, number == 2)
    moved = jnp.where(number == 1, jnp.mean(expert, axis=0), moved)
    measured = jnp.where(due & (number >= 2), distance, jnp.inf)
    best = better(Successors(state.weights, params["policy"], measured, imitates), state.best)
    metrics = {
        "max_margin/distance": jnp.linalg.norm(state.weights),
        "max_margin/policy_distance": distance,
        "max_margin/accuracy": jnp.mean(chosen == rows.action),
    }
    return state.replace(weights=jnp.where(due, moved, state.weights), best=best), metrics


def silent(params):
    """Parameters of a network with a last layer of zeros."""
    inner = params["params"]
    return {"params": inner | {"Dense_0": jax.tree.map(jnp.zeros_like, inner["Dense_0"])}}


def greedy(table: jax.Array, weights: jax.Array) -> jax.Array:
    """argmax_a wᵀψ(s,a): [B, A, q], [q] -> [B] int32; the first of equal ones."""
    return jnp.argmax(table @ weights, axis=-1).astype(jnp.int32)


def at(table: jax.Array, action: jax.Array) -> jax.Array:
    """Entries of the chosen actions: [B, A, q], [B] -> [B, q]."""
    return jnp.take_along_axis(table, action[:, None, None], axis=1)[:, 0]


def successor_target(phi: jax.Array, after: jax.Array, factor: jax.Array, gamma) -> jax.Array:
    """(1−γ)φ(s,a) + γψ(s',a'), whose fixed point is the discounted mean of φ. [B, q]

    Args:
      phi, after: [B, q] φ(s,a) and ψ(s',a'); factor: [B, 1] γ(1 − terminated); gamma: [].
    """
    return (1.0 - gamma) * phi + factor * after


def tril_loss(logits: jax.Array, predicted: jax.Array, action: jax.Array, next_x: jax.Array, weight):
    """−E[log π(a|s)] + λE‖ŝ'(s,a) − s'‖²/D, and metrics  (Lee et al. 2019).

    Args:
      logits: [B, A]; predicted: [B, A, D] successors of every action; action: [B] int32.
      next_x: [B, D] standardised successors; weight: [] λ.
    """
    cloning = -jnp.mean(taken(jax.nn.log_softmax(logits), action))
    error = jnp.mean(jnp.square(at(predicted, action) - next_x))
    return cloning + weight * error, {"tril/cloning_loss": cloning, "tril/transition_error": error}


ENTRY = MethodEntry(
    make_dsfn,
    KEYS,
    "max-margin IRL offline with deep successor features (Lee et al. 2019)",
    feeds=frozenset({"demos"}),
    refuses=PLAIN - {"target_network"},
    parts=frozenset({"optimizer"}),
)
