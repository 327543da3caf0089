"""Checks of a configuration that need nothing but the configuration and the table."""

import json
import math
from typing import Any

from iqlearn_jax.config.schema import KEYS, Key
from iqlearn_jax.errors import InputError, unknown


def check(config) -> None:
    """Refuses values outside their range, and intervals that do not fit into each other.

    Raises:
      InputError: names the field, its value, what was expected and the remedy.
    """
    for name, key in KEYS.items():
        value = config
        for part in name.split("."):
            value = value[part]
        check_value(name, key, value)
    check_grid(config)
    check_schedule(config)


def check_value(name: str, key: Key, value: Any) -> None:
    """Refuses what would end in NaN, or in a traceback from inside a library."""
    if key.choices and value not in key.choices:
        raise unknown(f"config.{name}", str(value), key.choices)
    low, high = bounds(key)
    if isinstance(key.default, int | float) and not low <= value <= high:  # NaN fails too
        raise InputError(f"config.{name} is {value}; expected a number in [{low:g}, {high:g}]")
    if name == "hidden" and not all(isinstance(width, int) and width > 0 for width in value):
        raise InputError(f"config.hidden is {value}; expected positive whole numbers, e.g. (64, 64)")
    if key.kind == "dictionary" and not _is_dictionary(value):
        raise InputError(
            f"config.{name} is {value!r}; expected a dictionary, e.g. {{'render_mode': 'rgb_array'}}"
        )


def bounds(key: Key) -> tuple[float, float]:
    """Inclusive range of a number, infinite where the row gives none."""
    return -math.inf if key.low is None else key.low, math.inf if key.high is None else key.high


def check_grid(config) -> None:
    """Refuses grids and parts that name no runs, and values outside their range.

    Raises:
      InputError: names the field, its value and what was expected.
    """
    for name, values in config.grid.items():
        low, high = bounds(KEYS[name])
        if any(isinstance(x, bool) or not isinstance(x, int | float) or not low <= x <= high for x in values):
            raise InputError(f"config.grid.{name} is {values}; expected numbers in [{low:g}, {high:g}]")
        if len(set(values)) < len(values):
            raise InputError(f"config.grid.{name} is {values}; expected each value once")
    runs = number_of_runs(config)
    whole = len(config.part) == 2 and all(type(x) is int for x in config.part)
    if not whole or not 0 <= config.part[0] < config.part[1] <= runs:
        raise InputError(f"config.part is {config.part}; expected (k, n) with 0 <= k < n <= {runs} runs")


def check_schedule(config) -> None:
    """Refuses intervals that do not fit into each other.

    Raises:
      InputError: names the two fields.
    """
    if config.feed == "replay":
        _check_multiple(
            "log_every", config.log_every, "online.updates_per_step", config.online.updates_per_step
        )
    for outer in ("updates", "eval_every", "checkpoint_every", "snapshot_every"):
        _check_multiple(outer, config[outer], "log_every", config.log_every)


def _check_multiple(outer: str, value: int, inner: str, unit: int) -> None:
    if value < 0 or value % unit:
        raise InputError(
            f"config.{outer} is {value}; expected a multiple of config.{inner} ({unit}), e.g. "
            f"{unit * max(1, round(value / unit))}"
        )


def _is_dictionary(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def number_of_runs(config) -> int:
    """Runs of the whole grid, whatever part of them this program takes."""
    return config.seeds * math.prod(len(values) for values in config.grid.values() if values)
