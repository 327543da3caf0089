"""Plain forward RL on the environment's reward: soft Q-learning or SAC. It trains the experts."""

from iqlearn_jax.agents import make_agent
from iqlearn_jax.methods.common import Method
from iqlearn_jax.methods.soft_rl import soft_rl_step


def make_rl(config, spec) -> Method:
    """Soft Bellman regression Q(s,a) ≈ r + γV(s') (Haarnoja et al. 2017, eq. 9; 2018, eq. 5)."""
    agent = make_agent(config, spec)

    def update(hparams, state, batch, key):
        rows = batch.policy
        return soft_rl_step(config, agent, hparams, state, rows, rows.reward, key)

    return Method(init=agent.init, update=update, act=agent.act, reward=None, feeds=frozenset({"replay"}))
