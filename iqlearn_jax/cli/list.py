"""`iqlearn list ...`: what can be named in a configuration."""

import inspect
import math
import re
from collections.abc import Callable
from typing import Any

from iqlearn_jax.cli.common import Parser, Subcommand, add_import, run_group
from iqlearn_jax.cli.text import pairs, table

HELP = "methods, configs, envs, divergences and configuration keys by name"


def _methods(arguments: list[str]) -> int:
    _options("methods", arguments)
    from iqlearn_jax.methods import METHODS

    print(pairs([(name, entry.meaning) for name, entry in METHODS.items()], indent=0))
    return 0


def _configs(arguments: list[str]) -> int:
    _options("configs", arguments)
    print(pairs(list(all_configs().items()), indent=0))
    return 0


def _envs(arguments: list[str]) -> int:
    _options("envs", arguments)
    from iqlearn_jax.envs.registry import list_envs

    backends: dict[tuple[str, ...], list[str]] = {}  # of the same environments, as brax's pipelines are
    for backend, names in list_envs().items():
        if names:
            backends.setdefault(tuple(names), []).append(backend)
    print(pairs([(", ".join(group), ", ".join(names)) for names, group in backends.items()], indent=0))
    return 0


def _divergences(arguments: list[str]) -> int:
    _options("divergences", arguments)
    from iqlearn_jax.ops.iq.divergences import DIVERGENCES

    rows = [
        (
            name,
            f"{'[' if math.isfinite(record.upper) else '('}{record.lower:.3g}, "
            f"{record.upper:.3g}{']' if math.isfinite(record.upper) else ')'}",
            "nowhere" if record.monotone else "for large r",
            "beyond phi_slope" if record.steep else "",
        )
        for name, record in DIVERGENCES.items()
    ]
    print(table(("divergence", "domain of r/alpha", "φ falls", "straight line"), rows))
    return 0


def _keys(arguments: list[str]) -> int:
    parser = _parser("keys")
    parser.add_argument("--method", metavar="NAME", help="only the keys that this method reads")
    options = _parsed(parser, arguments)
    from iqlearn_jax.cli.keys import full_help

    print(full_help() if options.method is None else full_help(keys_of(options.method)))
    return 0


def keys_of(method: str) -> list[str]:
    """The keys of the table that a method reads, and those of training as a whole.

    Raises:
      InputError: no such method.
    """
    from iqlearn_jax.config.schema import KEYS
    from iqlearn_jax.methods import METHODS

    read = METHODS[method].keys
    return [name for name, key in KEYS.items() if name in read or not key.of_method]


def all_configs() -> dict[str, str]:
    """Every configuration that comes with the library, with the first sentence of what it says of itself."""
    from iqlearn_jax.config.files import load_module, shipped_configs

    return {
        f"{family}:{name}": first_sentence(make)
        for family, path in shipped_configs().items()
        for name, make in load_module(path).CONFIGS.items()
    }


def first_sentence(make: Callable[[], Any]) -> str:
    """The first sentence of a docstring, also of a function with some arguments given (functools.partial)."""
    paragraph, *_ = (inspect.getdoc(getattr(make, "func", make)) or "").split("\n\n")
    return re.split(r"(?<=\.)\s", " ".join(paragraph.split()), maxsplit=1)[0]


def _parser(topic: str) -> Parser:
    parser = Parser(f"iqlearn list {topic}", description=COMMANDS[topic].help)
    add_import(parser)
    return parser


def _parsed(parser: Parser, arguments: list[str]) -> Any:
    options = parser.parse_args(arguments)
    if options.modules:
        from iqlearn_jax.config.files import import_modules

        import_modules(options.modules)
    return options


def _options(topic: str, arguments: list[str]) -> Any:
    return _parsed(_parser(topic), arguments)


COMMANDS = {
    "methods": Subcommand("what --config.method takes", _methods),
    "configs": Subcommand("what --config takes, beside files of your own", _configs),
    "envs": Subcommand("what --config.env.id takes, by backend", _envs),
    "divergences": Subcommand("what --config.divergence takes", _divergences),
    "keys": Subcommand("what --config.KEY=VALUE takes: default, type, range, meaning", _keys),
}


def main(arguments: list[str]) -> int:
    """Runs `iqlearn list ARGUMENTS`; returns the exit code.

    Raises:
      InputError: an unknown topic, method or module.
    """
    return run_group("list", COMMANDS, arguments)
