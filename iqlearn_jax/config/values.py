"""Configurations as values: made from the table, changed, checked, and as plain JSON."""

import ast
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import getitem
from typing import Any

from ml_collections import ConfigDict

from iqlearn_jax.config.schema import BEFORE, KEYS, Key
from iqlearn_jax.errors import InputError, unknown

PLACES = (
    "demos.path",
    "data.path",
    "reward_path",
    "init_from",
    "imports",
)  # where files lie, not what is in them


def base_config() -> ConfigDict:
    """The table's defaults, typed and locked; assigning an unknown key or another type is an error."""
    config = ConfigDict()
    for name, key in KEYS.items():
        parent, _, leaf = name.rpartition(".")
        if parent and parent not in config:
            config[parent] = ConfigDict()
        (config[parent] if parent else config)[leaf] = key.default
    config.grid = ConfigDict(dict.fromkeys(traced_keys(), ()))  # values to be tried
    return config.lock()


def from_flat(flat: Mapping[str, Any]) -> ConfigDict:
    """A configuration from the flat dictionary that a run's folder holds; its modules are not imported.

    A key that came after the folder was made has its default, or what folders meant before (`schema.BEFORE`).

    Raises:
      InputError: a key that this version does not know, or a value of another type.
    """
    config = base_config()
    for key, value in {**BEFORE, **flat}.items():
        assign(config, key, value)
    return config


def override(config: ConfigDict, arguments: Iterable[str]) -> list[str]:
    """Applies `--config.key=value` arguments in place; returns the keys.

    Raises:
      InputError: another argument, an unknown key, or a value of another type.
    """
    changed = []
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not name.startswith("--config.") or not equals:
            raise InputError(f"unknown argument '{argument}'; overrides are written --config.key=value")
        changed.append(name.removeprefix("--config."))
        assign(config, changed[-1], _parse(text))
    return changed


def assign(config: ConfigDict, name: str, value: Any) -> None:
    """config[name] = value for a dotted name, in the type of the key's default.

    Raises:
      InputError: unknown key (near ones are listed) or another type.
    """
    default = () if name.startswith("grid.") and name[5:] in config.grid else None
    key = Key(default, "") if default is not None else KEYS.get(name)
    if key is None:
        raise unknown("config key", name, keys(config))
    *parents, leaf = name.split(".")
    node: Any = config
    for parent in parents:
        node = node[parent]
    node[leaf] = _typed(name, key, value)


def _typed(name: str, key: Key, value: Any) -> Any:
    wanted = type(key.default)
    value = key.words.get(value, value) if isinstance(value, str) else value
    if kind_of(key) == "dictionary" and isinstance(value, Mapping):
        return json.dumps(dict(value), sort_keys=True)
    if wanted is tuple and isinstance(value, list):
        value = tuple(value)
    if wanted is float and type(value) is int:
        value = float(value)
    if wanted is str and not isinstance(value, str):
        value = str(value)
    if type(value) is not wanted:
        raise InputError(
            f"config.{name} is {value!r}; expected {kind_of(key)}, e.g. --config.{name}={key.default}"
        )
    return value


def keys(config: ConfigDict, prefix: str = "") -> list[str]:
    """All dotted keys of a configuration."""
    names: list[str] = []
    for name, value in config.items():
        names += keys(value, f"{prefix}{name}.") if isinstance(value, ConfigDict) else [prefix + name]
    return names


def as_plain(config: ConfigDict) -> dict[str, Any]:
    """A configuration as JSON would give it back, flat: {"env.id": ...}."""
    return json.loads(json.dumps(flatten(config.to_dict())))


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}"""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _parse(text: str) -> Any:
    """Python literal (true and false in any case), else the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # {[]}: a list cannot be a key
        return text


def check(config) -> None:
    """Refuses values outside their range, and intervals that do not fit into each other.

    Raises:
      InputError: names the field, its value, what was expected and the remedy.
    """
    there = set(keys(config))
    for name, key in KEYS.items():
        if name in there or not key.of_method:  # a method that was registered since may bring keys along
            check_value(name, key, value_of(config, name))
    check_grid(config)
    check_schedule(config)


def check_value(name: str, key: Key, value: Any) -> None:
    """Refuses what would end in NaN, or in a traceback from inside a library."""
    if key.choices and value not in key.choices:
        raise unknown(f"config.{name}", str(value), key.choices)
    low, high = bounds(key)
    if isinstance(key.default, int | float) and not low <= value <= high:  # NaN fails too
        raise InputError(f"config.{name} is {value}; expected a number in [{low:g}, {high:g}]")
    if isinstance(key.default, int | float) and not _can_be_held(value):
        raise InputError(f"config.{name} is {value}; expected a number that int32 or float32 can hold")
    if name == "hidden" and not all(isinstance(width, int) and width > 0 for width in value):
        raise InputError(f"config.hidden is {value}; expected positive whole numbers, e.g. (64, 64)")
    if name in ("imports", "env.wrappers") and not all(isinstance(part, str) for part in value):
        raise InputError(f"config.{name} is {value}; expected names, e.g. ('module:Name',)")
    if kind_of(key) == "dictionary" and not _is_dictionary(value):
        raise InputError(
            f"config.{name} is {value!r}; expected a dictionary, e.g. {{'render_mode': 'rgb_array'}}"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _can_be_held(value: float) -> bool:
    """Whether what programs count and compute in can hold a number."""
    return abs(value) <= (2**31 - 1 if isinstance(value, int) else 3e38)


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
        if not all(_is_number(x) and low <= x <= high and _can_be_held(x) for x in values):
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


def traced_keys() -> tuple[str, ...]:
    """Names of the keys that become leaves of the compiled program."""
    return tuple(name for name, key in KEYS.items() if key.traced)


def rates() -> tuple[str, ...]:
    """Names of the learning rates, which `lr_decay` scales."""
    return tuple(name for name in traced_keys() if name.endswith("_lr"))


def kind_of(key: Key) -> str:
    """Name of a key's type."""
    return "dictionary" if key.default == "{}" else type(key.default).__name__


def config_digest(flat: Mapping[str, Any]) -> str:
    """What identifies a flat configuration (hex), wherever its files lie: their content has digests too."""
    text = json.dumps({key: value for key, value in flat.items() if key not in PLACES}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


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
