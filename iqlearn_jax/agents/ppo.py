"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) with a clipped surrogate.

Departures from the paper and from common code, none with a switch but where named:
  the policy and its values are two networks with ReLU and rates of their own (`actor_lr`, `critic_lr`), so
    that no weight between their losses is needed; nothing decays;
  advantages are standardised over the whole rollout; gradients and changes of values are not clipped;
  continuous actions are a tanh-Gaussian's, inside their box, with a spread that depends on the state; a
    Gaussian clipped by the environment would have densities that are not those of the actions taken;
  its entropy has no closed form, the bonus draws one action at each state; its weight is `temperature`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from iqlearn_jax.agents.common import (
    NETWORK_KEYS,
    STANDARD_PARTS,
    Parts,
    check_observations,
    descend,
    make_preprocess,
    make_q_network,
    taken,
)
from iqlearn_jax.nets import Actor, tanh_gaussian
from iqlearn_jax.ops.baselines.advantage import clipped_surrogate, generalized_advantage
from iqlearn_jax.ops.iq.soft import entropy
from iqlearn_jax.types import EnvSpec, Transition, discount

PPO_KEYS = NETWORK_KEYS | {
    "temperature", "actor_lr", "critic_lr", "gamma", "gae_lambda", "clip_range", "epochs", "minibatches",
}  # fmt: skip
DRAWN_EDGE = 1e-6  # drawn actions keep their density up to here; float32 resolves no more at ±1
HEAD_SCALE = 0.01  # of the last layer of logits: the first policy is close to uniform
TINY_STD = 1e-8


class PpoState(struct.PyTreeNode):
    """Everything that learning changes.

    Attributes:
      actor, actor_opt: parameters of the policy and the optimiser's state.
      critic, critic_opt: the same of V(s).
      log_temperature: [] log of the entropy bonus' weight; constant.
      step: [] int32 number of rollouts learned from.
    """

    actor: Any
    actor_opt: Any
    critic: Any
    critic_opt: Any
    log_temperature: jax.Array
    step: jax.Array

    @property
    def temperature(self) -> jax.Array:
        """Weight of the entropy bonus [], in standardised advantages per nat."""
        return jnp.exp(self.log_temperature)


class Policy(NamedTuple):
    """A distribution over actions, the same for both kinds of them.

    Attributes:
      init: (key, network input) -> parameters.
      log_prob: (params, network input, action) -> log π(a|s) [B].
      entropy: (params, network input, key) -> [B] nats, exact or of one sample.
      act: (params, network input, key, deterministic) -> actions.
    """

    init: Callable
    log_prob: Callable
    entropy: Callable
    act: Callable


class Ppo(NamedTuple):
    """PPO as pure functions; the rewards come from its caller. Rollouts are [T, N].

    Attributes:
      init: (key, hparams) -> PpoState.
      log_prob: (hparams, actor, obs, action) -> log π(a|s) [B].
      act: as `methods.Method.act`.
      learn: (hparams, state, rollout, reward [T, N], key) -> (state, metrics).
      preprocess: (hparams, obs) -> network input.
    """

    init: Callable
    log_prob: Callable
    act: Callable
    learn: Callable
    preprocess: Callable


class Sample(NamedTuple):
    """What a step of PPO reads of rows [B]."""

    obs: jax.Array
    action: jax.Array
    log_pi: jax.Array  # of the policy that acted
    advantage: jax.Array  # standardised
    target: jax.Array  # of V(s)


def make_ppo_agent(config, spec: EnvSpec, parts: Parts = STANDARD_PARTS) -> Ppo:
    """PPO for discrete (categorical) and continuous (tanh-Gaussian) actions.

    Raises:
      InputError: observations for which there is no network.
    """
    check_observations(spec)
    policy, optimizer = make_policy(config, spec), parts.optimizer
    value_net, preprocess = make_q_network(config, spec, 1), make_preprocess(spec)

    def init(key, hparams):
        actor_key, critic_key = jax.random.split(key)
        x = preprocess(hparams, jnp.zeros((1, *spec.obs_shape), spec.obs_dtype))
        actor, critic = policy.init(actor_key, x), value_net.init(critic_key, x)
        log_temperature = jnp.log(jnp.asarray(hparams["temperature"], jnp.float32))
        return PpoState(
            actor, optimizer.init(actor), critic, optimizer.init(critic), log_temperature, step=jnp.int32(0)
        )

    def value(hparams, critic, obs):
        return value_net.apply(critic, preprocess(hparams, obs))[..., 0]

    def log_prob(hparams, actor, obs, action):
        return policy.log_prob(actor, preprocess(hparams, obs), action)

    def act(hparams, state, obs, key, deterministic=False):
        return policy.act(state.actor, preprocess(hparams, obs), key, deterministic)

    def losses(hparams, state, sample, key, actor, critic):
        x = preprocess(hparams, sample.obs)
        log_ratio = policy.log_prob(actor, x, sample.action) - sample.log_pi
        gain = jnp.mean(clipped_surrogate(log_ratio, sample.advantage, hparams["clip_range"]))
        spread = jnp.mean(policy.entropy(actor, x, key))
        value_loss = jnp.mean(jnp.square(value(hparams, critic, sample.obs) - sample.target))
        metrics = {
            "ppo/surrogate": gain,
            "ppo/value_loss": value_loss,
            "ppo/kl": jnp.mean(jnp.expm1(log_ratio) - log_ratio),  # of old from new, by samples of old
            "ppo/clipped": jnp.mean(jnp.abs(jnp.expm1(log_ratio)) > hparams["clip_range"]),
            "policy/entropy": spread,
        }
        return value_loss - gain - state.temperature * spread, metrics  # no parameter is in both parts

    def step(hparams, state, sample, key):
        loss = partial(losses, hparams, state, sample, key)
        slopes, metrics = jax.grad(loss, argnums=(0, 1), has_aux=True)(state.actor, state.critic)
        move = partial(descend, optimizer=optimizer)
        actor, actor_opt = move(state.actor, state.actor_opt, slopes[0], hparams["actor_lr"])
        critic, critic_opt = move(state.critic, state.critic_opt, slopes[1], hparams["critic_lr"])
        state = state.replace(actor=actor, actor_opt=actor_opt, critic=critic, critic_opt=critic_opt)
        norms = {"policy/grad_norm": slopes[0], "critic/grad_norm": slopes[1]}
        return state, metrics | {name: optax.tree.norm(slope) for name, slope in norms.items()}

    def learn(hparams, state, rollout, reward, key):
        sample = prepare(hparams, state, rollout, reward, value, log_prob)
        state, metrics = all_passes(config, partial(step, hparams), state, sample, key)
        return state.replace(step=state.step + 1), metrics

    return Ppo(init, log_prob, act, learn, preprocess)


