"""AdRIL: adversarial reward-moment imitation learning (Swamy et al. 2021, arXiv 2103.03236).

SQIL whose reward moves in rounds. In round k (k rounds lie behind it) the reward is

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

from iqlearn_jax.agents import make_agent
from iqlearn_jax.methods.common import Method, join, require
from iqlearn_jax.methods.soft_rl import check_imitation, soft_rl_step
from iqlearn_jax.methods.sqil import sum_of_means
from iqlearn_jax.types import without_round


def make_adril(config, spec) -> Method:
    """Soft RL on the reward above; a terminal's absorbing state has the reward of the row that led there.

    Raises:
      InputError: a terminal treatment or `state_only` that it does not know, or rounds that end in a step.
    """
    check_imitation(config)
    per_step = config.online.updates_per_step
    require(
        config.round_updates % per_step == 0,
        f"config.round_updates is {config.round_updates}; expected a multiple of "
        f"config.online.updates_per_step ({per_step}): the policy may not change its round within a step",
    )
    agent = make_agent(config, spec)

    def update(hparams, state, batch, key):
        own = round_reward(batch.policy.round, state.step // config.round_updates)
        rows, expert = join(batch.replace(policy=without_round(batch.policy)))
        reward = jnp.concatenate([own, jnp.ones(expert.size - own.size)])
        end_reward = reward if config.terminal == "absorbing" else None
        weight = sum_of_means(expert)
        state, metrics = soft_rl_step(config, agent, hparams, state, rows, reward, key, weight, end_reward)
        return state, metrics | {"adril/reward_policy": jnp.mean(own)}

    return Method(
        init=agent.init,
        update=update,
        act=agent.act,
        reward=None,
        feeds=frozenset({"replay"}),
        round_updates=config.round_updates,
    )


def round_reward(rounds, current) -> jax.Array:
    """Reward [B] of the learner's rows: −1/k for rounds before the present one, else 0.

    Args:
      rounds: [B] int32 round in which each row was collected, from 0.
      current: [] int32 the present round k, which k rounds precede.
    """
    return jnp.where(rounds < current, -1.0 / jnp.maximum(current, 1), 0.0)
