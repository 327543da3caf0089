"""GAIL: generative adversarial imitation (Ho & Ermon 2016, arXiv 1606.03476, Algorithm 1), on PPO.

A discriminator D of demonstrations and the rollout, then PPO on a reward made of D; the next rollout is the
new policy's. `reward_shape` chooses the reward; what each does to the length of episodes is in
`ops.adversarial.shaped_reward`.

Departures from the paper, each with the switch that restores its choice:
  the policy's step is PPO's, the paper's is TRPO's: no switch;
  the reward is the log-odds, the paper's −log(1 − D): `reward_shape="positive"`;
  D takes one pass over the rollout in `minibatches` steps, the paper one step on all of it: `minibatches=1`;
  terminals are worth 0, as in the paper; `terminal="absorbing"` is DAC's remedy for the bias of signs. The
    log-odds need it where episodes can end: while D wins, the learner's own are negative, and it ends soon;
  D and the policy have ReLU, the paper's two layers of 100 with tanh: `hidden=(100, 100)`;
  observations are standardised: `normalize_obs=False`;
  the paper's weight λ of the causal entropy, there 0 but for one task, is `temperature`, here above 0;
  a gradient penalty, 0 by default as in the paper: `gradient_penalty`.
"""

from typing import Any

import jax
import jax.numpy as jnp

from iqlearn_jax.agents import PpoState, make_ppo_agent
from iqlearn_jax.agents.common import ADAM
from iqlearn_jax.agents.ppo import flat, one_pass
from iqlearn_jax.methods.common import Method
from iqlearn_jax.methods.discriminator import discriminator_step, make_discriminator, rewards_of
from iqlearn_jax.methods.ppo import check_rollout
from iqlearn_jax.methods.soft_rl import check_imitation
from iqlearn_jax.methods.terminal import loop_weight
from iqlearn_jax.types import Batch


class JudgedState(PpoState):
    """PPO's state and the discriminator's parameters and optimiser state."""

    discriminator: Any
    discriminator_opt: Any


def judged(state: PpoState, params: Any) -> JudgedState:
    """PPO's state with a fresh discriminator beside it."""
    return JudgedState(**vars(state), discriminator=params, discriminator_opt=ADAM.init(params))


def make_gail(config, spec) -> Method:
    """min_D E_expert[−log D] + E_rollout[−log(1 − D)] + gradient penalty, then PPO on D's reward.

    `reward` is that of (s, a) alone. With `terminal="absorbing"` a terminal row brings its own reward and
    those of all steps in the absorbing state behind it, γ/(1−γ) times the reward there.

    Raises:
      InputError: an unknown reward shape, a terminal treatment or a switch that it does not know.
    """
    check_imitation(config)
    check_rollout(config)
    agent = make_ppo_agent(config, spec)
    judge = make_discriminator(config, spec, agent.preprocess)
    reward, end_reward = rewards_of(judge, config)
    absorbing = config.terminal == "absorbing"

    def init(key, hparams):
        agent_key, judge_key = jax.random.split(key)
        return judged(agent.init(agent_key, hparams), judge.init(judge_key))

    def behind(hparams, state, rows):
        """Rewards [N] of all that follows an end, as seen from the row before it."""
        if not absorbing:
            return jnp.zeros(rows.reward.shape)
        return loop_weight(hparams, rows) * end_reward(hparams, state)

    def judge_step(hparams, state, part, key):
        return discriminator_step(hparams, state, lambda params: judge.loss(hparams, params, part, key))

    def update(hparams, state, batch, key):
        judge_key, rl_key = jax.random.split(key)
        rows, shape_of_time = flat(batch.policy), batch.policy.reward.shape
        pairs = Batch(policy=rows, expert=batch.expert)
        state, metrics = one_pass(
            lambda *step: judge_step(hparams, *step), state, pairs, config.minibatches, judge_key
        )
        own = reward(hparams, state, rows)
        gain = (own + behind(hparams, state, rows)).reshape(shape_of_time)
        state, rl_metrics = agent.learn(hparams, state, batch.policy, gain, rl_key)
        found = {
            "gail/reward_policy": jnp.mean(own),
            "gail/reward_expert": jnp.mean(reward(hparams, state, batch.expert)),
        }
        return state, jax.tree.map(jnp.mean, metrics) | rl_metrics | found

    return Method(
        init=init,
        update=update,
        act=agent.act,
        reward=reward,
        feeds=frozenset({"rollout"}),
        end_reward=end_reward if absorbing else None,
    )
