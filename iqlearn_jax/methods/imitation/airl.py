"""AIRL: adversarial inverse RL (Fu, Luo & Levine 2018, arXiv 1710.11248, Algorithm 1), on PPO.

The discriminator is D = e^f/(e^f + π(a|s)) with f(s,a,s') = g(s[,a]) + γh(s') − h(s), the policy's reward
log D − log(1 − D) = f − log π. Under deterministic dynamics, with g of the state alone, the optimum has
f = log π_E, so that g is the expert's reward and h its soft value (at temperature 1), each up to a constant
(theorems 5.1 and 5.2, for processes whose states can be told apart by their successors).

After a cut h(s') is that of the true successor. After an end comes an absorbing state ("end"), whose
self-loop has log π = 0. `terminal="zero"`: g(end) = h(end) = 0, so that f = 0 there for ever; where D tells
the two sides apart, the learner's log-odds are negative, and ending soon looks good. "absorbing": g(end)
and h(end) are learned, with an indicator as input; each terminal row brings the self-loop, whose f is
g(end) − (1−γ)h(end), to D once, and to the policy's reward for ever after, γ/(1−γ) times (as DAC does).

Departures from the paper, each with the switch that restores its choice:
  the policy's step is PPO's, the paper's is TRPO's: no switch;
  f − log π holds the entropy with weight 1 already; PPO's bonus comes on top: a `temperature` close to 0;
  D sees the last rollout only, the paper those of the last 20 iterations: no switch;
  D takes one pass over it in `minibatches` steps; g and h have the policy's widths (the paper: g linear or
    32-32, h 32-32): `hidden`;
  observations are standardised: `normalize_obs=False`;
  a gradient penalty on f by (s, a, s'), 0 by default as in the paper: `gradient_penalty`;
  continuous actions: log π is taken off the edge of the box (`nets.tanh_gaussian.EDGE`) on both sides.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from iqlearn_jax.agents.common import STANDARD_PARTS, Parts
from iqlearn_jax.agents.ppo import PPO_KEYS, flat, make_ppo_agent, one_pass
from iqlearn_jax.config.values import values_of
from iqlearn_jax.methods.batches import inside
from iqlearn_jax.methods.forward_rl.soft_rl import check_terminal
from iqlearn_jax.methods.imitation.discriminator import (
    JUDGE_KEYS,
    discriminator_step,
    end_point,
    inputs_of,
    verdict,
)
from iqlearn_jax.methods.imitation.gail import judged
from iqlearn_jax.methods.method import DEMOS, ON_POLICY, Method, MethodEntry
from iqlearn_jax.methods.rollouts import check_rollout
from iqlearn_jax.nets import Critic
from iqlearn_jax.ops.baselines.adversarial import logistic_loss
from iqlearn_jax.ops.iq.penalties import gradient_penalty
from iqlearn_jax.types import discount

KEYS = DEMOS | PPO_KEYS | JUDGE_KEYS | {"reward_input"}


class Side(NamedTuple):
    """One side of the discriminator's batch: transitions [B] and log π(a|s) [B] of the policy that acted."""

    rows: Any
    log_pi: jax.Array


class Shaping(NamedTuple):
    """f, its reward and its smoothness, as pure functions.

    Attributes:
      init: (key) -> {"g", "h"} parameters.
      reward: (hparams, params, rows) -> g [B].
      shaped: (hparams, params, rows) -> f [B], in nats.
      end: (hparams, params) -> f [] of the absorbing state's self-loop; 0 unless it is learned.
      end_reward: (params) -> g [] of the absorbing state.
      penalty: (hparams, params, expert rows, policy rows, key) -> [].
    """

    init: Callable
    reward: Callable
    shaped: Callable
    end: Callable
    end_reward: Callable
    penalty: Callable


