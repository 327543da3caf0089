"""`iqlearn sweep`: a grid of settings on the same seeds, in as few compiled programs as possible."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqlearn_jax.cli.common import (
    OVERRIDES,
    Parser,
    add_settings,
    join_hosts,
    make_config,
    say_stopped,
    several_hosts,
)
from iqlearn_jax.cli.text import table, wrapped
from iqlearn_jax.errors import InputError

if TYPE_CHECKING:
    from iqlearn_jax.sweeps.estimate import Estimate
    from iqlearn_jax.sweeps.grid import Program

HELP = "a grid of settings x seeds, on all devices"
USAGE = """iqlearn sweep --config=NAME --workdir=DIR --seeds=64 --grid=alpha=0.1,0.5
                     [--grid=...] [--runs-per-device=N] [--dry-run] [--force]
                     [--config.KEY=VALUE ...]"""
EPILOG = f"""{OVERRIDES}
Keys: iqlearn list keys. A grid over traced keys is one compiled program, one
over static keys is a program for each point. A stopped sweep goes on when the
same command is given again."""
DRY_RUN = """Per device: runs that one holds at once, and its memory. Time is that of
training, from a measured piece; compiling and evaluating come on top."""
GIB = 2**30


def make_parser() -> Parser:
    """The options; overrides are left over."""
    parser = Parser("iqlearn sweep", usage=USAGE, description=HELP, epilog=EPILOG, parents=[several_hosts()])
    parser.add_argument("--workdir", type=Path, metavar="DIR", help="folder; one that was stopped goes on")
    add_settings(parser, config_required=True)
    parser.add_argument("--seeds", type=int, help="runs of each point, the same as --config.seeds")
    parser.add_argument("--grid", action="append", default=[], metavar="KEY=VALUE,VALUE", help="repeatable")
    parser.add_argument("--runs-per-device", type=int, help="most runs that a device holds at once")
    parser.add_argument("--dry-run", action="store_true", help="print programs, memory and time only")
    parser.add_argument("--force", action="store_true", help="go on although code or demos changed")
    return parser


def main(arguments: list[str]) -> int:
    """Runs `iqlearn sweep ARGUMENTS`; returns the exit code.

    Raises:
      InputError: whatever cannot be used.
    """
    options, overrides = make_parser().parse_known_args(arguments)
    check_counts(options)
    # imported here: help must not pay for jax
    import jax

    from iqlearn_jax.devices.placement import is_main
    from iqlearn_jax.sweeps.sweep import run_sweep
    from iqlearn_jax.training.session import Stopped

    join_hosts(options)
    programs, grid = read_plan(options, overrides)
    if options.dry_run:
        return dry_run(programs, options.runs_per_device)
    if options.workdir is None:
        raise InputError("--workdir is missing; name a folder, or add --dry-run")
    if jax.config.values["jax_compilation_cache_dir"] is None:  # for its parts, and for going on
        jax.config.update("jax_compilation_cache_dir", str(options.workdir.absolute() / "compiled"))
    try:
        result = run_sweep(programs, grid, options.workdir, options.runs_per_device, force=options.force)
    except Stopped as stopped:
        return say_stopped(stopped.number, "the same command")
    if is_main():
        print_sweep(result, options.workdir)
    return 0


def check_counts(options: argparse.Namespace) -> None:
    """Refuses numbers of runs below one."""
    for name in ("seeds", "runs_per_device"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} is {value}; expected at least 1")


def read_plan(
    options: argparse.Namespace, overrides: Sequence[str]
) -> tuple[list["Program"], dict[str, tuple]]:
    """The sweep's programs and its grid."""
    from iqlearn_jax.config.values import traced_keys
    from iqlearn_jax.sweeps.grid import parse_grid, plan

    config, names = make_config(options, overrides)
    if options.seeds is not None:
        config.seeds = options.seeds
    grid = parse_grid(options.grid)
    programs = plan(config, grid)
    check_read(programs, [*names, *(f"grid.{key}" if key in traced_keys() else key for key in grid)])
    return programs, grid


def check_read(programs: Sequence["Program"], names: Sequence[str]) -> None:
    """Refuses keys that no program's method reads; a grid over methods may hold keys of some of them."""
    from iqlearn_jax.methods import check_keys

    def refusal(program: "Program", name: str) -> InputError | None:
        try:
            check_keys(program.config, [name])
        except InputError as error:
            return error
        return None

    for name in dict.fromkeys(names):
        refusals = [error for program in programs if (error := refusal(program, name))]
        if len(refusals) == len(programs):
            raise refusals[0]


def dry_run(programs: Sequence["Program"], runs_per_device: int | None) -> int:
    """Prints what a sweep would take.

    Raises:
      InputError: a program does not fit into a device's memory.
    """
    from iqlearn_jax.report.read import settings_text
    from iqlearn_jax.sweeps.estimate import estimate
    from iqlearn_jax.sweeps.sweep import cut

    estimates, rows = {}, []
    for program in programs:
        parts = cut(program, runs_per_device)
        need = estimates[program.name] = estimate(parts[0].config)
        numbers = (str(program.runs), str(len(parts)), str(need.runs_per_device))
        static = settings_text(program.static) or "–"
        rows.append((program.name, static, *numbers, _memory(need), _time(need, len(parts))))
    print(table(("program", "differs in", "runs", "parts", "per device", "memory", "time"), rows))
    print(DRY_RUN)
    for name, need in estimates.items():
        if not need.fits:
            raise InputError(
                f"{name} needs {_memory(need)} with {need.runs_per_device} runs on a device; set "
                "--runs-per-device below that, or a smaller --config.online.capacity"
            )
    return 0


def print_sweep(result: dict[str, Any], workdir: Path) -> None:
    """The table of points, the best one, and the report."""
    from iqlearn_jax.report.page import write_report
    from iqlearn_jax.report.read import settings_text

    print(table(("point", "IQM [95 %]", "return", "seeds", "failed"), list(map(_point, result["rows"]))))
    best = result["best"]
    if best is not None and len(result["rows"]) > 1:
        text = f"best: {settings_text(best['point'])}: {score(best)}; {best['note']}"
        print("\n".join(wrapped(text, width=80)))
    print(f"report: {write_report([workdir], workdir)}")


def score(row: dict[str, Any]) -> str:
    """Normalised IQM with its interval, where there is one."""
    from iqlearn_jax.report.tables import interval_text

    return interval_text(row["normalized_iqm"], row["ci95"], digits=3)


def _point(row: dict[str, Any]) -> tuple[str, ...]:
    from iqlearn_jax.report.read import settings_text

    failed = ", ".join(map(str, row["failed"])) or "–"
    point = settings_text(row["point"]) or "–"
    average = "–" if row["iqm_return"] is None else f"{row['iqm_return']:.4g}"
    return point, score(row), average, str(len(row["seeds"])), failed


def _memory(need: "Estimate") -> str:
    free = "" if need.free is None else f" of {need.free / GIB:.2f}"
    return f"{need.bytes / GIB:.2f}{free} GiB"


def _time(need: "Estimate", parts: int) -> str:
    if need.seconds is None:
        return "does not fit"
    minutes = need.seconds * parts / 60
    return f"{minutes:.1f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
