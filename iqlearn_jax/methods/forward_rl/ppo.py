"""PPO on the environment's reward: forward RL that learns from rollouts; it trains experts."""

from iqlearn_jax.agents.common import STANDARD_PARTS, Parts
from iqlearn_jax.agents.ppo import PPO_KEYS, make_ppo_agent
from iqlearn_jax.methods.method import ON_POLICY, Method, MethodEntry
from iqlearn_jax.methods.rollouts import check_rollout

KEYS = PPO_KEYS | {"reward_path"}


def make_ppo(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """Proximal policy optimisation (Schulman et al. 2017), see `agents.ppo`.

    Raises:
      InputError: a rollout that minibatches do not divide.
    """
    check_rollout(config)
    agent = make_ppo_agent(config, spec, parts)

    def update(hparams, state, batch, key):
        return agent.learn(hparams, state, batch.policy, batch.policy.reward, key)

    return Method(init=agent.init, update=update, act=agent.act, reward=None)


ENTRY = MethodEntry(
    make_ppo,
    KEYS,
    "PPO on the environment's reward, from rollouts; trains experts (Schulman et al. 2017)",
    feeds=frozenset({"rollout"}),
    refuses=ON_POLICY,
    parts=frozenset({"optimizer"}),
)
