"""Behavioural cloning: maximum likelihood of the demonstrated actions (Ross & Bagnell 2010)."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from iqlearn_jax.agents import make_agent
from iqlearn_jax.agents.common import adam_step
from iqlearn_jax.methods.common import Method, with_next_rows


def make_bc(config, spec) -> Method:
    """max E_expert[log π(a|s)] with the agent's own policy network.

    Discrete actions: the Q-network's outputs are logits (τ = 1). Continuous actions: the tanh-Gaussian's
    density, with demonstrated actions kept off the boundary (`nets.tanh_gaussian.EDGE`). BC recovers no
    reward. `config.next_actions` clones (s', a'), too (no paper's; off by default).
    """
    agent = make_agent(config, spec)
    field = agent.policy_field
    rate = "critic_lr" if field == "critic" else "actor_lr"

    def init(key, hparams):
        return agent.init(key, hparams | {"temperature": 1.0})  # outputs are logits, also when it acts

    def update(hparams, state, batch, key):
        rows = batch.expert

        def loss(policy):
            likelihood = partial(agent.log_prob, hparams, policy, state.temperature)
            own = likelihood(rows.obs, rows.action)
            return -(with_next_rows(batch, own, likelihood) if config.next_actions else jnp.mean(own))

        value, grads = jax.value_and_grad(loss)(getattr(state, field))
        policy, opt = adam_step(
            getattr(state, field),
            getattr(state, f"{field}_opt"),
            grads,
            hparams[rate],
            hparams["weight_decay"],
        )
        state = state.replace(**{field: policy, f"{field}_opt": opt, "step": state.step + 1})
        return state, {"bc/loss": value, "policy/grad_norm": optax.tree.norm(grads)}

    return Method(init=init, update=update, act=agent.act, reward=None, feeds=frozenset({"demos"}))
