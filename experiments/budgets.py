"""Hours of computing that the results took and would take, from their files alone.

`python -m experiments.budgets` writes docs/results/budgets.md; so does each experiment when it ends.

All are hours of one core; the limits are in hours of two. Used: `wall_seconds` of the rows that are done,
each of which ran on one core that others may have shared, some halted for hours while the clock ran on (the
double pendulum's monotone χ²). A run that several pages show counts once, where it was made. Not in it:
experts that were trained first, evaluations after training, searches and rows that were made anew since,
attempts that no row shows; of these no account was kept, and they may well have taken what a limit leaves.
Pending: the times that pending rows state.
"""

import json
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from experiments import command
from experiments.markdown import markdown_table
from experiments.table import RESULTS

EARLIER = ("core", "control", "stability", "images")  # other budgets' runs, which some pages borrow
LIMIT, CORES = 12.0, 2  # hours for each group, on that many cores
GROUPS = {
    "Table 1": ("table1", "tuning", "properties", "coverage"),
    "The paper's other results": ("figure2", "gridworld", "table3", "rewards", "divergences", "unbiased"),
}
TIME = re.compile(r"about ([\d.]+) (h|min)")
HEAD = ("page", "hours used", "done", "of them without a time", "hours pending", "pending", "without a time")


class Share(NamedTuple):
    """What one page has taken and would take."""

    used: float = 0.0
    done: int = 0
    untimed: int = 0
    waiting: float = 0.0
    pending: int = 0
    unknown: int = 0

    def __add__(self, other: tuple) -> "Share":
        """Entry by entry."""
        return Share(*(a + b for a, b in zip(self, other, strict=True)))


def numbers(row: Any) -> Iterator[float]:
    """All `wall_seconds` inside."""
    for key, value in row.items():
        if key == "wall_seconds":
            yield value
        elif isinstance(value, dict):
            yield from numbers(value)


def notes(row: Mapping[str, Any]) -> Iterator[str]:
    """All notes of something pending inside."""
    for key, value in row.items():
        if key == "note" and value.startswith("pending"):
            yield value
        elif isinstance(value, dict):
            yield from notes(value)


def stated(note: str) -> float:
    """The hours that a note states, 0 for none."""
    return sum(float(number) / (1 if unit == "h" else 60) for number, unit in TIME.findall(note))


def share(row: Mapping[str, Any]) -> Share:
    """One row's; a command that several of its parts wait for counts once."""
    seconds, waits = list(numbers(row)), sorted(set(notes(row)))
    times = [stated(note) for note in waits]
    done = int("pending" not in str(row.get("note", ""))[:7])
    untimed = int(done and not seconds)
    return Share(sum(seconds) / 3600, done, untimed, sum(times), len(waits), sum(not t for t in times))


def where(page: str, index: int, row: Mapping[str, Any]) -> str:
    """What is one run on all pages: its folder, or the row itself where the page is no table of runs."""
    table = getattr(import_module(f"experiments.{page}"), "TABLE", None)
    name = row.get("name", row.get("task"))  # pending rows of tables have their name there
    return f"{page}/{index}" if table is None else str(table.folder(name))


def shares() -> dict[str, Share]:
    """Each page's; runs count on the first page that has them."""
    seen: set[str] = set()
    found = {}
    for page in (*EARLIER, *(page for pages in GROUPS.values() for page in pages)):
        rows = json.loads((RESULTS / f"{page}.json").read_text())["rows"]
        own = {where(page, index, row): row for index, row in enumerate(rows)}
        found[page] = sum((share(row) for place, row in own.items() if place not in seen), Share())
        seen |= own.keys()
    return found


def page() -> str:
    """The statement, one table for each group."""
    found = shares()
    text = f"# Hours of computing\n\n{__doc__}"
    for title, pages in GROUPS.items():
        total = sum((found[name] for name in pages), Share())
        text += f"\n## {title}\n\n{verdict(total)}\n\n"
        lines = [line(f"[{name}]({name}.md)", found[name]) for name in pages]
        text += markdown_table(HEAD, [*lines, line("together", total)])
    return text


def verdict(total: Share) -> str:
    """The limit beside what was used."""
    hours, least = LIMIT * CORES, "at least " if total.untimed else ""
    over = f", {total.used - hours:.1f} h more than that" if total.used > hours else ""
    return (
        f"Limit: {LIMIT:.0f} h of background computing on {CORES} CPU cores, {hours:.0f} h of one. "
        f"Used by what is shown: {least}{total.used:.1f} h{over}. {total.pending} rows are pending: "
        f"{total.waiting:.1f} h by their own estimates, {total.unknown} of them without one."
    )


def line(name: str, found: Share) -> tuple:
    """One line of the table."""
    used, done, untimed, waiting, pending, unknown = found
    return (name, f"{used:.2f}", done, untimed, f"{waiting:.1f}", pending, unknown)


def write() -> None:
    """docs/results/budgets.md."""
    (RESULTS / "budgets.md").write_text(page())


def main() -> None:
    """Writes the page."""
    command.parse(__doc__)
    write()


if __name__ == "__main__":
    command.run("budgets", main)
