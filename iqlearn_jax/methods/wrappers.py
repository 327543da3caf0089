"""Methods made from methods: learning rates that fall, actors that are averaged."""

import jax
import jax.numpy as jnp
import optax

from iqlearn_jax.config.schema import TINY
from iqlearn_jax.config.values import rates, require
from iqlearn_jax.methods.method import Method
from iqlearn_jax.types import EnvSpec


def annealed(config, method: Method) -> Method:
    """The method with learning rates that stay constant, then fall linearly to 0 at the last update.

    A constant rate is every paper's choice here (`lr_decay=0`). Whoever calls `update` alone may as well pass
    other rates in `hparams` at each call: they are traced.

    Args:
      config: `lr_decay`, the share of `updates` over which rates fall: traced, in [0, 1].
    """

    def update(hparams, state, batch, key):
        left = 1.0 - state.step / config.updates
        rate = jnp.clip(left / jnp.maximum(hparams["lr_decay"], TINY), 0.0, 1.0)
        return method.update(hparams | {name: rate * hparams[name] for name in rates()}, state, batch, key)

    return method._replace(update=update)


def averaged(config, spec: EnvSpec, method: Method) -> Method:
    """The method with an actor that plays deterministically by the mean of all actors so far.

    Imitation is a zero-sum game of the policy against Q, and of no-regret play it is the mean that settles
    (Freund & Schapire 1999); for parameters of networks that is a heuristic. No paper here averages
    (`average_rate=1`). Learning and exploration do not see the mean.

    Args:
      config: `average_rate`, the weight of the new actor: traced, in [0, 1]; early, and at 0 throughout, all
        actors weigh the same.
    Raises:
      InputError: discrete actions, or a rollout's feed, whose states have no such mean.
    """
    require(
        not spec.discrete and config.feed != "rollout",
        f"config.average_rate is {config.average_rate}; it averages actors of continuous actions that learn "
        f"from a replay or demonstrations, but {spec.id} has {'discrete' if spec.discrete else 'continuous'} "
        f"actions and config.feed is '{config.feed}'; set --config.average_rate=1",
    )

    def init(key, hparams):
        state = method.init(key, hparams)
        return state.replace(mean_actor=jax.tree.map(jnp.copy, state.actor))  # its own buffers: donated

    def update(hparams, state, batch, key):
        state, metrics = method.update(hparams, state, batch, key)
        rate = jnp.maximum(hparams["average_rate"], 1.0 / state.step)
        return state.replace(
            mean_actor=optax.incremental_update(state.actor, state.mean_actor, rate)
        ), metrics

    def act(hparams, state, obs, key, deterministic=False):
        actor = state.mean_actor if deterministic else state.actor
        return method.act(hparams, state.replace(actor=actor), obs, key, deterministic)

    return method._replace(init=init, update=update, act=act)
