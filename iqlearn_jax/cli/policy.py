"""`iqlearn policy export | inspect`: a trained run's policy as one file, and what such a file is."""

from pathlib import Path

from iqlearn_jax.cli.common import Parser, Subcommand, add_at, add_import, add_workdir, run_group

HELP = "a trained run's policy as one file, for JAX, NumPy or StableHLO"


def _export(arguments: list[str]) -> int:
    parser = Parser("iqlearn policy export", description=COMMANDS["export"].help)
    add_workdir(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="file to write")
    parser.add_argument(
        "--run", type=int, default=0, metavar="N", help="which of the folder's runs (0: the first)"
    )
    parser.add_argument(
        "--format", default="npz", metavar="NAME",
        help="npz (the default) for JAX and NumPy; stablehlo for jax.export.deserialize",
    )  # fmt: skip
    add_at(parser)
    add_import(parser)
    options = parser.parse_args(arguments)
    # imported here: help must not pay for jax
    from iqlearn_jax.config.files import import_modules
    from iqlearn_jax.trained.export import export_policy

    import_modules(options.modules)
    policy = export_policy(options.workdir, options.run, options.out, options.at, options.format)
    print(describe(policy, options.out))
    return 0


def _inspect(arguments: list[str]) -> int:
    parser = Parser("iqlearn policy inspect", description=COMMANDS["inspect"].help)
    parser.add_argument("file", type=Path)
    add_import(parser)
    options = parser.parse_args(arguments)
    from iqlearn_jax.config.files import import_modules
    from iqlearn_jax.trained.policy import load_policy

    import_modules(options.modules)
    print(describe(load_policy(options.file), options.file))
    return 0


def describe(policy, path: Path) -> str:
    """What a policy file holds, a line of text each."""
    from iqlearn_jax.cli.describe import function_text

    return f"{path}\n" + function_text(policy.spec, policy.metadata, ("read by", readers(policy.metadata)))


def readers(about: dict) -> str:
    """What can play a file of that metadata."""
    if "platforms" in about:
        return f"jax.export.deserialize, on {', '.join(about['platforms'])}"
    if about.get("network") is None:
        return "JAX (iqlearn_jax.load_policy); not NumPy alone"
    kinds = [layer["kind"] for layer in about["network"]["layers"] if layer["arrays"]]
    size = about["network"]["members"]
    members = f", the smallest of {size} values" if size else ""
    return f"JAX (iqlearn_jax.load_policy), or NumPy alone: {', '.join(kinds)}{members}"


COMMANDS = {
    "export": Subcommand("the policy of a trained run as one file", _export),
    "inspect": Subcommand("check a policy file and show what it holds", _inspect),
}


def main(arguments: list[str]) -> int:
    """Runs `iqlearn policy ARGUMENTS`; returns the exit code.

    Raises:
      InputError: whatever cannot be used.
    """
    return run_group("policy", COMMANDS, arguments)
