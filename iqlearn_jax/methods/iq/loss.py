"""IQ-Learn's loss on a batch: −J(Q) with the penalties that its divergence asks for.

Equations are those of Garg et al. 2021. The rewards of eq. 11 enter J in three forms, which differ in the
states from which (1−γ)E_ρ0[V(s0)] is estimated: true start states (eq. 9), all that were sampled (eq. 10),
the expert's (eq. 12).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from iqlearn_jax.agents.common import Learner, bootstrap_critic, reward_part
from iqlearn_jax.config.values import values_of
from iqlearn_jax.methods import terminal
from iqlearn_jax.methods.batches import with_next_rows
from iqlearn_jax.methods.iq.bounds import reward_bounds, value_bounds, value_origin
from iqlearn_jax.ops.iq.divergences import DIVERGENCES, domain_penalty, guarded_phi
from iqlearn_jax.ops.iq.objectives import (
    difference_value_term,
    half_and_half,
    initial_value_term,
    iq_loss,
    saddle_value_term,
    weighted_mean,
)
from iqlearn_jax.ops.iq.penalties import gradient_penalty
from iqlearn_jax.ops.iq.soft import inverse_bellman
from iqlearn_jax.types import join

BOX_WEIGHT = 10.0  # weight of total variation's |r| ≤ R over all samples, above any likely ratio ρ/ρ_E
Phi = Callable[[jax.Array], jax.Array]  # of rewards [E, N]


class Rewards(NamedTuple):
    """Eq. 11 on a batch of N rows with E critics, and what it is made of."""

    reward: jax.Array  # [E, N] Q(s,a) − discount·V(s')
    q: jax.Array  # [E, N]
    v: jax.Array  # [N] V(s)
    next_v: jax.Array  # [N] V(s'), terminals treated; all three counted from `bounds.value_origin`
    discount: jax.Array  # [N] or []
    expert: jax.Array  # [N] 1 for the expert's rows, else 0


def without_actions(config) -> bool:
    """Whether the expert's actions are neither known nor inferred: the paper's state-only form (§5.4)."""
    return config.state_only and not config.infer_actions


def reward_eq11(learner: Learner, critic, bootstrap, rows, expert, key) -> Rewards:
    """r(s,a,s') = Q(s,a) − γV(s') (eq. 11), with the terminal treatment that the configuration names.

    From states alone Q(s,·) is the policy's mean in the expert's rows (§5.4).

    Args:
      critic, bootstrap: parameters that value (s, a) and the successor.
      rows: transitions [N]; expert: [N] mask.
    """
    config, agent, hparams, state = learner
    value_key, next_key, expected_key = jax.random.split(key, 3)
    q, v = agent.values(hparams, state, critic, rows.obs, rows.action, value_key)
    if without_actions(config):
        q = jnp.where(expert > 0, agent.expected_q(hparams, state, critic, rows.obs, expected_key), q)
    next_v = agent.value(hparams, state, bootstrap, rows.next_obs, next_key)
    origin = value_origin(config, hparams)
    bounds = tuple(x - origin for x in value_bounds(config, agent, hparams, state.temperature))
    if config.terminal == "bounded":
        lower, upper = reward_bounds(config, hparams["alpha"])
        after_end = jnp.where(expert > 0, upper, lower) / (1.0 - hparams["gamma"]) - origin
    else:
        after_end = terminal.absorbing_value(
            hparams, bootstrap["absorbing"], terminal.absorbing_entropy(learner)
        )
    discount, next_v = terminal.successor(
        config.terminal, hparams, rows, next_v, after_end, bounds if config.clip_targets else None
    )
    reward = inverse_bellman(q, next_v, discount) + (1.0 - hparams["gamma"]) * origin
    return Rewards(reward, q, v, next_v, discount, expert)


def loss_eq9(phi: Phi, sample: Rewards, v0: jax.Array, gamma) -> tuple[jax.Array, jax.Array]:
    """−J(π,Q) = (1−γ)E_ρ0[V(s0)] − E_ρE[φ(r)] (eq. 9), from the values v0 [B] or [] of start states.

    Returns:
      loss [] and its value term [], in reward units; as the forms below.
    """
    return _loss(phi, sample, initial_value_term(v0, gamma))


def loss_eq10(
    phi: Phi, sample: Rewards, end: terminal.Tail, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """−J*(Q) = E_w[V(s) − γV(s')] − E_ρE[φ(r)] (eq. 10 by §5.1): (1−γ)E_ρ0[V] over sampled states.

    Args:
      weight: [N] of the samples; the paper's online form has expert and replay half and half.
    """
    term = difference_value_term(sample.v, sample.next_v, sample.discount, weight)
    return _loss(phi, sample, term + weighted_mean(end.weight * end.drop, weight))


def loss_eq12(phi: Phi, sample: Rewards, end: terminal.Tail) -> tuple[jax.Array, jax.Array]:
    """−J*(Q) over the expert's rows alone (eq. 12): offline, with χ²'s φ in the paper."""
    return loss_eq10(phi, sample, end, sample.expert)


def loss_saddle(phi: Phi, sample: Rewards, end: terminal.Tail) -> tuple[jax.Array, jax.Array]:
    """E_ρπ[r] − E_ρE[φ(r)] over the learner's rows: −J before its minimum over π, less τH(π).

    No estimator of the paper's; `ops.iq.objectives.saddle_value_term` says what it is for.
    """
    weight = 1.0 - sample.expert
    term = saddle_value_term(sample.q, sample.next_v, sample.discount, weight)
    return _loss(phi, sample, term + weighted_mean(end.weight * end.drop, weight))


def _loss(phi: Phi, sample: Rewards, value_term: jax.Array) -> tuple[jax.Array, jax.Array]:
    expert = jnp.broadcast_to(sample.expert, sample.reward.shape)
    return iq_loss(phi, sample.reward, value_term, expert), value_term


def critic_loss(learner: Learner, critic, batch, key) -> tuple[jax.Array, dict[str, jax.Array]]:
    """−J(Q) on a batch, with the penalties that its divergence asks for. Returns (loss [], metrics)."""
    config, _, hparams, state = learner
    reward_key, initial_key, penalty_key = jax.random.split(key, 3)
    rows, expert = join(batch)
    bootstrap = bootstrap_critic(config, state, critic)
    if config.split_critic:  # f regresses on V(s'), with a target network or without
        bootstrap = jax.lax.stop_gradient(bootstrap)
    sample = reward_eq11(learner, critic, bootstrap, rows, expert, reward_key)
    end = self_loop(learner, critic, bootstrap, rows)
    judged = own_rewards(learner, critic, rows, sample) if config.split_critic else sample
    loss, value_term = objective(learner, critic, batch.initial, judged, end, initial_key)
    if config.next_actions:
        loss -= next_rows_gain(learner, critic, batch, sample, jax.random.fold_in(key, 3))
    penalty = penalties(learner, critic, batch, judged, end, penalty_key)
    origin = value_origin(config, hparams)
    shown = judged._replace(q=sample.q + origin, next_v=sample.next_v + origin)
    metrics = diagnostics(shown, loss, value_term, learner_rows=batch.policy is not None) | {
        "iq/absorbing_reward": critic["absorbing"],
        "iq/end_rate": jnp.mean(rows.terminated.astype(jnp.float32)),  # of the batch's rows
        "iq/penalty": penalty,
    }
    if config.split_critic:
        metrics["iq/future_loss"] = future_loss(sample, judged)
        penalty += metrics["iq/future_loss"]
    return loss + penalty, metrics


def own_rewards(learner: Learner, critic, rows, sample: Rewards) -> Rewards:
    """The rows' rewards as a split critic holds them, r(s,a) itself, in the place of Q(s,a) − γV(s')."""
    _, agent, hparams, _ = learner
    own = agent.q(hparams, reward_part(critic), rows.obs, rows.action)
    return sample._replace(reward=own, q=own, next_v=jnp.zeros_like(sample.next_v))


def future_loss(sample: Rewards, own: Rewards) -> jax.Array:
    """Σ_e E[(f_e(s,a) − γV(s'))²], [], of a split critic, both kinds of rows half and half.

    It is the square of Q − γV' − r, in which r cancels: only f learns by it.
    """
    weight = jnp.broadcast_to(half_and_half(sample.expert), sample.reward.shape)
    return sample.reward.shape[0] * weighted_mean(jnp.square(sample.reward - own.reward), weight)


def objective(learner: Learner, critic, initial, sample: Rewards, end: terminal.Tail, key):
    """−J and its value term, by the estimator that `config.value_term` names.

    "v0_all" takes all expert states for start states, as the authors' code does; it estimates another number.

    Args:
      initial: start observations.
    """
    config, agent, hparams, state = learner
    phi = make_phi(learner, end)
    if config.value_term == "v0":
        v0 = agent.value(hparams, state, critic, initial, key)
        return loss_eq9(phi, sample, v0, hparams["gamma"])
    if config.value_term == "v0_all":
        return loss_eq9(phi, sample, weighted_mean(sample.v, sample.expert), hparams["gamma"])
    if config.value_term == "policy":
        return loss_saddle(phi, sample, end)
    if config.value_term == "mixture":
        return loss_eq10(phi, sample, end, half_and_half(sample.expert))
    return loss_eq12(phi, sample, end)


def make_phi(learner: Learner, end: terminal.Tail) -> Phi:
    """φ of rewards [E, N] and, with its weight, of the self-loop beside each row.

    It is the identity where χ² over both kinds of samples takes its place; others stand beside that square.
    """
    config, _, hparams, _ = learner
    divergence = DIVERGENCES[config.divergence]

    def curved(reward):
        if divergence.squared and config.regularize == "both":
            return reward
        return guarded_phi(divergence, reward, hparams["alpha"], hparams["phi_slope"])

    return lambda reward: curved(reward) + end.weight * curved(end.reward)


def penalties(learner: Learner, critic, batch, sample: Rewards, end: terminal.Tail, key) -> jax.Array:
    """What keeps rewards where the divergence wants them: χ² over both kinds, a box, a bound on slopes. []"""
    config, _, hparams, _ = learner
    divergence, alpha, penalty = DIVERGENCES[config.divergence], hparams["alpha"], jnp.zeros(())
    if config.regularize == "both":
        squares = jnp.square(sample.reward) + end.weight * jnp.square(end.reward)
        weight = jnp.broadcast_to(half_and_half(sample.expert), squares.shape)
        penalty += weighted_mean(squares, weight) / (4.0 * alpha)
    if divergence.boxed:
        penalty += BOX_WEIGHT * jnp.mean(domain_penalty(divergence, sample.reward, alpha))
    if max(values_of(config, "gradient_penalty")) > 0:
        penalty += hparams["gradient_penalty"] * lipschitz_penalty(learner, critic, batch, key)
    return penalty


def next_rows_gain(learner: Learner, critic, batch, sample: Rewards, key) -> jax.Array:
    """By how much J grows, [], if its linear part is averaged over the rows (s', a'), too.

    J = E[φ(r) − r] + E[r − (V(s) − γV(s'))], and in the second mean V(s') cancels: Q(s,a) − V(s) is left, at
    (s', a') Q(s',a') − V(s'), for which s'' need not be known. The first mean stays one over whole rows.
    What it saves is labels that thinning out throws away.
    """
    _, agent, hparams, state = learner
    size = batch.expert.reward.shape[0]
    here = (sample.q - sample.v)[:, -size:]  # `join` puts the expert's rows last

    def advantage(obs, action):
        q, v = agent.values(hparams, state, critic, obs, action, key)
        return q - v

    return with_next_rows(batch, here, advantage) - jnp.mean(here)


def self_loop(learner: Learner, critic, bootstrap, rows) -> terminal.Tail:
    """The absorbing state's share of each row; of weight 0 unless `config.terminal` is "absorbing"."""
    end = terminal.tail(learner.hparams, rows, critic, bootstrap, terminal.absorbing_entropy(learner))
    absorbing = learner.config.terminal == "absorbing"
    return end if absorbing else end._replace(weight=jnp.zeros_like(end.weight))


def with_drawn_actions(learner: Learner, batch, key):
    """The batch with the expert's actions replaced by the policy's: state-only learning must not see them."""
    _, agent, hparams, state = learner
    action = agent.act(hparams, state, batch.expert.obs, key, deterministic=False)
    return batch.replace(expert=batch.expert.replace(action=action))


def lipschitz_penalty(learner: Learner, critic, batch, key) -> jax.Array:
    """E[(‖∇Q‖ − α)²] over network inputs (standardised obs, and in half-widths of its box the action if
    continuous), between expert and policy samples; offline between pairs of expert samples. []
    (Gulrajani et al. 2017; paper, §5.3)

    Of a split critic E[(‖∇r‖ − 2α)²]: there are 8α from the least reward to the largest, and they are not to
    lie closer than four standard deviations of the inputs.
    """
    config, agent, hparams, _ = learner
    shuffle_key, mix_key, drawn_key = jax.random.split(key, 3)
    if without_actions(config):
        batch = with_drawn_actions(learner, batch, drawn_key)
    half, judged = agent.half_width, reward_part(critic) if config.split_critic else critic

    def inputs(rows):
        return agent.preprocess(hparams, rows.obs), rows.action if half is None else rows.action / half

    def q(point):
        obs, action = jax.tree.map(lambda x: x[None], point)
        return jnp.mean(agent.q_of_input(hparams, judged, obs, action if half is None else action * half))

    expert = inputs(batch.expert)
    order = jax.random.permutation(shuffle_key, batch.expert.reward.shape[0])
    other = jax.tree.map(lambda x: x[order], expert) if batch.policy is None else inputs(batch.policy)
    target = 2.0 * hparams["alpha"] if config.split_critic else hparams["alpha"]
    return gradient_penalty(q, expert, other, mix_key, target=target)


def diagnostics(sample: Rewards, loss, value_term, learner_rows: bool) -> dict[str, jax.Array]:
    """What tells a healthy run from a sick one: rewards of both kinds, values, objective.

    "iq/value" is the mean V(s') as it enters the rewards. V(s) would cost SAC another pass of every critic
    that the value term "policy" does not need; V(s0) is measured once a chunk (`training.evaluation`).

    Args:
      learner_rows: whether there are rows of the learner's; without them it has no mean reward.
    """
    reward = jnp.mean(sample.reward, axis=0)
    learner = {"iq/reward_policy": weighted_mean(reward, 1.0 - sample.expert)} if learner_rows else {}
    return {
        "iq/loss": loss,
        "iq/value_term": value_term,
        "iq/reward_expert": weighted_mean(reward, sample.expert),
        "iq/reward_min": jnp.min(reward),
        "iq/reward_max": jnp.max(reward),
        "iq/q": jnp.mean(sample.q),
        "iq/value": jnp.mean(sample.next_v),
    } | learner
