"""The record that every method is."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from iqlearn_jax.agents.common import make_preprocess
from iqlearn_jax.agents.soft_q import make_network
from iqlearn_jax.config import RATES, TINY
from iqlearn_jax.errors import InputError, unknown
from iqlearn_jax.nets.tanh_gaussian import EDGE
from iqlearn_jax.ops.objectives import weighted_mean
from iqlearn_jax.types import Batch, EnvSpec, Transition


class Method(NamedTuple):
    """A method as pure functions; static choices went in when it was made.

    Attributes:
      init: (key, hparams) -> State.
      update: (hparams, state, batch, key) -> (State, Metrics).
      act: (hparams, state, obs [B, ...], key, deterministic) -> actions [B, ...].
      reward: (hparams, state, transition [B], key) -> recovered reward [B]; None where the method has none.
      feeds: what it can learn from: some of "demos", "replay" and "rollout"; the config's `feed` picks one.
      round_updates: updates in a round, where it asks for `RoundTransition`s from the replay; else 0.
      window: steps of the demonstrated windows [B, window] that it asks for instead of rows [B]; else 0.
      from_start: those windows begin where episodes begin, and run on into other episodes behind their end.
      value: (hparams, state, obs [B, ...], key) -> V(s) [B]; None where no critic is watched by it.
      end_reward: (hparams, state) -> recovered reward [] of each step in the absorbing state behind an end,
        where `reward` of a terminal row does not hold it; None where nothing follows an end.
    """

    init: Callable
    update: Callable
    act: Callable
    reward: Callable | None
    feeds: frozenset[str]
    round_updates: int = 0
    window: int = 0
    from_start: bool = False
    value: Callable | None = None
    end_reward: Callable | None = None


def annealed(config, method: Method) -> Method:
    """The method with learning rates that stay constant, then fall linearly to 0 at the last update.

    A constant rate is every paper's choice here: `lr_decay=0`, where the method comes back as it is. Whoever
    calls `update` alone may as well pass other rates in `hparams` at each call: they are traced.

    Args:
      config: `lr_decay`, the share of `updates` over which rates fall: traced, in [0, 1].
    """
    if not any(config.grid.lr_decay or (config.lr_decay,)):
        return method

    def update(hparams, state, batch, key):
        left = 1.0 - state.step / config.updates
        rate = jnp.clip(left / jnp.maximum(hparams["lr_decay"], TINY), 0.0, 1.0)
        return method.update(hparams | {name: rate * hparams[name] for name in RATES}, state, batch, key)

    return method._replace(update=update)


def averaged(config, spec: EnvSpec, method: Method) -> Method:
    """The method with an actor that plays deterministically by the mean of all actors so far.

    Imitation is a zero-sum game of the policy against Q, and of no-regret play it is the mean that settles
    (Freund & Schapire 1999); for parameters of networks that is a heuristic. No paper here averages:
    `average_rate=1`, where the method comes back as it is. Learning and exploration do not see the mean.

    Args:
      config: `average_rate`, the weight of the new actor: traced, in [0, 1]; early, and at 0 throughout, all
        actors weigh the same.
    Raises:
      InputError: discrete actions, or a rollout's feed, whose states have no such mean.
    """
    if all(rate == 1.0 for rate in config.grid.average_rate or (config.average_rate,)):
        return method
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


def join(batch: Batch) -> tuple[Transition, jax.Array]:
    """Policy and expert transitions as one batch, and the mask [B] float32 that marks the expert's."""
    parts = [part for part in (batch.policy, batch.expert) if part is not None]
    rows = jax.tree.map(lambda *x: jnp.concatenate(x), *parts)
    sizes = [part.reward.shape[0] for part in parts]
    is_expert = [float(part is batch.expert) for part in parts]
    return rows, jnp.concatenate([jnp.full(n, e) for n, e in zip(sizes, is_expert, strict=True)])


def with_next_rows(batch, own: jax.Array, of_pairs: Callable) -> jax.Array:
    """E_expert[f(s,a)], [], over the demonstrated rows and the (s', a') behind them (`config.next_actions`).

    A kept transition of a thinned-out demonstration shows s'; the expert's own a' is in the file. Both kinds
    of rows are drawn from the same occupancy but for an episode's first.

    Args:
      own: [..., B] f(s, a) of the expert's rows; of_pairs: (obs, action) -> f [..., B] of other pairs.
    """
    rows = batch.expert
    followed = ~(rows.terminated | rows.truncated)  # behind an end there is no action
    both = jnp.concatenate([own, of_pairs(rows.next_obs, batch.next_action)], axis=-1)
    weight = jnp.concatenate([jnp.ones_like(followed), followed]).astype(both.dtype)
    return weighted_mean(both, jnp.broadcast_to(weight, both.shape))


def choose(config, field: str, known: tuple[str, ...]) -> str:
    """The value of a config field that must be one of `known`.

    Raises:
      InputError: names the field, the value and the known ones.
    """
    value = config[field]
    if value not in known:
        raise unknown(f"config.{field}", str(value), known)
    return value


def penalty_weights(config) -> tuple[float, ...]:
    """The weights of the gradient penalty in this program's runs: the grid's, else the key's own.

    The weight is traced, but whether there is a penalty at all decides what is compiled.
    """
    return tuple(config.grid.gradient_penalty) or (config.gradient_penalty,)


def require_differentiable(config, spec: EnvSpec, remedy: str) -> None:
    """Refuses a gradient penalty where observations are integers."""
    weight = max(penalty_weights(config))
    require(
        weight == 0 or spec.obs_shape != (),
        f"config.gradient_penalty is {weight}, but {spec.id} has integer states, by which nothing can be "
        f"differentiated; {remedy}",
    )


def require(condition: bool, message: str) -> None:
    """Raises InputError(message) unless the condition holds."""
    if not condition:
        raise InputError(message)


def require_discrete(config, spec: EnvSpec, why: str) -> None:
    """Refuses continuous actions, for the reason given."""
    require(
        spec.discrete,
        f"config.method is '{config.method}', which needs discrete actions, but those of {spec.id} are "
        f"continuous: {why}; set --config.method=iq, bc or value_dice",
    )


def require_plain(config, targets: bool = False) -> None:
    """Refuses switches of the agents that a method with one network does not read.

    Args:
      targets: whether it may have a target network.
    """
    plain = {"critics": 1, "learn_temperature": False, "state_only": False}
    for field, wanted in (plain if targets else plain | {"target_network": False}).items():
        require(
            config[field] == wanted,
            f"config.{field} is {config[field]}, but method '{config.method}' is defined for {wanted} only; "
            f"set --config.{field}={wanted}",
        )


def inside(spec: EnvSpec, action: jax.Array) -> jax.Array:
    """Continuous actions at least EDGE of half the box away from its sides; discrete ones as they are."""
    if spec.discrete:
        return action
    rim = 0.5 * EDGE * (spec.action_high - spec.action_low)
    return jnp.clip(action, spec.action_low + rim, spec.action_high - rim)


def action_values(config, spec: EnvSpec) -> Callable:
    """(hparams, critic, obs [B, ...]) -> Q(s, ·) [B, A] of discrete actions, with one critic."""
    network, preprocess = make_network(config, spec), make_preprocess(spec)
    return lambda hparams, critic, obs: network.apply(critic["net"], preprocess(hparams, obs))[0]


def taken(table: jax.Array, action: jax.Array) -> jax.Array:
    """Entries of the chosen actions: table [B, A], action [B] -> [B]."""
    return jnp.take_along_axis(table, action[:, None], axis=-1)[:, 0]
