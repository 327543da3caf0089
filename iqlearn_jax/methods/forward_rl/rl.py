"""Plain forward RL on the environment's reward: soft Q-learning or SAC. It trains the experts."""

from iqlearn_jax.agents.common import AGENT_KEYS, STANDARD_PARTS, Learner, Parts
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.methods.forward_rl.soft_rl import soft_rl_step
from iqlearn_jax.methods.method import Method, MethodEntry

KEYS = AGENT_KEYS | {"gamma", "reward_path"}


def make_rl(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """Soft Bellman regression Q(s,a) ≈ r + γV(s') (Haarnoja et al. 2017, eq. 9; 2018, eq. 5)."""
    agent = make_agent(config, spec, parts)

    def update(hparams, state, batch, key):
        learner = Learner(config, agent, hparams, state)
        return soft_rl_step(learner, batch.policy, batch.policy.reward, key)

    return Method(init=agent.init, update=update, act=agent.act, reward=None)


ENTRY = MethodEntry(
    make_rl,
    KEYS,
    "soft Q-learning or SAC on the environment's reward; trains experts (Haarnoja et al. 2017, 2018)",
    feeds=frozenset({"replay"}),
    parts=frozenset({"critic", "actor", "optimizer"}),
)
