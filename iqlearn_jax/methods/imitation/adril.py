"""AdRIL: adversarial reward-moment imitation learning (Swamy et al. 2021, arXiv 2103.03236).

SQIL whose reward moves in rounds. In round k (k rounds lie before it) the reward is

    1 for demonstrations,   −1/k for what rounds 0 … k−1 did,   0 for what the present round does,

the indicator-kernel form of best responses to the mean of all past discriminators E_expert − E_π_i.
Demonstrations and replay are half of the batch each (the authors' balanced form). As the replay is drawn from
uniformly, the mean reward of that half goes from −1/k, as round k begins, to −1/(k+1) at its end: late in
training AdRIL nears SQIL.

Departures from the authors' code, each with the switch that restores its choice:
  a round is a number of updates, not of environment steps: set `round_updates` by `online.updates_per_step`;
  random play before the first update belongs to round 0: `online.learning_starts=1`;
  the replay forgets the oldest rounds when it is full: `online.capacity`;
  observations are standardised: `normalize_obs=False`.
"""

import jax
import jax.numpy as jnp

from iqlearn_jax.agents.common import STANDARD_PARTS, Learner, Parts, anchored
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.config.values import require
from iqlearn_jax.methods.forward_rl.soft_rl import IMITATION_KEYS, check_terminal, soft_rl_step
from iqlearn_jax.methods.imitation.sqil import sum_of_means
from iqlearn_jax.methods.method import Method, MethodEntry
from iqlearn_jax.types import join, without_round

KEYS = IMITATION_KEYS | {"round_updates"}


def make_adril(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """Soft RL on the reward above; a terminal's absorbing state has the reward of the row that led there.

    Raises:
      InputError: a terminal treatment that it does not know, or rounds that end in a step.
    """
    check_terminal(config)
    per_step = config.online.updates_per_step
    require(
        config.round_updates % per_step == 0,
        f"config.round_updates is {config.round_updates}; expected a multiple of "
        f"config.online.updates_per_step ({per_step}): the policy may not change its round within a step",
    )
    agent = make_agent(config, spec, parts, anchored=anchored(config))

    def update(hparams, state, batch, key):
        policy_reward = round_reward(batch.policy.round, state.step // config.round_updates)
        rows, expert = join(batch.replace(policy=without_round(batch.policy)))
        reward = jnp.concatenate([policy_reward, jnp.ones(expert.size - policy_reward.size)])
        end_reward = reward if config.terminal == "absorbing" else None
        learner, weight = Learner(config, agent, hparams, state), sum_of_means(expert)
        state, metrics = soft_rl_step(learner, rows, reward, key, weight, end_reward, batch.expert)
        return state, metrics | {"adril/reward_policy": jnp.mean(policy_reward)}

    return Method(
        init=agent.init,
        update=update,
        act=agent.act,
        reward=None,
        round_updates=config.round_updates,
    )


def round_reward(rounds, current) -> jax.Array:
    """Reward [B] of the learner's rows: −1/k for rounds before the present one, else 0.

    Args:
      rounds: [B] int32 round in which each row was collected, from 0.
      current: [] int32 the present round k, which k rounds precede.
    """
    return jnp.where(rounds < current, -1.0 / jnp.maximum(current, 1), 0.0)


ENTRY = MethodEntry(
    make_adril,
    KEYS,
    "SQIL whose rewards move in rounds, without a discriminator (Swamy et al. 2021)",
    feeds=frozenset({"replay"}),
    refuses=frozenset({"state_only"}),
    parts=frozenset({"critic", "actor", "optimizer"}),
)
