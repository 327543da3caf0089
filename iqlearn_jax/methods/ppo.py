"""PPO on the environment's reward: forward RL that learns from rollouts; it trains experts."""

from iqlearn_jax.agents import make_ppo_agent
from iqlearn_jax.methods.common import Method, require, require_plain


def make_ppo(config, spec) -> Method:
    """Proximal policy optimisation (Schulman et al. 2017), see `agents.ppo`.

    Raises:
      InputError: switches that it does not read, or a rollout that minibatches do not divide.
    """
    check_rollout(config)
    agent = make_ppo_agent(config, spec)

    def update(hparams, state, batch, key):
        return agent.learn(hparams, state, batch.policy, batch.policy.reward, key)

    return Method(init=agent.init, update=update, act=agent.act, reward=None, feeds=frozenset({"rollout"}))


def check_rollout(config) -> None:
    """Refuses switches of the off-policy agents, and minibatches of unequal sizes.

    Raises:
      InputError: names the field, its value and what it may be.
    """
    require_plain(config)
    rows = config.online.rollout_steps * config.online.num_envs
    require(
        rows % config.minibatches == 0,
        f"config.minibatches is {config.minibatches}, which does not divide a rollout of {rows} steps "
        f"(config.online.rollout_steps {config.online.rollout_steps} times config.online.num_envs "
        f"{config.online.num_envs}); set --config.minibatches to a divisor",
    )
