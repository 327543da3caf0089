"""Behavioural cloning: maximum likelihood of the demonstrated actions (Ross & Bagnell 2010)."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from iqlearn_jax.agents.common import NETWORK_KEYS, POLICY_KEYS, STANDARD_PARTS, Parts, descend, policy_class
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.config.values import require
from iqlearn_jax.methods.batches import with_next_rows
from iqlearn_jax.methods.method import DEMOS, Method, MethodEntry

KEYS = (
    DEMOS | NETWORK_KEYS | POLICY_KEYS | {"critics", "critic_lr", "actor_lr", "weight_decay", "next_actions"}
)


def make_bc(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """max E_expert[log π(a|s)] with the agent's own policy network.

    Discrete actions: the Q-network's outputs are logits (τ = 1). Continuous actions: a Gaussian around a
    squashed mean (`policy_class="gaussian_q"`, the default), of which a fixed σ makes least squares; or the
    tanh-Gaussian's density (`policy_class="sac"`), with demonstrated actions kept off the edge of the box,
    where it has none (`nets.tanh_gaussian.EDGE`). BC recovers no reward. `config.next_actions` clones
    (s', a'), too (no paper's; off by default).
    """
    chosen = policy_class(config)
    require(
        spec.discrete or parts.critic is None or chosen == "gaussian_q",
        f"networks['critic'] is given, but actions of {spec.id} are continuous, where method 'bc' trains the "
        "actor alone; leave it out",
    )
    agent = make_agent(config, spec, parts, chosen)
    field = agent.policy_field
    rate = "critic_lr" if field == "critic" else "actor_lr"

    def init(key, hparams):
        return agent.init(key, hparams | {"temperature": 1.0})  # outputs are logits, also when it acts

    def update(hparams, state, batch, key):
        rows = batch.expert

        def loss(policy):
            likelihood = partial(agent.log_prob, hparams, policy, state.temperature)
            here = likelihood(rows.obs, rows.action)
            return -(with_next_rows(batch, here, likelihood) if config.next_actions else jnp.mean(here))

        value, grads = jax.value_and_grad(loss)(getattr(state, field))
        policy, opt = descend(
            getattr(state, field),
            getattr(state, f"{field}_opt"),
            grads,
            hparams[rate],
            hparams["weight_decay"],
            parts.optimizer,
        )
        state = state.replace(**{field: policy, f"{field}_opt": opt, "step": state.step + 1})
        return state, {"bc/loss": value, "policy/grad_norm": optax.tree.norm(grads)}

    return Method(init=init, update=update, act=agent.act, reward=None)


ENTRY = MethodEntry(
    make_bc,
    KEYS,
    "behavioural cloning: maximum likelihood of the demonstrated actions (Ross & Bagnell 2010)",
    feeds=frozenset({"demos"}),
    refuses=frozenset({"state_only", "excess_entropy", "learn_temperature"}),
    parts=frozenset({"critic", "actor", "optimizer"}),
)
