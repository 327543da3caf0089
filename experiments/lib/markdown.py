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
    return markdown_table(HEAD, [_cells(found) for found in results])


def markdown_table(head: tuple[str, ...], lines: list[tuple]) -> str:
    """A Markdown table."""
    rows = [head, ("---",) * len(head), *lines]
    return "".join("| " + " | ".join(str(cell) for cell in row) + " |\n" for row in rows)


def score(found: Mapping[str, Any]) -> str:
    """Normalised IQM with its interval, where there is one."""
    return interval_text(found["normalized_iqm"], found["ci95"], digits=3)


def rows_done(done: Sized, results: Sized) -> str:
    """The line below a table: how many of its rows are done."""
    if len(done) == len(results):
        return f"\nAll {len(results)} rows are done.\n"
    return f"\n{len(done)} of {len(results)} rows are done; the others are pending.\n"


def _cells(found: dict[str, Any]) -> tuple:
    if "method" not in found:
        return (found["task"], *[""] * (len(HEAD) - 2), found["note"])
    return (
        found["task"],
        found["method"],
        found["setting"],
        f"{found['demos']} × {found['subsample']}",
        f"{found['seeds'][0]}–{found['seeds'][-1]}",
        score(found),
        f"{min(found['normalized']):.3f}",
        " ".join(_short(value) for value in found["returns"]),
        f"{_short(found['random_return'])}, {_short(found['expert_return'])}",
        f"{found['updates']:,}",
        f"{found['env_steps']:,}",
        f"{found['wall_seconds']:.0f}",
        found["provenance"]["commit"][:8],
        found["note"],
    )


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.1f}"
