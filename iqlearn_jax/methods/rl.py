"""Plain forward RL on the environment's reward: soft Q-learning or SAC. It trains the experts."""

import jax
import jax.numpy as jnp

from iqlearn_jax.agents import make_agent
from iqlearn_jax.agents.common import critic_step
from iqlearn_jax.methods.common import Method
from iqlearn_jax.types import discount


def make_rl(config, spec) -> Method:
    """Soft Bellman regression Q(s,a) ≈ r + γV(s') (Haarnoja et al. 2017, eq. 9; 2018, eq. 5)."""
    agent = make_agent(config, spec)

    def update(hparams, state, batch, key):
        next_key, improve_key = jax.random.split(key)
        rows = batch.policy

        def loss(critic):
            next_v = agent.value(hparams, state, state.target_critic, rows.next_obs, next_key)
            target = rows.reward + discount(hparams["gamma"], rows.terminated) * next_v
            q = agent.q(hparams, critic, rows.obs, rows.action)
            value = jnp.mean(jnp.square(q - jax.lax.stop_gradient(target)))
            return value, {"rl/loss": value, "rl/q": jnp.mean(q)}

        state, metrics = critic_step(config, hparams, state, loss)
        state, policy_metrics = agent.improve(hparams, state, rows.obs, improve_key)
        return state, metrics | policy_metrics

    return Method(init=agent.init, update=update, act=agent.act, reward=None, feeds=frozenset({"replay"}))
