"""The record that every method is, and the one in which the catalogue describes it."""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import getitem
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from iqlearn_jax.agents.common import policy_class
from iqlearn_jax.config.schema import FEEDS, KEYS
from iqlearn_jax.config.values import check_value, traced_keys
from iqlearn_jax.data.sampling import NORMALIZATION, identity_normalization
from iqlearn_jax.errors import InputError, unknown
from iqlearn_jax.types import EnvSpec, Hparams

DEMOS = frozenset({"demos.path", "demos.trajectories", "demos.subsample"})  # of all that learn from them
# Keys of the agents that methods with one plain network refuse.
PLAIN = frozenset({"critics", "target_network", "learn_temperature", "excess_entropy", "state_only"})


class Method(NamedTuple):
    """A method as pure functions; static choices went in when it was made.

    Made by `make_method`, it takes hyperparameters (`hparams`) of which some are missing: those have the
    configuration's values. Unknown ones are refused.

    Attributes:
      init: (key, hparams) -> State.
      update: (hparams, state, batch, key) -> (State, Metrics).
      act: (hparams, state, obs [B, ...], key, deterministic) -> actions [B, ...].
      reward: (hparams, state, transition [B], key) -> recovered reward [B]; None where the method has none.
      round_updates: updates in a round, where it asks for `RoundTransition`s from the replay; else 0.
      window: steps of the demonstrated windows [B, window] that it asks for instead of rows [B]; else 0.
      from_start: those windows begin where episodes begin, and run on into other episodes after their end.
      value: (hparams, state, obs [B, ...], key) -> V(s) [B]; None where no critic is watched by it.
      end_reward: (hparams, state) -> recovered reward [] of each step in the absorbing state after an end,
        where `reward` of a terminal row does not hold it; None where nothing follows an end.
      defaults: hyperparameters of one run at the configuration's values, observations as they are.
    """

    init: Callable
    update: Callable
    act: Callable
    reward: Callable | None
    round_updates: int = 0
    window: int = 0
    from_start: bool = False
    value: Callable | None = None
    end_reward: Callable | None = None
    defaults: Mapping[str, np.ndarray] = MappingProxyType({})

    def hparams(self, **changes: Any) -> Hparams:
        """Hyperparameters of one run as float32 arrays: the configuration's, but for `changes`.

        Observations are standardised by `obs_mean` and `obs_std` [D].

        Raises:
          InputError: an unknown name; the message lists near ones.
        """
        return {name: jnp.asarray(x, jnp.float32) for name, x in complete(self.defaults, changes).items()}


class MethodEntry(NamedTuple):
    """What the catalogue knows of a method.

    Attributes:
      make: (config, spec) or (config, spec, parts) -> Method.
      keys: names in `config.schema.KEYS` of all keys with `of_method` that it reads.
      meaning: one line, with authors and year.
      feeds: what it can learn from: some of "demos", "replay" and "rollout"; `config.feed` chooses one.
      refuses: keys that it does not read and that must have their defaults, lest they promise something.
      parts: what of `agents.Parts` it can be built of: some of "critic", "actor" and "optimizer"; `make`
        takes a third argument where there are any.
    """

    make: Callable[..., Method]
    keys: frozenset[str]
    meaning: str
    feeds: frozenset[str] = frozenset(FEEDS)
    refuses: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()


def complete(defaults: Mapping[str, np.ndarray], hparams: Hparams) -> Hparams:
    """The hyperparameters, those that are missing from `defaults`.

    Raises:
      InputError: a name that is none of a hyperparameter.
    """
    for name in hparams:
        if name not in (known := {*defaults, *traced_keys(), *NORMALIZATION}):
            raise unknown("hyperparameter", name, known)
    missing = {name: jnp.asarray(x) for name, x in defaults.items() if name not in hparams}
    return {**missing, **hparams}


def default_leaves(config, spec: EnvSpec) -> dict[str, np.ndarray]:
    """The hyperparameters of one run at the configuration's values, observations left as they are."""
    leaves = {name: np.float32(config[name]) for name in traced_keys() if name in config}
    statistics = identity_normalization(1, spec.obs_shape, config.whiten and len(spec.obs_shape) == 1)
    return leaves | {name: values[0] for name, values in statistics.items()}


def with_defaults(method: Method, defaults: Mapping[str, np.ndarray]) -> Method:
    """The method, which now takes hyperparameters of which some are missing."""

    def completed(fn: Callable) -> Callable:
        return lambda hparams, *rest, **named: fn(complete(defaults, hparams), *rest, **named)

    names = ("update", "act", "reward", "value", "end_reward")
    functions: dict[str, Any] = {name: completed(fn) for name in names if (fn := getattr(method, name))}
    functions["init"] = lambda key, hparams: method.init(key, complete(defaults, hparams))
    return method._replace(**functions, defaults=MappingProxyType(dict(defaults)))


def value_of(config, name: str) -> Any:
    """The value of a dotted key.

    Raises:
      InputError: the configuration has none, being older than the method that brought the key along.
    """
    try:
        return reduce(getitem, name.split("."), config)
    except KeyError as error:
        raise InputError(
            f"config.{name} is missing: this configuration was made before the method that reads it was "
            "registered; make it anew"
        ) from error


def values_of(config, name: str) -> tuple[Any, ...]:
    """The values of a key in this program's runs: those of its grid, else its own.

    Hyperparameters are traced, but whether there is a penalty at all, for instance, decides what is compiled.
    """
    return tuple(config.grid.get(name, ())) or (value_of(config, name),)


def anchored(config) -> bool:
    """Whether the actor of one of the program's runs is held near the expert's actions (`agents.sac`)."""
    return max(values_of(config, "anchor")) > 0


def quadratic(config, spec: EnvSpec, entry: MethodEntry) -> bool:
    """Whether the method's policy is that of one quadratic critic (`agents.gaussian_q`)."""
    return not spec.discrete and "policy_class" in entry.keys and policy_class(config) == "gaussian_q"


def require(condition: bool, message: str) -> None:
    """Raises InputError(message) unless the condition holds."""
    if not condition:
        raise InputError(message)


def check_values(config, entry: MethodEntry) -> None:
    """Refuses values outside the ranges of the keys that a method reads, and all of those that it refuses.

    Raises:
      InputError: names the field, its value and what is expected.
    """
    for name in sorted(entry.keys):
        check_value(name, KEYS[name], value_of(config, name))
    for name in sorted(entry.refuses):
        default = KEYS[name].default
        values = [value for value in values_of(config, name) if value != default]
        require(
            not values,
            f"config.{name} is {values and values[0]}, but method '{config.method}' is defined for {default} "
            f"only; set --config.{name}={default}",
        )


def require_differentiable(config, spec: EnvSpec, remedy: str) -> None:
    """Refuses a gradient penalty where observations are integers."""
    weight = max(values_of(config, "gradient_penalty"))
    require(
        weight == 0 or spec.obs_shape != (),
        f"config.gradient_penalty is {weight}, but {spec.id} has integer states, by which nothing can be "
        f"differentiated; {remedy}",
    )


def require_discrete(config, spec: EnvSpec, why: str) -> None:
    """Refuses continuous actions, for the reason given."""
    require(
        spec.discrete,
        f"config.method is '{config.method}', which needs discrete actions, but those of {spec.id} are "
        f"continuous: {why}; set --config.method=iq, bc or value_dice",
    )
