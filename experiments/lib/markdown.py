"""Rows of results as Markdown: what a reader needs; all else is in the JSON file beside the page."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from iqlearn_jax.report.tables import demos_text, interval_text

HEAD = ("task", "method", "setting", "seeds", "score [95 %]", "worst seed")
NOT_RUN = "–"


def run_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line a row: what learned from what, and its score."""
    return markdown_table(HEAD, [_cells(row) for row in rows])


def markdown_table(head: Sequence[str], lines: Iterable[Sequence]) -> str:
    """A Markdown table."""
    rows = [head, ("---",) * len(head), *lines]
    return "".join("| " + " | ".join(str(cell) for cell in row) + " |\n" for row in rows)


def score(row: Mapping[str, Any] | None) -> str:
    """Normalised IQM with its interval; with its lowest and highest seed where those are too few for one; a
    dash without a row.
    """
    if row is None:
        return NOT_RUN
    each = row["normalized"]
    few = f" ({min(each):.3f} … {max(each):.3f})" if row["ci95"] is None and len(each) > 1 else ""
    return interval_text(row["normalized_iqm"], row["ci95"], digits=3) + few


def origin(module: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """Command, hardware, commit and the file with everything else, once for a page."""
    made = [row["provenance"] for row in rows]
    hardware = " or ".join(sorted({one["hardware"] for one in made})) or "nothing yet"
    commits = sorted({one["commit"][:8] for one in made})
    where = f", commit {commits[0]}" if len(commits) == 1 else "; each row's commit is in the file"
    name = module.rpartition(".")[2]
    return (
        f"`python -m experiments.{module}`, on {hardware}{where}. All numbers, and of runs their "
        f"returns, curves, settings and commands: [{name}.json]({name}.json).\n\n"
    )


def seeds(row: Mapping[str, Any]) -> str:
    """The first and the last one."""
    first, last = row["seeds"][0], row["seeds"][-1]
    return f"{first}–{last}" if first != last else str(first)


def _cells(row: Mapping[str, Any]) -> tuple:
    setting = ", ".join(
        filter(None, (row["setting"], demos_text(row["demos"], row["subsample"]), row["note"]))
    )
    return row["task"], row["label"], setting, seeds(row), score(row), f"{min(row['normalized']):.3f}"
