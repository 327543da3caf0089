"""RCAL: large-margin classification on action values with a sparse reward (Piot, Geist & Pietquin 2014)."""

import jax.numpy as jnp

from iqlearn_jax.agents.common import (
    CRITIC_KEYS,
    NETWORK_KEYS,
    STANDARD_PARTS,
    Parts,
    critic_step,
    require_discrete,
)
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.methods.batches import action_values, taken
from iqlearn_jax.methods.method import DEMOS, PLAIN, Method, MethodEntry
from iqlearn_jax.ops.baselines.supervised import large_margin
from iqlearn_jax.ops.iq.soft import inverse_bellman
from iqlearn_jax.types import discount

KEYS = DEMOS | NETWORK_KEYS | CRITIC_KEYS | {"temperature", "gamma", "margin", "reward_weight"}


def make_regularized_bc(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """min_Q E_E[max_a(Q(s,a) + margin·1(a ≠ a_E)) − Q(s,a_E)] + λ E_E|Q(s,a) − γ max_a' Q(s',a')|.

    The first term is a classifier; the second asks that the reward which Q implies be small and sparse, the
    only place where the successor is seen. λ is `config.reward_weight`. Terminal successors count 0. The
    policy is greedy; actions that are drawn come from softmax(Q/τ).

    Departures from the paper: Q is a network trained by Adam instead of a sum of boosted trees, and the
    second mean runs over the expert's transitions alone (the paper may add transitions of anyone).

    Raises:
      InputError: continuous actions (no maximum over actions).
    """
    require_discrete(config, spec, "its loss is a maximum over actions and asks whether two are the same")
    agent, table = make_agent(config, spec, parts), action_values(config, spec, parts)

    def implied(hparams, critic, rows, q):
        next_v = jnp.max(table(hparams, critic, rows.next_obs), axis=-1)
        return inverse_bellman(taken(q, rows.action), next_v, discount(hparams["gamma"], rows.terminated))

    def update(hparams, state, batch, key):
        rows = batch.expert

        def loss(critic):
            q = table(hparams, critic, rows.obs)
            hinge = jnp.mean(large_margin(q, rows.action, hparams["margin"]))
            reward = implied(hparams, critic, rows, q)
            size = jnp.mean(jnp.abs(reward))
            metrics = {
                "rcal/margin_loss": hinge,
                "rcal/reward_size": size,
                "rcal/reward_expert": jnp.mean(reward),
                "rcal/accuracy": jnp.mean(jnp.argmax(q, axis=-1) == rows.action),
            }
            return hinge + hparams["reward_weight"] * size, metrics

        return critic_step(config, hparams, state, loss, parts.optimizer)

    def reward(hparams, state, transition, key):
        """Q(s,a) − γ max_a' Q(s',a'), the reward for which Q is optimal. [B]"""
        q = table(hparams, state.critic, transition.obs)
        return implied(hparams, state.critic, transition, q)

    return Method(init=agent.init, update=update, act=agent.act, reward=reward)


ENTRY = MethodEntry(
    make_regularized_bc,
    KEYS,
    "RCAL: large-margin classification by action values with a sparse reward (Piot et al. 2014)",
    feeds=frozenset({"demos"}),
    refuses=PLAIN,
    parts=frozenset({"critic", "optimizer"}),
)
