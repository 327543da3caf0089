"""Refusals that several methods share."""

from functools import reduce
from operator import getitem
from typing import Any

from iqlearn_jax.config.checks import check_value
from iqlearn_jax.config.schema import KEYS
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods.method import MethodEntry
from iqlearn_jax.types import EnvSpec


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
