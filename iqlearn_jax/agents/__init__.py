"""Forward-RL agents that the methods stand on: soft Q-learning (discrete), SAC (continuous), PPO (both)."""

from iqlearn_jax.agents.common import STANDARD_PARTS, Agent, Parts, check_observations
from iqlearn_jax.agents.sac import make_sac
from iqlearn_jax.agents.soft_q import make_soft_q
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec


def make_agent(config, spec: EnvSpec, parts: Parts = STANDARD_PARTS) -> Agent:
    """The off-policy agent that fits the action space: soft Q-learning if discrete, else SAC.

    Raises:
      InputError: observations for which there is no network, `excess_entropy` under a fixed temperature.
    """
    if config.excess_entropy and not config.learn_temperature:
        raise InputError(
            "config.excess_entropy counts entropy above config.target_entropy, which only a learned "
            "temperature has, but config.learn_temperature is False; set it, or --config.excess_entropy=False"
        )
    check_observations(spec)
    return make_soft_q(config, spec, parts) if spec.discrete else make_sac(config, spec, parts)


__all__ = ["STANDARD_PARTS", "Agent", "Parts", "make_agent"]
