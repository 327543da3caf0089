"""Apprenticeship learning by projection on finite processes (Abbeel & Ng 2004, section 3.1)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from iqlearn_jax.methods.method import PLAIN, Method, MethodEntry
from iqlearn_jax.methods.tabular.common import TABLE_KEYS, check_table, model, table_shape
from iqlearn_jax.ops.tabular.inverse import bellman_residual, frequencies, occupancy_policy, policy_iteration
from iqlearn_jax.ops.tabular.mdp import occupancy

KEYS = TABLE_KEYS | {"tolerance"}


class MarginState(struct.PyTreeNode):
    """Everything that learning changes.

    Attributes:
      counts: [S, A] share of each pair among the demonstrated rows seen so far.
      mixture: [S, A] occupancy of the mixture of policies, whose features are μ̄.
      weights: [S, A] w of the last reward wᵀφ, the same in all actions where features are states.
      q: [S, A] action values of the last policy.
      log_temperature: [] constant; read by who plots soft values of the recovered reward, not by learning.
      step: [] int32 number of updates.
    """

    counts: jax.Array
    mixture: jax.Array
    weights: jax.Array
    q: jax.Array
    log_temperature: jax.Array
    step: jax.Array

    @property
    def temperature(self) -> jax.Array:
        """τ []."""
        return jnp.exp(self.log_temperature)


def make_max_margin(config, spec) -> Method:
    """w = μ_E − μ̄; a policy that is optimal for wᵀφ; μ̄ projected onto the line through both. One update each.

    Features φ are one for each pair (s,a), or one for each state with `config.reward_input="state"`; feature
    expectations μ are discounted and sum to 1. The optimal policy takes `config.inner_steps` steps of policy
    iteration on spec.mdp from the last one ("max_margin/residual": what they leave). Nothing changes any more
    while ‖w‖ ≤ `config.tolerance`.

    Which policy acts: the mixture's, exactly. A&N draw one of their policies at the start of each episode.
    The mixture's occupancy is the same convex combination of theirs, and there is one stationary policy that
    has it, ρ(s,a)/ρ(s); so the state holds one table instead of a list of policies, and nothing is left out.

    Departures from the paper:
      μ_E is the occupancy of the demonstrated action frequencies under spec.mdp (uniform where a state was
        never shown), instead of the mean of Σ_t γ^t φ(s_t) over episodes: a batch does not know the step that
        its rows were taken at. It gathers over updates and is attainable by a policy, as A&N's proof assumes.
      the projection's step is cut to [0, 1], so that μ̄ stays a mixture; with an exact RL step and an
        attainable μ_E it always lies there, so this cuts rounding errors only.

    The reward is wᵀφ of the last update. It says where the mixture still differs from the expert; near the
    end that is noise, and nothing promises that it resembles the expert's reward.

    Raises:
      InputError: an environment without a finite model.
    """
    check_table(config, spec, "its RL step is exact and feature expectations run over all of its states")
    shape = table_shape(spec)

    def init(key, hparams):
        policy = jax.nn.softmax(jax.random.normal(key, shape))
        blank = jnp.zeros(shape)
        return MarginState(
            counts=blank,
            mixture=occupancy(model(hparams, spec), policy),
            weights=jnp.copy(blank),  # no buffer twice: the state is donated
            q=jnp.copy(blank),
            log_temperature=jnp.log(jnp.asarray(hparams["temperature"])),
            step=jnp.int32(0),
        )

    def update(hparams, state, batch, key):
        mdp, rows = model(hparams, spec), batch.expert
        new = frequencies(rows.obs, rows.action, shape) - state.counts
        counts = state.counts + new / (state.step + 1)
        expert = occupancy(mdp, occupancy_policy(counts))
        gap = features(config, expert - state.mixture)
        weights = jnp.broadcast_to(gap, shape)
        distance = jnp.linalg.norm(gap)
        q = policy_iteration(mdp, weights, state.q, config.inner_steps)
        best = jax.nn.one_hot(jnp.argmax(q, axis=-1), shape[-1], dtype=q.dtype)
        towards = occupancy(mdp, best) - state.mixture
        size = projection(gap, features(config, towards))
        size = jnp.where(distance <= config.tolerance, 0.0, size)
        mixture = jnp.maximum(state.mixture + size * towards, 0.0)  # a solve may leave −1e−9
        metrics: dict[str, Any] = {
            "max_margin/distance": distance,
            "max_margin/step": size,
            "max_margin/residual": bellman_residual(mdp, weights, q, None),
        }
        state = state.replace(counts=counts, mixture=mixture, weights=weights, q=q, step=state.step + 1)
        return state, metrics

    def act(hparams, state, obs, key, deterministic=False):
        table = occupancy_policy(state.mixture)[obs]
        if deterministic:
            return jnp.argmax(table, axis=-1).astype(jnp.int32)
        return jax.random.categorical(key, jnp.log(table)).astype(jnp.int32)

    def reward(hparams, state, transition, key):
        return state.weights[transition.obs, transition.action]

    return Method(init=init, update=update, act=act, reward=reward)


def features(config, occupancies: jax.Array) -> jax.Array:
    """Expectations of the features: [S, A] as they are, or [S, 1] of states."""
    return jnp.sum(occupancies, axis=-1, keepdims=True) if config.reward_input == "state" else occupancies


def projection(gap: jax.Array, towards: jax.Array) -> jax.Array:
    """Step in [0, 1] along `towards` = μ − μ̄ that comes nearest to `gap` = μ_E − μ̄. []"""
    square = jnp.sum(jnp.square(towards))
    return jnp.clip(jnp.sum(gap * towards) / jnp.where(square > 0, square, 1.0), 0.0, 1.0)


def nearer(weights: jax.Array, gap: jax.Array, tolerance, first) -> tuple[jax.Array, jax.Array]:
    """The projection's step in terms of w = μ_E − μ̄ and of one more policy's gap μ_E − μ_π.

    Args:
      weights, gap: [q].
      tolerance: ‖w‖ at which nothing changes any more.
      first: [] whether μ_π is the first policy's: it then takes the place of μ̄.
    Returns:
      (new w [q], step [] in [0, 1]).
    """
    towards = weights - gap
    size = jnp.where(jnp.linalg.norm(weights) <= tolerance, 0.0, projection(weights, towards))
    size = jnp.where(first, 1.0, size)
    return weights - size * towards, size


ENTRY = MethodEntry(
    make_max_margin,
    KEYS,
    "apprenticeship learning by projection on finite processes (Abbeel & Ng 2004)",
    feeds=frozenset({"demos"}),
    refuses=PLAIN,
)
