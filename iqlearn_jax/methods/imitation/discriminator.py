"""A discriminator of expert and learner on (s, a), with the absorbing state as an input of its own.

Inputs are the agent's (standardised vectors, images in [0, 1], one-hot tabular states), the action (one-hot,
or scaled to [-1, 1]) and an indicator. The absorbing state is all zeros with indicator 1: one point, reached
by every terminal transition, whose logit is learned like any other (Kostrikov et al. 2019, §4.2).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from iqlearn_jax.agents.common import ADAM, box, descend
from iqlearn_jax.config.values import values_of
from iqlearn_jax.nets import Critic
from iqlearn_jax.ops.baselines.adversarial import logistic_loss, shaped_reward
from iqlearn_jax.ops.iq.penalties import gradient_penalty
from iqlearn_jax.types import EnvSpec, Metrics

JUDGE_KEYS = frozenset({"hidden", "terminal", "discriminator_lr", "gradient_penalty"})
Point = tuple[jax.Array, jax.Array]  # observations [B, ...], and actions with the indicator [B, A + 1]


class Discriminator(NamedTuple):
    """A discriminator as pure functions.

    Attributes:
      init: (key) -> parameters.
      logit: (hparams, params, rows) -> logits [B] of (s, a).
      end_logit: (params) -> logit [] of the absorbing state.
      loss: (hparams, params, batch, key) -> (loss [], metrics).
    """

    init: Callable
    logit: Callable
    end_logit: Callable
    loss: Callable


def make_discriminator(config, spec: EnvSpec, preprocess: Callable) -> Discriminator:
    """An MLP (after the encoder for images) with the critic's layers.

    Args:
      preprocess: the agent's, (hparams, obs) -> network input.
    """
    net = Critic(hidden=tuple(config.hidden), image=len(spec.obs_shape) == 3)
    absorbing = config.terminal == "absorbing"

    def inputs(hparams, rows) -> Point:
        return inputs_of(spec, preprocess(hparams, rows.obs), rows.action)

    def logit(hparams, params, rows):
        return net.apply(params, *inputs(hparams, rows))

    def end_logit(params):
        return net.apply(params, *end_point(spec))[0]

    def mean_loss(params, rows, logits, expert):
        """Of one side; each terminal row brings the absorbing state once, as in DAC."""
        ends = rows.terminated * logistic_loss(end_logit(params), expert) if absorbing else 0.0
        return jnp.mean(logistic_loss(logits, expert) + ends)

    def penalty(hparams, params, batch, key):
        mix_key, *keys = jax.random.split(key, 3)
        expert, policy = inputs(hparams, batch.expert), inputs(hparams, batch.policy)
        if absorbing:
            expert = with_ends(spec, expert, batch.expert, keys[0])
            policy = with_ends(spec, policy, batch.policy, keys[1])

        def logit_of(point):
            return net.apply(params, *jax.tree.map(lambda x: x[None], point))[0]

        return gradient_penalty(logit_of, expert, policy, mix_key)

    def loss(hparams, params, batch, key):
        expert, policy = (logit(hparams, params, rows) for rows in (batch.expert, batch.policy))
        value = mean_loss(params, batch.expert, expert, True) + mean_loss(params, batch.policy, policy, False)
        cost = jnp.zeros(())
        if max(values_of(config, "gradient_penalty")) > 0:
            cost = hparams["gradient_penalty"] * penalty(hparams, params, batch, key)
        return value + cost, verdict(value, cost, expert, policy)

    return Discriminator(lambda key: net.init(key, *end_point(spec)), logit, end_logit, loss)


def rewards_of(judge: Discriminator, config) -> tuple[Callable, Callable]:
    """What `config.reward_shape` makes of D's logits: `Method.reward` of (s, a), and `Method.end_reward`."""
    shape = config.reward_shape

    def reward(hparams, state, transition, key=None):
        return shaped_reward(judge.logit(hparams, state.discriminator, transition), shape)

    def end_reward(hparams, state):
        return shaped_reward(judge.end_logit(state.discriminator), shape)

    return reward, end_reward


def verdict(value, cost, expert, policy) -> Metrics:
    """Metrics of a loss and its penalty [], and of the logits [B] of both sides."""
    right = 0.5 * (jnp.mean(expert > 0) + jnp.mean(policy < 0))
    return {"discriminator/loss": value, "discriminator/penalty": cost, "discriminator/accuracy": right}


def discriminator_step(hparams, state, loss: Callable, optimizer=ADAM) -> tuple[Any, Metrics]:
    """One step of `state.discriminator` on loss(params) -> (value [], metrics)."""
    grads, metrics = jax.grad(loss, has_aux=True)(state.discriminator)
    rate = hparams["discriminator_lr"]
    params, opt = descend(state.discriminator, state.discriminator_opt, grads, rate, optimizer=optimizer)
    metrics |= {"discriminator/grad_norm": optax.tree.norm(grads)}
    return state.replace(discriminator=params, discriminator_opt=opt), metrics


def inputs_of(spec: EnvSpec, x: jax.Array, action: jax.Array) -> Point:
    """What the network sees of rows: all real, indicator 0.

    Args:
      x: [B, ...] the agent's network inputs; action: [B] or [B, A] in the environment's units.
    """
    if spec.obs_shape == ():
        x = jax.nn.one_hot(x, spec.mdp.transition.shape[0])
    if spec.discrete:
        action = jax.nn.one_hot(action, spec.num_actions)
    else:
        middle, half = box(spec)
        action = (action - middle) / half
    return x, jnp.pad(action, ((0, 0), (0, 1)))


def end_point(spec: EnvSpec) -> Point:
    """What the network sees of the absorbing state, B = 1: zeros, indicator 1."""
    shape = spec.obs_shape or spec.mdp.transition.shape[:1]
    size = spec.num_actions if spec.discrete else np.size(spec.action_low)
    return jnp.zeros((1, *shape)), jnp.zeros((1, size + 1)).at[0, -1].set(1.0)


def with_ends(spec: EnvSpec, point: Point, rows, key: jax.Array) -> Point:
    """Inputs [B] with the absorbing state in place of a terminal row in half of the cases: as often as the
    two would be drawn where both are stored."""
    ends = rows.terminated & jax.random.bernoulli(key, shape=rows.terminated.shape)

    def instead(end, x):
        return jnp.where(ends.reshape(-1, *[1] * (x.ndim - 1)), end, x)

    return jax.tree.map(instead, end_point(spec), point)
