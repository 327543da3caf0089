"""Configurations: from the table's defaults, from files, from the command line, from a run's folder."""

import ast
import importlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

import iqlearn_jax
from iqlearn_jax.config.schema import KEYS, Key, traced_keys
from iqlearn_jax.errors import InputError, unknown

_PACKAGE = Path(iqlearn_jax.__file__).parent
# in an installed package the repository's configs/ lies inside it, in a checkout beside it
SHIPPED = _PACKAGE / "configs" if (_PACKAGE / "configs").is_dir() else _PACKAGE.parent / "configs"


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


def load_config(source: str) -> ConfigDict:
    """One of the configurations that come with the library, or of a file of the user's own.

    Args:
      source: "cartpole:offline", or "FILE.py:NAME" for a file whose dictionary CONFIGS holds functions that
        return configurations.
    Raises:
      InputError: no such file or name, or a file without CONFIGS.
    """
    place, _, name = source.partition(":")
    known = getattr(load_module(_config_file(source, place)), "CONFIGS", None)
    if known is None:
        raise InputError(
            f"--config={source}: {place} has no dictionary CONFIGS of functions that return a config"
        )
    if name not in known:
        raise unknown(f"config in {place}", name, known)
    return known[name]()


def shipped_configs() -> dict[str, Path]:
    """Files of the configurations that come with the library, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.py")) if path.stem != "__init__"}


def _config_file(source: str, place: str) -> Path:
    if place.endswith(".py"):
        if not Path(place).is_file():
            raise InputError(f"--config={source}: no file '{place}'; those that come with the library are named "
                             f"without .py: {', '.join(shipped_configs())}")  # fmt: skip
        return Path(place)
    if place not in shipped_configs():
        raise unknown("config", place, shipped_configs())
    return shipped_configs()[place]


def load_module(path: Path, name: str | None = None) -> ModuleType:
    """Runs a Python file as a module."""
    spec = importlib.util.spec_from_file_location(name or f"iqlearn_config_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if name is not None:
        sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def import_modules(names: Iterable[str]) -> tuple[str, ...]:
    """Imports the modules that register a user's environments and methods.

    Args:
      names: modules, or Python files; a module in the working folder will do.
    Returns:
      the names under which they are imported again from anywhere: files by their absolute path.
    Raises:
      InputError: no such module or file.
    """
    return tuple(_import(name) for name in names)


def _import(name: str) -> str:
    path = Path(name if name.endswith(".py") else f"{name}.py").absolute()
    if not path.is_file():
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise InputError(
                f"--import={name}: {error}; expected a Python file, or a module that is installed or on PYTHONPATH"
            ) from error
        return name
    if getattr(sys.modules.get(path.stem), "__file__", None) != str(path):
        load_module(path, path.stem)
    return str(path)


def from_flat(flat: Mapping[str, Any]) -> ConfigDict:
    """A configuration from the flat dictionary that a run's folder holds; its modules are imported first.

    Raises:
      InputError: a key that this version does not know, or a module that is not there.
    """
    import_modules(flat.get("imports", ()))
    config = base_config()
    for key, value in flat.items():
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
    if key.kind == "dictionary" and isinstance(value, Mapping):
        return json.dumps(dict(value), sort_keys=True)
    if wanted is tuple and isinstance(value, list):
        value = tuple(value)
    if wanted is float and type(value) is int:
        value = float(value)
    if wanted is str and not isinstance(value, str):
        value = str(value)
    if type(value) is not wanted:
        raise InputError(
            f"config.{name} is {value!r}; expected {key.kind}, e.g. --config.{name}={key.default}"
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
    except (ValueError, SyntaxError):
        return text
