"""docs/results/NAME.json as one table that can be sorted; every row has its hardware, commit and command."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

CODE = ("commit", "command")
LEFT_OUT = ("curve", "provenance", "normalized", "config")  # too long for a cell; they are in the file


def rows_table(path: Path) -> str:
    """All rows of a file as HTML, folded away; the columns are the rows' own keys."""
    content = json.loads(path.read_text("utf-8"))
    rows = [cells(row, content.get("provenance") or {}) for row in content["rows"]]
    head = list(dict.fromkeys(key for row in rows for key in row))
    lines = "".join(f"<tr>{''.join(cell(key, row.get(key)) for key in head)}</tr>" for row in rows)
    names = "".join(f"<th>{escape(key)}</th>" for key in head)
    return (
        f"## Every row\n\n[{path.name}]({path.name}){{ download }} holds all of this and the curves.\n\n"
        f"<details><summary>{len(rows)} rows</summary>"
        f'<div class="rows"><table>'
        f"<thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div></details>"
    )


def cells(row: Mapping[str, Any], origin: Mapping[str, Any]) -> dict[str, Any]:
    """What a row shows; what a file says of all its rows counts where a row says nothing."""
    made = {**origin, **(row.get("provenance") or {})}
    shown = {key: value for key, value in row.items() if key not in (*LEFT_OUT, *CODE)}
    command = row.get("command") or made.get("command") or "–"
    return shown | {
        "hardware": made.get("hardware", "–"),
        "commit": str(made.get("commit", "–"))[:8],
        "command": command,
    }


def cell(key: str, value: Any) -> str:
    """One entry; numbers are sorted as numbers, code is set as code."""
    if key in CODE:
        return f"<td><code>{escape(str(value))}</code></td>"
    if isinstance(value, float):
        return f'<td data-order="{value}">{value:,.4g}</td>'
    if isinstance(value, list | dict):
        return f"<td>{escape(short(value))}</td>"
    return f"<td>{escape('–' if value is None else str(value))}</td>"


def short(value: Any) -> str:
    """Lists of numbers with four digits, anything else as JSON."""
    if isinstance(value, list) and all(isinstance(x, int | float) for x in value):
        return " ".join(f"{x:,.4g}" for x in value)
    return json.dumps(value, ensure_ascii=False)
