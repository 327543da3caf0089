"""Forward-RL agents that the methods stand on: soft Q-learning (discrete) and SAC (continuous)."""

from iqlearn_jax.agents.common import Agent, AgentState
from iqlearn_jax.agents.sac import make_sac
from iqlearn_jax.agents.soft_q import make_soft_q
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec


def make_agent(config, spec: EnvSpec) -> Agent:
    """The agent that fits the action space: soft Q-learning if discrete, else SAC.

    Raises:
      InputError: observations for which there is no network.
    """
    if len(spec.obs_shape) not in (0, 1, 3):
        raise InputError(
            f"observations of {spec.id} have shape {list(spec.obs_shape)}; expected a vector [D] or an image "
            "[H, W, C]: flatten them in a wrapper"
        )
    if spec.obs_shape == () and (spec.mdp is None or not spec.discrete):
        raise InputError(
            f"observations of {spec.id} are integers; that needs a tabular model (spec.mdp) and discrete "
            "actions: encode them as vectors in a wrapper"
        )
    return make_soft_q(config, spec) if spec.discrete else make_sac(config, spec)


__all__ = ["Agent", "AgentState", "make_agent"]
