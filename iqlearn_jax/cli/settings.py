"""The configuration that a command line asks for: options that `train` and `sweep` share."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iqlearn_jax.cli.common import add_import

if TYPE_CHECKING:
    from ml_collections import ConfigDict

PATHS = ("demos.path", "reward_path", "init_from")  # keys that hold paths
OVERRIDES = "overrides: --config.KEY=VALUE, e.g. --config.gamma=0.95 --config.hidden=(64,)"


def add_settings(parser: argparse.ArgumentParser, config_required: bool) -> None:
    """The options that make a configuration, beside overrides."""
    parser.add_argument(
        "--config",
        required=config_required,
        metavar="NAME",
        help="cartpole:offline (iqlearn list configs), or FILE.py:NAME",
    )
    parser.add_argument("--demos", metavar="FILE", help="demonstrations, the same as --config.demos.path")
    parser.add_argument(
        "--init-from", metavar="DIR", help="start from a run's networks, as --config.init_from"
    )
    add_import(parser)


def make_config(options: argparse.Namespace, overrides: Sequence[str]) -> tuple["ConfigDict", list[str]]:
    """The configuration of --config, or of the folder that goes on, with everything that was set on purpose.

    Args:
      options: of `add_settings`, and `workdir`, whose configuration is taken where --config is not given.
      overrides: `--config.key=value` arguments.
    Returns:
      the configuration and the keys that were set on purpose; their paths are absolute.
    Raises:
      InputError: an unknown config, key or module, or a value of another type.
    """
    from iqlearn_jax.config.load import assign, from_flat, import_modules, load_config, override
    from iqlearn_jax.runs.folder import read_config

    modules = import_modules(options.modules)  # first: a configuration may name what they register
    config = load_config(options.config) if options.config else from_flat(read_config(options.workdir))
    names = []
    for name, value in {"demos.path": options.demos, "init_from": options.init_from}.items():
        if value is not None:
            assign(config, name, value)
            names.append(name)
    names += override(config, overrides)
    make_absolute(config, names)
    if modules:
        config.imports = tuple(dict.fromkeys((*config.imports, *modules)))
    return config, names


def make_absolute(config: "ConfigDict", names: Sequence[str]) -> None:
    """Paths among `names` as they are found from any folder; bundled:NAME stays."""
    from iqlearn_jax.data.demos import absolute

    if config.demos.path and "demos.path" in names:
        config.demos.path = absolute(config.demos.path)
    for name in {"reward_path", "init_from"} & set(names):
        config[name] = config[name] and str(Path(config[name]).absolute())
