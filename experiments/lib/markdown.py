"""Rows of results as Markdown tables."""

from collections.abc import Mapping, Sized
from typing import Any

from iqlearn_jax.report.tables import interval_text

HEAD = (
    "task", "method", "setting", "demos × every", "seeds", "normalised IQM [95 %]", "worst", "returns",
    "random, expert", "updates", "env steps", "seconds", "commit", "note",
)  # fmt: skip


def full_markdown(results: list[dict[str, Any]]) -> str:
    """The table as a page; every number stands beside its seeds, steps, hardware and commit."""
    return markdown_table(HEAD, [_cells(row) for row in results])


def markdown_table(head: tuple[str, ...], lines: list[tuple]) -> str:
    """A Markdown table."""
    rows = [head, ("---",) * len(head), *lines]
    return "".join("| " + " | ".join(str(cell) for cell in row) + " |\n" for row in rows)


def score(row: Mapping[str, Any]) -> str:
    """Normalised IQM with its interval, where there is one."""
    return interval_text(row["normalized_iqm"], row["ci95"], digits=3)


def rows_done(done: Sized, results: Sized) -> str:
    """The line below a table: how many of its rows are done."""
    if len(done) == len(results):
        return f"\nAll {len(results)} rows are done.\n"
    return f"\n{len(done)} of {len(results)} rows are done; the others are pending.\n"


def _cells(row: dict[str, Any]) -> tuple:
    if "method" not in row:
        return (row["task"], *[""] * (len(HEAD) - 2), row["note"])
    return (
        row["task"],
        row["method"],
        row["setting"],
        f"{row['demos']} × {row['subsample']}",
        f"{row['seeds'][0]}–{row['seeds'][-1]}",
        score(row),
        f"{min(row['normalized']):.3f}",
        " ".join(_short(value) for value in row["returns"]),
        f"{_short(row['random_return'])}, {_short(row['expert_return'])}",
        f"{row['updates']:,}",
        f"{row['env_steps']:,}",
        f"{row['wall_seconds']:.0f}",
        row["provenance"]["commit"][:8],
        row["note"],
    )


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.1f}"
