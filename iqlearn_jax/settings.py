"""Configurations from the command line: FILE.py:NAME, then overrides --config.key=value."""

import ast
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from iqlearn_jax.config import base_config
from iqlearn_jax.errors import InputError, unknown


def load_config(source: str) -> ConfigDict:
    """The configuration that `get_config(NAME)` of FILE.py returns; the file is the user's own code.

    Args:
      source: "FILE.py:NAME".
    Raises:
      InputError: no such file, no `get_config`, or an unknown name.
    """
    path, _, name = source.partition(":")
    if not Path(path).is_file():
        near = sorted(str(p) for p in Path("configs").glob("*.py"))
        raise (
            unknown("config file", path, near) if near else InputError(f"--config={source}: no file '{path}'")
        )
    spec = importlib.util.spec_from_file_location(f"iqlearn_config_{Path(path).stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    known = getattr(module, "CONFIGS", None)
    if known is None:
        raise InputError(
            f"--config={source}: {path} has no dictionary CONFIGS of functions that return a config"
        )
    if name not in known:
        raise unknown(f"config in {path}", name, known)
    return known[name]()


def from_flat(flat: dict[str, Any]) -> ConfigDict:
    """A configuration from the flat dictionary that a run's folder holds.

    Raises:
      InputError: a key that this version does not know.
    """
    config = base_config()
    for key, value in flat.items():
        assign(config, key, tuple(value) if isinstance(value, list) else value)
    return config


def override(config: ConfigDict, arguments: Iterable[str]) -> None:
    """Applies `--config.key=value` arguments in place.

    Raises:
      InputError: another argument, an unknown key, or a value of another type.
    """
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not name.startswith("--config.") or not equals:
            raise InputError(f"unknown argument '{argument}'; overrides are written --config.key=value")
        assign(config, name.removeprefix("--config."), _parse(text))


def assign(config: ConfigDict, key: str, value: Any) -> None:
    """config[key] = value for a dotted key, with the type of the default.

    Raises:
      InputError: unknown key (near ones are listed) or another type.
    """
    *parents, leaf = key.split(".")
    node: Any = config
    for parent in parents:
        node = node.get(parent) if isinstance(node, ConfigDict) else None
    if not isinstance(node, ConfigDict) or leaf not in node or isinstance(node[leaf], ConfigDict):
        raise unknown("config key", key, keys(config))
    wanted = type(node[leaf])
    if wanted is float and type(value) is int:
        value = float(value)
    if wanted is str and not isinstance(value, str):
        value = str(value)
    if type(value) is not wanted:
        raise InputError(
            f"config.{key} is {value!r}; expected {wanted.__name__}, e.g. --config.{key}={node[leaf]}"
        )
    node[leaf] = value


def keys(config: ConfigDict, prefix: str = "") -> list[str]:
    """All dotted keys of a configuration."""
    found: list[str] = []
    for name, value in config.items():
        found += keys(value, f"{prefix}{name}.") if isinstance(value, ConfigDict) else [prefix + name]
    return found


def _parse(text: str) -> Any:
    """Python literal (true and false in any case), else the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
