"""DAC: discriminator actor-critic (Kostrikov et al. 2019, arXiv 1809.02925), off-policy GAIL and AIRL.

A discriminator D of demonstrations and replay, then one soft RL step on a reward made of D. `reward_shape`
chooses it: "log_odds" (DAC and AIRL), "positive" or "negative" (GAIL); what each does to the length of
episodes is in `ops.adversarial.shaped_reward`. With "log_odds" this is AIRL's reward without its shaping
network: it is not disentangled from the dynamics.

Departures from the paper and its authors' code, each with the switch that restores their choice:
  the RL step is SAC's or soft Q-learning's, the paper's is TD3's: no switch (a low `temperature` is close);
  one step of D per step of RL, where the paper takes as many of each as the last episode was long, D's first:
    no switch; `online.updates_per_step` sets both;
  D has the critic's widths and ReLU, the authors' code two layers of 256 with tanh: `hidden=(256, 256)`;
  terminals are worth 0 by default, the paper learns an absorbing state: `terminal="absorbing"`;
  the value of that state is a closed form of its reward, see `methods.soft_rl`: no switch;
  rates do not decay; observations are standardised: `normalize_obs=False`;
  the gradient penalty is a config key with weight 0 by default, 10 in the paper: `gradient_penalty=10.0`.
"""

from typing import Any

import jax
import jax.numpy as jnp

from iqlearn_jax.agents import make_agent
from iqlearn_jax.agents.common import ADAM, AgentState
from iqlearn_jax.methods.common import Method
from iqlearn_jax.methods.discriminator import discriminator_step, make_discriminator, rewards_of
from iqlearn_jax.methods.soft_rl import check_imitation, soft_rl_step


class DacState(AgentState):
    """The agent's state and the discriminator's parameters and optimiser state."""

    discriminator: Any
    discriminator_opt: Any


def make_dac(config, spec) -> Method:
    """min_D E_expert[−log D] + E_replay[−log(1 − D)] + gradient penalty, and RL on D's reward.

    `reward` is that of (s, a) alone; what follows an end is the absorbing state's, in the critic only.

    Raises:
      InputError: an unknown reward shape, a terminal treatment or `state_only` that it does not know.
    """
    check_imitation(config)
    agent = make_agent(config, spec)
    judge = make_discriminator(config, spec, agent.preprocess)
    reward, end_reward = rewards_of(judge, config)
    absorbing = config.terminal == "absorbing"

    def init(key, hparams):
        agent_key, judge_key = jax.random.split(key)
        params = judge.init(judge_key)
        return DacState(
            **vars(agent.init(agent_key, hparams)),
            discriminator=params,
            discriminator_opt=ADAM.init(params),
        )

    def update(hparams, state, batch, key):
        judge_key, rl_key = jax.random.split(key)
        state, metrics = discriminator_step(
            hparams, state, lambda params: judge.loss(hparams, params, batch, judge_key)
        )
        own = reward(hparams, state, batch.policy)
        end = end_reward(hparams, state) if absorbing else None
        state, rl_metrics = soft_rl_step(config, agent, hparams, state, batch.policy, own, rl_key, 1.0, end)
        found = {
            "dac/reward_policy": jnp.mean(own),
            "dac/reward_expert": jnp.mean(reward(hparams, state, batch.expert)),
        }
        return state, metrics | rl_metrics | found

    return Method(
        init=init,
        update=update,
        act=agent.act,
        reward=reward,
        feeds=frozenset({"replay"}),
        end_reward=end_reward if absorbing else None,
    )
