"""Policy and values relative to the behaviour μ of the rows at hand: no action is asked for that nobody took.

V(s) = τ log E_{a~μ}[exp(Q(s,a)/τ)],   π(a|s) = μ(a|s) exp((Q(s,a) − V(s))/τ)

IQ-Learn's soft value with μ in the place of the uniform measure, its temperature a weight of KL(π‖μ). V is a
network of its own, the minimum of a regression whose only expectation is over rows (Garg et al. 2023,
"Extreme Q-Learning", eq. 10); the actor is the weighted clone of the rows.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from iqlearn_jax.agents.common import STANDARD_PARTS, Agent, Parts, box, descend, make_q_network
from iqlearn_jax.agents.gaussian_q import Parabola
from iqlearn_jax.agents.sac import make_sac
from iqlearn_jax.errors import InputError
from iqlearn_jax.ops.iq.soft import STEEPEST
from iqlearn_jax.types import EnvSpec


class Acting(NamedTuple):
    """What of a state acts."""

    actor: Any


def make_in_sample(config, spec: EnvSpec, parts: Parts = STANDARD_PARTS) -> Agent:
    """SAC's networks with a split critic, and V(s) as one more (`critic["net"]["value"]`).

    `improve` clones the rows that it is given as the last argument, each weighted by exp((Q − V)/τ). The
    policy is a Gaussian around a squashed mean, as `bc` has it (`agents.gaussian_q`), σ fixed.

    Raises:
      InputError: a learned temperature, which here weighs KL(π‖μ) and has no entropy to hold.
    """
    if config.learn_temperature:
        raise InputError(
            "config.learn_temperature is True, but with policy class 'in_sample' the temperature says "
            "how far the policy may go from the rows; set --config.learn_temperature=False"
        )
    sac = make_sac(config, spec, parts, split=True)
    net = make_q_network(config, spec, 1)
    low, high = (np.asarray(end, np.float32) for end in (spec.action_low, spec.action_high))
    middle, half = box(spec)

    def init(key, hparams):
        state = sac.init(key, hparams)
        obs = jnp.zeros((1, *spec.obs_shape), spec.obs_dtype)
        params = net.init(jax.random.fold_in(key, 1), sac.preprocess(hparams, obs))
        critic = state.critic | {"net": state.critic["net"] | {"value": params}}
        target = jax.tree.map(jnp.copy, critic)
        return state.replace(critic=critic, target_critic=target, critic_opt=parts.optimizer.init(critic))

    def value(hparams, state, critic, obs, key):
        return net.apply(critic["net"]["value"], sac.preprocess(hparams, obs))[..., 0]

    def values(hparams, state, critic, obs, action, key):
        return sac.q(hparams, critic, obs, action), value(hparams, state, critic, obs, key)

    def policy(hparams, actor, obs) -> Parabola:
        mode = sac.act(hparams, Acting(actor), obs, None, deterministic=True)
        mean = (mode - middle) / half
        return Parabola(mean[..., 0], mean, hparams["policy_std"], jnp.zeros_like(mean), low, high)

    def act(hparams, state, obs, key, deterministic=False):
        return policy(hparams, state.actor, obs).action(None if deterministic else key)

    def improve(hparams, state, obs, key, rows):
        q, v = values(hparams, state, state.critic, rows.obs, rows.action, key)
        weight = jnp.exp(jnp.minimum((q.min(axis=0) - v) / state.temperature, STEEPEST))

        def loss(actor):
            return -jnp.mean(weight * policy(hparams, actor, rows.obs).log_prob(rows.action))

        grads = jax.grad(loss)(state.actor)
        rate, decay = hparams["actor_lr"], hparams["weight_decay"]
        actor, opt = descend(state.actor, state.actor_opt, grads, rate, decay, parts.optimizer)
        metrics = {"policy/grad_norm": optax.tree.norm(grads), "policy/weight": jnp.mean(weight)}
        return state.replace(actor=actor, actor_opt=opt), metrics

    return sac._replace(
        init=init,
        value=value,
        values=values,
        log_prob=lambda h, actor, temperature, obs, action: policy(h, actor, obs).log_prob(action),
        improve=improve,
        act=act,
        max_entropy=0.0,
    )
