"""`iqlearn reward export | inspect`: a trained run's reward as one file, and what such a file is."""

from pathlib import Path

from iqlearn_jax.cli.common import Parser, Subcommand, add_at, add_import, add_workdir, run_group

HELP = "a trained run's recovered reward as one file"


def _export(arguments: list[str]) -> int:
    parser = Parser("iqlearn reward export", description=COMMANDS["export"].help)
    add_workdir(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="npz to write")
    parser.add_argument("--run", type=int, default=0, help="which of the folder's runs (0: the first)")
    add_at(parser)
    add_import(parser)
    options = parser.parse_args(arguments)
    # imported here: help must not pay for jax
    from iqlearn_jax.cli.describe import describe_reward
    from iqlearn_jax.config.files import import_modules
    from iqlearn_jax.trained.export import export_reward

    import_modules(options.modules)
    export_reward(options.workdir, options.run, options.out, options.at)
    print(describe_reward(options.out))
    return 0


def _inspect(arguments: list[str]) -> int:
    parser = Parser("iqlearn reward inspect", description=COMMANDS["inspect"].help)
    parser.add_argument("file", type=Path)
    add_import(parser)
    options = parser.parse_args(arguments)
    from iqlearn_jax.cli.describe import describe_reward
    from iqlearn_jax.config.files import import_modules

    import_modules(options.modules)
    print(describe_reward(options.file))
    return 0


COMMANDS = {
    "export": Subcommand("the recovered reward of a trained run as one file", _export),
    "inspect": Subcommand("check a reward file and show what it holds", _inspect),
}


def main(arguments: list[str]) -> int:
    """Runs `iqlearn reward ARGUMENTS`; returns the exit code.

    Raises:
      InputError: whatever cannot be used.
    """
    return run_group("reward", COMMANDS, arguments)
