"""Forward-RL agents that the methods stand on: soft Q-learning (discrete) and SAC (continuous)."""

from iqlearn_jax.agents.common import Agent, AgentState
from iqlearn_jax.agents.sac import make_sac
from iqlearn_jax.agents.soft_q import make_soft_q
from iqlearn_jax.types import EnvSpec


def make_agent(config, spec: EnvSpec) -> Agent:
    """The agent that fits the action space: soft Q-learning if discrete, else SAC."""
    return make_soft_q(config, spec) if spec.discrete else make_sac(config, spec)


__all__ = ["Agent", "AgentState", "make_agent"]
