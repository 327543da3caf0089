"""GAIL: generative adversarial imitation (Ho & Ermon 2016, arXiv 1606.03476, Algorithm 1), on PPO.

A discriminator D of demonstrations and the rollout, then PPO on a reward made of D; the next rollout is the
new policy's. `reward_shape` chooses the reward; what each does to the length of episodes is in
`ops.baselines.adversarial.shaped_reward`.

Departures from the paper, each with the switch that restores its choice:
  the policy's step is PPO's, the paper's is TRPO's: no switch;
  the reward is the log-odds, the paper's −log(1 − D): `reward_shape="positive"`;
  D takes one pass over the rollout in `minibatches` steps, the paper one step on all of it: `minibatches=1`;
  terminals are worth 0, as in the paper; `terminal="absorbing"` is DAC's remedy for the bias of signs. The
    log-odds need it where episodes can end: while D wins, the learner's are negative, and it ends soon;
  D and the policy have ReLU, the paper's two layers of 100 with tanh: `hidden=(100, 100)`;
  observations are standardised: `normalize_obs=False`;
  the paper's weight λ of the causal entropy, there 0 but for one task, is `temperature`, here above 0;
  a gradient penalty, 0 by default as in the paper: `gradient_penalty`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from iqlearn_jax.agents.common import STANDARD_PARTS, Parts
from iqlearn_jax.agents.ppo import PPO_KEYS, PpoState, flat, make_ppo_agent, one_pass
from iqlearn_jax.methods.forward_rl.soft_rl import check_terminal
from iqlearn_jax.methods.imitation.discriminator import (
    JUDGE_KEYS,
    discriminator_step,
    make_discriminator,
    rewards_of,
)
from iqlearn_jax.methods.method import DEMOS, ON_POLICY, Method, MethodEntry
from iqlearn_jax.methods.rollouts import check_rollout
from iqlearn_jax.methods.terminal import loop_weight
from iqlearn_jax.types import Batch

KEYS = DEMOS | PPO_KEYS | JUDGE_KEYS | {"reward_shape"}


class JudgedState(PpoState):
    """PPO's state and the discriminator's parameters and optimiser state."""

    discriminator: Any
    discriminator_opt: Any


def judged(state: PpoState, params: Any, optimizer: optax.GradientTransformation) -> JudgedState:
    """PPO's state with a fresh discriminator beside it."""
    return JudgedState(**vars(state), discriminator=params, discriminator_opt=optimizer.init(params))


def make_gail(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """min_D E_expert[−log D] + E_rollout[−log(1 − D)] + gradient penalty, then PPO on D's reward.

    `reward` is that of (s, a) alone. With `terminal="absorbing"` a terminal row brings its own reward and
    those of all steps in the absorbing state after it, γ/(1−γ) times the reward there.

    Raises:
      InputError: a terminal treatment that it does not know, or minibatches that do not divide a rollout.
    """
    check_terminal(config)
    check_rollout(config)
    agent = make_ppo_agent(config, spec, parts)
    judge = make_discriminator(config, spec, agent.preprocess)
    reward, end_reward = rewards_of(judge, config)
    absorbing = config.terminal == "absorbing"

    def init(key, hparams):
        agent_key, judge_key = jax.random.split(key)
        return judged(agent.init(agent_key, hparams), judge.init(judge_key), parts.optimizer)

    def after_end(hparams, state, rows):
        """Rewards [N] of all that follows an end, as seen from the row before it."""
        if not absorbing:
            return jnp.zeros(rows.reward.shape)
        return loop_weight(hparams, rows) * end_reward(hparams, state)

    def judge_step(hparams, state, part, key):
        loss = partial(judge.loss, hparams, batch=part, key=key)
        return discriminator_step(hparams, state, loss, parts.optimizer)

    def update(hparams, state, batch, key):
        judge_key, rl_key = jax.random.split(key)
        rows, shape_of_time = flat(batch.policy), batch.policy.reward.shape
        pairs = Batch(policy=rows, expert=batch.expert)
        step = partial(judge_step, hparams)
        state, metrics = one_pass(step, state, pairs, config.minibatches, judge_key)
        policy_reward = reward(hparams, state, rows)
        gain = (policy_reward + after_end(hparams, state, rows)).reshape(shape_of_time)
        state, rl_metrics = agent.learn(hparams, state, batch.policy, gain, rl_key)
        rewards = {
            "gail/reward_policy": jnp.mean(policy_reward),
            "gail/reward_expert": jnp.mean(reward(hparams, state, batch.expert)),
        }
        return state, jax.tree.map(jnp.mean, metrics) | rl_metrics | rewards

    return Method(
        init=init,
        update=update,
        act=agent.act,
        reward=reward,
        end_reward=end_reward if absorbing else None,
    )


ENTRY = MethodEntry(
    make_gail,
    KEYS,
    "generative adversarial imitation on PPO (Ho & Ermon 2016)",
    feeds=frozenset({"rollout"}),
    refuses=ON_POLICY,
    parts=frozenset({"optimizer"}),
)
