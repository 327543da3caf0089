"""iqlearn sweep: a grid of settings on the same seeds, in as few compiled programs as possible."""

import argparse
from pathlib import Path

import jax
from rich.console import Console
from rich.table import Table

from iqlearn_jax.errors import InputError
from iqlearn_jax.report.read import settings_text
from iqlearn_jax.report.tables import interval_text
from iqlearn_jax.settings import assign, load_config, override
from iqlearn_jax.sweep import hosts
from iqlearn_jax.sweep.estimate import Estimate, estimate
from iqlearn_jax.sweep.grid import Program, parse_grid, plan
from iqlearn_jax.sweep.mesh import is_main
from iqlearn_jax.sweep.sweep import cut, run_sweep

GIB = 2**30


def main(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """`iqlearn sweep`; InputError and Stopped are left to the caller."""
    options, overrides = read_options(parser, arguments)
    hosts.join(options)
    config = load_config(options.config)
    if options.demos:
        assign(config, "demos.path", options.demos)
    override(config, overrides)
    if options.seeds is not None:
        config.seeds = options.seeds
    grid = parse_grid(options.grid)
    programs = plan(config, grid)
    if options.dry_run:
        return dry_run(programs, options.runs_per_device)
    if options.workdir is None:
        raise InputError("--workdir is missing; name a folder, or add --dry-run")
    if jax.config.values["jax_compilation_cache_dir"] is None:  # for its parts, and for going on
        jax.config.update("jax_compilation_cache_dir", str(options.workdir.absolute() / "compiled"))
    found = run_sweep(programs, grid, options.workdir, options.runs_per_device, force=options.force)
    if is_main():
        print_sweep(found, options.workdir)
    return 0


def read_options(parser: argparse.ArgumentParser, arguments: list[str]):
    """The command line. Returns (options, overrides)."""
    parser.add_argument("--config", required=True, help="FILE.py:NAME")
    parser.add_argument("--workdir", type=Path, help="folder; one that was stopped goes on")
    parser.add_argument("--demos", help="demonstration file, the same as --config.demos.path")
    parser.add_argument("--seeds", type=int, help="runs of each point, the same as --config.seeds")
    parser.add_argument("--grid", action="append", default=[], metavar="KEY=VALUE,VALUE", help="repeatable")
    parser.add_argument("--runs-per-device", type=int, help="most runs that a device holds at once")
    parser.add_argument("--dry-run", action="store_true", help="print programs, memory and time only")
    parser.add_argument("--force", action="store_true", help="go on although code or demos changed")
    hosts.add_arguments(parser)
    options, overrides = parser.parse_known_args(arguments)
    for name in ("seeds", "runs_per_device"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} is {value}; expected at least 1")
    return options, overrides


def dry_run(programs: list[Program], runs_per_device: int | None) -> int:
    """Prints what a sweep would take.

    Raises:
      InputError: a program does not fit into a device's memory.
    """
    parts = {program.name: cut(program, runs_per_device) for program in programs}
    found = {name: estimate(own[0].config) for name, own in parts.items()}
    table = Table("program", "differs in", "runs", "parts", "runs on a device", "memory of a device", "time")
    for program in programs:
        own, count = found[program.name], len(parts[program.name])
        static = settings_text(program.static) or "–"
        numbers = (program.runs, count, own.runs_per_device)
        table.add_row(program.name, static, *map(str, numbers), _memory(own), _time(own, count))
    console = Console()
    console.print(table)
    console.print("Time is that of training, from a measured piece; compiling and evaluating come on top.")
    for name, own in found.items():
        if not own.fits:
            raise InputError(
                f"{name} needs {_memory(own)} with {own.runs_per_device} runs on a device; set "
                "--runs-per-device below that, or a smaller --config.online.capacity"
            )
    return 0


def print_sweep(found: dict, workdir: Path) -> None:
    """The table of points, the best one, and the report."""
    from iqlearn_jax.report.page import write_report

    table = Table("point", "IQM [95 %]", "return", "seeds", "failed")
    for row in found["rows"]:
        point = settings_text(row["point"]) or "–"
        failed = ", ".join(map(str, row["failed"])) or "–"
        table.add_row(point, score(row), f"{row['iqm_return']:.4g}", str(len(row["seeds"])), failed)
    console = Console()
    console.print(table)
    if found["best"] is not None and len(found["rows"]) > 1:
        best = found["best"]
        console.print(f"best: {settings_text(best['point'])}: {score(best)}; {best['note']}")
    console.print(f"report: {write_report([workdir], workdir)}")


def score(row: dict) -> str:
    """Normalised IQM with its interval, where there is one."""
    return interval_text(row["normalized_iqm"], row["ci95"], digits=3)


def _memory(own: Estimate) -> str:
    free = "" if own.free is None else f" of {own.free / GIB:.2f}"
    return f"{own.bytes / GIB:.2f}{free} GiB"


def _time(own: Estimate, parts: int) -> str:
    if own.seconds is None:
        return "does not fit"
    minutes = own.seconds * parts / 60
    return f"{minutes:.1f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