def make_airl(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """min_f E_expert[−log D] + E_rollout[−log(1 − D)], then PPO on f − log π. `reward` is g.

    Raises:
      InputError: a terminal treatment that it does not know, or minibatches that do not divide a rollout.
    """
    check_terminal(config)
    check_rollout(config)
    agent = make_ppo_agent(config, spec, parts)
    shaping = make_shaping(config, spec, agent.preprocess)

    def init(key, hparams):
        agent_key, judge_key = jax.random.split(key)
        return judged(agent.init(agent_key, hparams), shaping.init(judge_key), parts.optimizer)

    def side(hparams, state, rows):
        return Side(rows, agent.log_prob(hparams, state.actor, rows.obs, inside(spec, rows.action)))

    def logit(hparams, params, part):
        return shaping.shaped(hparams, params, part.rows) - part.log_pi

    def loss(hparams, sides, key, params):
        expert, policy = (logit(hparams, params, part) for part in sides)
        end, (shown, played) = shaping.end(hparams, params), sides
        value = jnp.mean(logistic_loss(expert, True)) + jnp.mean(logistic_loss(policy, False))
        if config.terminal == "absorbing":
            value += jnp.mean(shown.rows.terminated) * logistic_loss(end, True)
            value += jnp.mean(played.rows.terminated) * logistic_loss(end, False)
        cost = jnp.zeros(())
        if max(values_of(config, "gradient_penalty")) > 0:
            rows = (part.rows for part in sides)
            cost = hparams["gradient_penalty"] * shaping.penalty(hparams, params, *rows, key)
        return value + cost, verdict(value, cost, expert, policy)

    def judge_step(hparams, state, sides, key):
        return discriminator_step(hparams, state, partial(loss, hparams, sides, key), parts.optimizer)

    def update(hparams, state, batch, key):
        judge_key, rl_key = jax.random.split(key)
        sides = [side(hparams, state, rows) for rows in (batch.expert, flat(batch.policy))]
        step = partial(judge_step, hparams)
        state, metrics = one_pass(step, state, sides, config.minibatches, judge_key)
        after_end = shaping.end(hparams, state.discriminator) * hparams["gamma"] / (1.0 - hparams["gamma"])
        gain = logit(hparams, state.discriminator, sides[1]) + sides[1].rows.terminated * after_end
        state, rl_metrics = agent.learn(
            hparams, state, batch.policy, gain.reshape(batch.policy.reward.shape), rl_key
        )
        rewards = [jnp.mean(shaping.reward(hparams, state.discriminator, part.rows)) for part in sides]
        metrics = jax.tree.map(jnp.mean, metrics) | rl_metrics
        return state, metrics | {"airl/reward_expert": rewards[0], "airl/reward_policy": rewards[1]}

    def reward(hparams, state, transition, key=None):
        return shaping.reward(hparams, state.discriminator, transition)

    def end_reward(hparams, state):
        return shaping.end_reward(state.discriminator)

    return Method(
        init=init,
        update=update,
        act=agent.act,
        reward=reward,
        end_reward=end_reward if config.terminal == "absorbing" else None,
    )


def make_shaping(config, spec, preprocess: Callable) -> Shaping:
    """g and h: MLPs (after the encoder for images) with the critic's layers.

    Args:
      preprocess: the agent's, (hparams, obs) -> network input.
    """
    net = Critic(hidden=tuple(config.hidden), image=len(spec.obs_shape) == 3)
    with_action, learned = config.reward_input == "state_action", config.terminal == "absorbing"

    def g(params, x, action):  # the last entry of an action is the indicator of the absorbing state
        return net.apply(params["g"], x, action if with_action else action[..., -1:])

    def h(params, x, ended):
        return net.apply(params["h"], x, jnp.asarray(ended, x.dtype)[..., None])

    def inputs(hparams, rows):
        x, action = inputs_of(spec, preprocess(hparams, rows.obs), rows.action)
        after = inputs_of(spec, preprocess(hparams, rows.next_obs), rows.action)[0]
        return x, action, after, rows.terminated

    def f(hparams, params, x, action, after, terminated):
        now = g(params, x, action) - h(params, x, jnp.zeros(terminated.shape))
        if not learned:
            following = h(params, after, jnp.zeros(terminated.shape))
            return now + discount(hparams["gamma"], terminated) * following
        ends = terminated.reshape(-1, *[1] * (after.ndim - 1))
        return now + hparams["gamma"] * h(params, jnp.where(ends, 0.0, after), terminated)

    def end(hparams, params):
        if not learned:
            return jnp.zeros(())
        leak = (1.0 - hparams["gamma"]) * h(params, end_point(spec)[0], jnp.ones(1))[0]
        return end_reward(params) - leak

    def end_reward(params):
        return g(params, *end_point(spec))[0]

    def init(key):
        g_key, h_key = jax.random.split(key)
        x, action = end_point(spec)
        inputs = {"g": action if with_action else action[..., -1:], "h": action[..., -1:]}
        return {"g": net.init(g_key, x, inputs["g"]), "h": net.init(h_key, x, inputs["h"])}

    def penalty(hparams, params, expert, policy, key):
        def one(point):
            return f(hparams, params, *jax.tree.map(lambda x: x[None], point))[0]

        return gradient_penalty(one, inputs(hparams, expert), inputs(hparams, policy), key)

    return Shaping(
        init=init,
        reward=lambda hparams, params, rows: g(params, *inputs(hparams, rows)[:2]),
        shaped=lambda hparams, params, rows: f(hparams, params, *inputs(hparams, rows)),
        end=end,
        end_reward=end_reward,
        penalty=penalty,
    )


ENTRY = MethodEntry(
    make_airl,
    KEYS,
    "adversarial inverse RL: a reward apart from the dynamics, on PPO (Fu et al. 2018)",
    feeds=frozenset({"rollout"}),
    refuses=ON_POLICY,
    parts=frozenset({"optimizer"}),
)
