"""make bench: every speed claim of this project, as ratios measured in one run.

    python -m benchmarks.run [--only=NAME,...] [--demos=Hopper-v5 file]

Writes benchmarks/results/latest.json and prints a table; docs/performance.md says how each figure is made.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import loops, storage, updates
from benchmarks.measure import Row
from experiments.lib import command
from experiments.lib.demonstrations import SHARED
from iqlearn_jax.devices.placement import one_device_per_core
from iqlearn_jax.runs.files import write_json

RESULTS = Path("benchmarks/results/latest.json")
DEMOS = Path("../shared/demos")
HOPPER = DEMOS / SHARED["hopper"]
TASKS = ("hopper", "humanoid")


def groups(demos: Path) -> dict[str, Callable[[], list[Row]]]:
    """What --only names, in the order in which it runs."""
    files = {task: str(path) for task in TASKS if (path := DEMOS / SHARED[task]).exists()}
    host = {
        "host": lambda: loops.host_loop(str(demos)),
        "capacity": lambda: loops.replay_in_loop(files),
        "cold": lambda: loops.cold_start(str(demos)),
    }
    return {
        "iq/rl": updates.iq_over_rl,
        "offline": updates.policy_classes,
        "products": updates.against_matrix_products,
        "runs": updates.many_runs,
        "loop": loops.device_loop,
        "pixels": loops.pixel_loop,
        **(host if demos.exists() else {}),
        "replay": storage.replay,
        "compile": storage.compilation,
        "scaling": storage.scaling,
        "memory": storage.memory,
    }


def main() -> int:
    """Measures, prints the table, writes the file; 1 if a bar does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="groups, separated by commas; nothing is written then")
    parser.add_argument("--demos", type=Path, default=HOPPER, help="Hopper-v5 demonstrations")
    options = parser.parse_args()
    one_device_per_core()
    known = groups(options.demos)
    names = options.only.split(",") if options.only else list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"--only={unknown[0]}; known: {', '.join(known)}")
    rows = [row for name in names for row in known[name]()]
    if not options.only:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        content = [row.plain() for row in rows]
        write_json(RESULTS, {"name": "bench", "provenance": command.made(), "rows": content})
    show(rows)
    return 0 if all(row.holds is not False for row in rows) else 1


def show(rows: list[Row]) -> None:
    """The table."""
    table = Table("figure", "value", "quartiles", "bar", "unit", "beside")
    for row in rows:
        mark = " (fails)" if row.holds is False else ""
        beside = ", ".join(f"{name} {_short(value)}" for name, value in row.details.items())
        quartiles = "–".join(f"{x:.3g}" for x in row.spread)
        table.add_row(row.name, f"{row.value:.3g}{mark}", quartiles, row.bar, row.unit, beside)
    Console().print(table)


def _short(value) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {_short(each)}" for name, each in value.items())
    return f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main())