def prepare(hparams, state, rollout: Transition, reward, value: Callable, log_prob: Callable) -> Sample:
    """Rows [T·N] with advantages and targets by the present policy and its values; reward: [T, N]."""
    rows, shape = flat(rollout), reward.shape
    now = value(hparams, state.critic, rows.obs)
    following = value(hparams, state.critic, rows.next_obs)
    advantage = generalized_advantage(
        reward,
        now.reshape(shape),
        following.reshape(shape),
        discount(hparams["gamma"], rollout.terminated),
        rollout.terminated | rollout.truncated,
        hparams["gae_lambda"],
    ).ravel()
    standard = (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + TINY_STD)
    log_pi = log_prob(hparams, state.actor, rows.obs, rows.action)
    return Sample(rows.obs, rows.action, log_pi, standard, advantage + now)


def flat(rollout: Any) -> Any:
    """Leaves [T, N, ...] as rows [T·N, ...]."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rollout)


def one_pass(step: Callable, state: Any, rows: Any, count: int, key: jax.Array) -> tuple[Any, Any]:
    """step(state, minibatch, key) -> (state, metrics) on each of `count` minibatches of rows [M, ...].

    Returns:
      state, metrics [count].
    """
    order_key, step_key = jax.random.split(key)
    parts = minibatches(rows, count, order_key)

    def body(state, numbered):
        number, part = numbered
        return step(state, part, jax.random.fold_in(step_key, number))

    return jax.lax.scan(body, state, (jnp.arange(count), parts))


def all_passes(config, step: Callable, state: Any, rows: Any, key: jax.Array) -> tuple[Any, Any]:
    """`config.epochs` passes of step(state, minibatch, key) over rows [M, ...]; mean metrics."""

    def epoch(state, number):
        return one_pass(step, state, rows, config.minibatches, jax.random.fold_in(key, number))

    state, metrics = jax.lax.scan(epoch, state, jnp.arange(config.epochs))
    return state, jax.tree.map(jnp.mean, metrics)


def minibatches(rows: Any, count: int, key: jax.Array) -> Any:
    """Rows [M, ...] in a random order as [count, M / count, ...]; count must divide M."""
    size = jax.tree.leaves(rows)[0].shape[0]
    order = jax.random.permutation(key, size)
    return jax.tree.map(lambda x: x[order].reshape(count, -1, *x.shape[1:]), rows)


def make_policy(config, spec: EnvSpec) -> Policy:
    """Categorical for discrete actions, tanh-Gaussian for continuous ones."""
    return _categorical(config, spec) if spec.discrete else _gaussian(config, spec)


def _categorical(config, spec: EnvSpec) -> Policy:
    network = make_q_network(config, spec, spec.num_actions, head_scale=HEAD_SCALE)

    def log_table(params, x):
        return jax.nn.log_softmax(network.apply(params, x))

    def log_prob(params, x, action):
        return taken(log_table(params, x), action)

    def act(params, x, key, deterministic):
        logits = log_table(params, x)
        drawn = jnp.argmax(logits, axis=-1) if deterministic else jax.random.categorical(key, logits)
        return drawn.astype(jnp.int32)

    return Policy(network.init, log_prob, lambda params, x, key: entropy(log_table(params, x)), act)


def _gaussian(config, spec: EnvSpec) -> Policy:
    low, high = np.asarray(spec.action_low, np.float32), np.asarray(spec.action_high, np.float32)
    network = Actor(low.size, tuple(config.hidden), image=len(spec.obs_shape) == 3)

    def log_prob(params, x, action):
        mean, log_std = network.apply(params, x)
        return tanh_gaussian.log_prob(action, mean, log_std, low, high, DRAWN_EDGE)

    def spread(params, x, key):
        mean, log_std = network.apply(params, x)
        return -tanh_gaussian.sample(key, mean, log_std, low, high)[1]

    def act(params, x, key, deterministic):
        mean, log_std = network.apply(params, x)
        if deterministic:
            return tanh_gaussian.mode(mean, low, high)
        return tanh_gaussian.sample(key, mean, log_std, low, high)[0]

    return Policy(network.init, log_prob, spread, act)
