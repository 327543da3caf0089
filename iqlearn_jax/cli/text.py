"""Plain text in columns that is never cut off: in a narrow terminal it wraps between words, or stacks."""

import shutil
import textwrap
from collections.abc import Sequence

from iqlearn_jax.errors import printable

PIPED = 80  # width where there is no terminal
GAP = 2  # spaces between columns
LONGEST_NAME = 28  # a longer one has a line of its own, above its value


def terminal_width() -> int:
    """Columns of the terminal, or of COLUMNS; 80 where there is neither."""
    return shutil.get_terminal_size((PIPED, 24)).columns


def table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """Aligned columns under a header where they fit, else a block of lines for each row."""
    width = terminal_width() if width is None else width
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    if sum(widths) + GAP * (len(widths) - 1) <= width:
        return "\n".join(_aligned(row, widths) for row in (header, ["-" * size for size in widths], *rows))
    return "\n\n".join(pairs(list(zip(header, row, strict=True)), width, indent=0) for row in rows)


def pairs(rows: Sequence[tuple[str, str]], width: int | None = None, indent: int = 2) -> str:
    """Lines of a name and its value; long values go on below, in their own column.

    Args:
      rows: (name, value); a value may hold line breaks.
      indent: spaces before each name.
    """
    width = terminal_width() if width is None else width
    names = [len(name) for name, _ in rows if len(name) <= LONGEST_NAME]
    column = indent + max(names, default=GAP) + GAP
    lines = []
    for name, value in ((printable(name), printable(value)) for name, value in rows):
        first, *rest = wrapped(value, width - column) or [""]
        if len(name) > LONGEST_NAME:
            lines.append(" " * indent + name)
            name = ""
        lines.append(f"{' ' * indent}{name:<{column - indent}}{first}".rstrip())
        lines += [" " * column + line for line in rest]
    return "\n".join(lines)


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most so many columns; words and numbers stay whole, even if they are longer."""
    return [
        line
        for part in text.splitlines()
        for line in textwrap.wrap(part, max(width, 1), break_long_words=False, break_on_hyphens=False)
    ]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * GAP).join(f"{cell:<{size}}" for cell, size in zip(row, widths, strict=True)).rstrip()
