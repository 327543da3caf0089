"""DAC: discriminator actor-critic (Kostrikov et al. 2019, arXiv 1809.02925), off-policy GAIL and AIRL.

A discriminator D of demonstrations and replay, then one soft RL step on a reward made of D. `reward_shape`
chooses it: "log_odds" (DAC and AIRL), "positive" or "negative" (GAIL); what each does to the length of
episodes is in `ops.baselines.adversarial.shaped_reward`. With "log_odds" this is AIRL's reward without its
shaping network: it is not disentangled from the dynamics.

Departures from the paper and its authors' code, each with the switch that restores their choice:
  the RL step is SAC's or soft Q-learning's, the paper's is TD3's: no switch (a low `temperature` is close);
  one step of D per step of RL, where the paper takes as many of each as the last episode was long, D's first:
    no switch; `online.updates_per_step` sets both;
  D has the critic's widths and ReLU, the authors' code two layers of 256 with tanh: `hidden=(256, 256)`;
  terminals are worth 0 by default, the paper learns an absorbing state: `terminal="absorbing"`;
  the value of that state is a closed form of its reward, see `methods.forward_rl.soft_rl`: no switch;
  rates do not decay; observations are standardised: `normalize_obs=False`;
  the gradient penalty is a config key with weight 0 by default, 10 in the paper: `gradient_penalty=10.0`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from iqlearn_jax.agents.common import STANDARD_PARTS, AgentState, Learner, Parts, anchored
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.config.schema import ONLINE
from iqlearn_jax.methods.forward_rl.soft_rl import IMITATION_KEYS, check_terminal, soft_rl_step
from iqlearn_jax.methods.imitation.discriminator import (
    JUDGE_KEYS,
    discriminator_step,
    make_discriminator,
    rewards_of,
)
from iqlearn_jax.methods.method import Method, MethodEntry
from iqlearn_jax.methods.rollouts import PASSES, in_passes

KEYS = IMITATION_KEYS | JUDGE_KEYS | PASSES | {"reward_shape"}


class DacState(AgentState):
    """The agent's state and the discriminator's parameters and optimiser state."""

    discriminator: Any
    discriminator_opt: Any


def make_dac(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """min_D E_expert[−log D] + E_replay[−log(1 − D)] + gradient penalty, and RL on D's reward.

    `reward` is that of (s, a) alone; what follows an end is the absorbing state's, in the critic only.

    Raises:
      InputError: a terminal treatment that it does not know.
    """
    check_terminal(config)
    agent = make_agent(config, spec, parts, anchored=anchored(config))
    judge = make_discriminator(config, spec, agent.preprocess)
    reward, end_reward = rewards_of(judge, config)
    absorbing = config.terminal == "absorbing"

    def init(key, hparams):
        agent_key, judge_key = jax.random.split(key)
        params = judge.init(judge_key)
        return DacState(
            **vars(agent.init(agent_key, hparams)),
            discriminator=params,
            discriminator_opt=parts.optimizer.init(params),
        )

    def update(hparams, state, batch, key):
        judge_key, rl_key = jax.random.split(key)
        loss = partial(judge.loss, hparams, batch=batch, key=judge_key)
        state, metrics = discriminator_step(hparams, state, loss, parts.optimizer)
        policy_reward = reward(hparams, state, batch.policy)
        end = end_reward(hparams, state) if absorbing else None
        learner = Learner(config, agent, hparams, state)
        state, rl_metrics = soft_rl_step(
            learner, batch.policy, policy_reward, rl_key, end_reward=end, expert=batch.expert
        )
        rewards = {
            "dac/reward_policy": jnp.mean(policy_reward),
            "dac/reward_expert": jnp.mean(reward(hparams, state, batch.expert)),
        }
        return state, metrics | rl_metrics | rewards

    return Method(
        init=init,
        update=in_passes(config, update) if config.feed == "rollout" else update,
        act=agent.act,
        reward=reward,
        end_reward=end_reward if absorbing else None,
    )


ENTRY = MethodEntry(
    make_dac,
    KEYS,
    "discriminator actor-critic: adversarial imitation from a replay (Kostrikov et al. 2019)",
    feeds=frozenset(ONLINE),
    refuses=frozenset({"state_only"}),
    parts=frozenset({"critic", "actor", "optimizer"}),
)
