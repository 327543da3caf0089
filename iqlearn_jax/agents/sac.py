"""Soft actor-critic (Haarnoja et al. 2018): tanh-Gaussian actor, one or more critics."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from iqlearn_jax.agents.common import (
    STANDARD_PARTS,
    Agent,
    Parts,
    box,
    descend,
    entropy_floor,
    initial_state,
    make_preprocess,
    temperature_step,
)
from iqlearn_jax.nets import Actor, Critic, Ensemble, Split, tanh_gaussian
from iqlearn_jax.types import EnvSpec


def anchor_loss(q: jax.Array, distance: jax.Array) -> jax.Array:
    """mean|Q|·E[distance²], []: the squares in units of Q, whose scale nobody knows beforehand.

    Args:
      q: [B] of the actor's actions.
      distance: [B, A] of its mode from the expert's actions, in half-widths of the box.
    """
    return jax.lax.stop_gradient(jnp.mean(jnp.abs(q))) * jnp.mean(jnp.square(distance))


def make_sac(
    config, spec: EnvSpec, parts: Parts = STANDARD_PARTS, anchored: bool = False, split: bool = False
) -> Agent:
    """SAC as a record of pure functions (see `Agent`). V(s) = min_e Q_e(s,a) − τ log π(a|s), a ~ π(s); with
    `excess_entropy` less τ·target_entropy.

    If `anchored`, the actor's loss has anchor·mean|Q|·‖mode π(s) − a‖² over the expert's rows besides,
    a mean over components in half-widths of the box: what TD3+BC (Fujimoto & Gu 2021) adds offline. No paper
    of imitation here has it; `config.anchor=0` is theirs.

    If `split`, Q_e(s,a) = r(s,a) + f_e(s,a): a reward of its own, which all critics share, and what follows.
    """
    low, high = np.asarray(spec.action_low, np.float32), np.asarray(spec.action_high, np.float32)
    sizes: dict[str, Any] = {"hidden": tuple(config.hidden), "image": len(spec.obs_shape) == 3}
    member = Critic(layer_norm=config.layer_norm, **sizes) if parts.critic is None else parts.critic
    ensemble = Ensemble(member, config.critics)
    critic_net = Split(Critic(**sizes), ensemble) if split else ensemble
    actor_net = Actor(action_dim=low.size, **sizes) if parts.actor is None else parts.actor
    preprocess = make_preprocess(spec)
    middle, half = box(spec)

    def init(key, hparams):
        critic_key, actor_key = jax.random.split(key)
        obs = preprocess(hparams, jnp.zeros((1, *spec.obs_shape), spec.obs_dtype))
        critic = critic_net.init(critic_key, obs, jnp.zeros((1, low.size)))
        return initial_state(critic, actor_net.init(actor_key, obs), hparams, parts.optimizer)

    def q_of_input(hparams, critic, x, action):
        return critic_net.apply(critic["net"], x, (action - middle) / half)

    def q(hparams, critic, obs, action):
        return q_of_input(hparams, critic, preprocess(hparams, obs), action)

    def sample(hparams, actor, obs, key):
        mean, log_std = actor_net.apply(actor, preprocess(hparams, obs))
        return tanh_gaussian.sample(key, mean, log_std, low, high)

    def value(hparams, state, critic, obs, key):
        action, log_pi = sample(hparams, state.actor, obs, key)
        excess = -log_pi - entropy_floor(config, hparams)
        return q(hparams, critic, obs, action).min(axis=0) + state.temperature * excess

    def log_prob(hparams, actor, temperature, obs, action):
        mean, log_std = actor_net.apply(actor, preprocess(hparams, obs))
        return tanh_gaussian.log_prob(action, mean, log_std, low, high)

    def improve(hparams, state, obs, key, expert=None):
        def loss(actor):
            action, log_pi = sample(hparams, actor, obs, key)
            best = q(hparams, state.critic, obs, action).min(axis=0)
            total = -jnp.mean(best - state.temperature * log_pi)
            if anchored:
                play = act(hparams, state.replace(actor=actor), expert.obs, key, deterministic=True)
                total += hparams["anchor"] * anchor_loss(best, (play - expert.action) / half)
            return total, -jnp.mean(log_pi)

        grads, entropy = jax.grad(loss, has_aux=True)(state.actor)
        rate = hparams["actor_lr"]
        actor, opt = descend(state.actor, state.actor_opt, grads, rate, optimizer=parts.optimizer)
        state, metrics = temperature_step(config, hparams, state.replace(actor=actor, actor_opt=opt), entropy)
        return state, metrics | {"policy/grad_norm": optax.tree.norm(grads)}

    def act(hparams, state, obs, key, deterministic=False):
        if deterministic:
            mean, _ = actor_net.apply(state.actor, preprocess(hparams, obs))
            return tanh_gaussian.mode(mean, low, high)
        return sample(hparams, state.actor, obs, key)[0]

    return Agent(
        init=init,
        values=lambda h, s, c, obs, action, key: (q(h, c, obs, action), value(h, s, c, obs, key)),
        value=value,
        expected_q=lambda h, s, c, obs, key: q(h, c, obs, sample(h, s.actor, obs, key)[0]),
        q=q,
        preprocess=preprocess,
        q_of_input=q_of_input,
        log_prob=log_prob,
        policy_field="actor",
        improve=improve,
        act=act,
        max_entropy=float(np.sum(np.log(high - low))),
        optimizer=parts.optimizer,
        half_width=half,
    )
