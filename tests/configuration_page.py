"""The tables of docs/configuration.md, from the table of keys.

`python -m tests.configuration_page` writes them; tests/test_docs.py compares.
"""

from pathlib import Path

from iqlearn_jax.cli.keys import grouped, range_text, value_text
from iqlearn_jax.config.schema import KEYS, Key
from iqlearn_jax.config.values import kind_of
from iqlearn_jax.methods import METHODS

PAGE = Path(__file__).resolve().parents[1] / "docs/configuration.md"
COMMAND = "python -m tests.configuration_page"
BAR = "\\|"  # inside a cell


def page() -> str:
    """The page: its text as it is, then a table for each group of keys."""
    tables = [table(title, names) for title, names in grouped()]
    text = PAGE.read_text("utf-8").partition(tables[0].splitlines()[0])[0]
    return "\n".join([text.rstrip() + "\n", *tables])


def table(title: str, names: list[str]) -> str:
    """A section of the page."""
    head = "| key | default | values | meaning | read by |\n|---|---|---|---|---|"
    rows = [row(name, KEYS[name]) for name in names]
    return "\n".join([f"## {title[0].upper()}{title[1:]}", "", head, *rows, ""])


def row(name: str, key: Key) -> str:
    """A line of the table."""
    default = value_text(key.default)
    cells = (
        f"`{name}`",
        f"`{default}`" if default else "empty",
        values(key) + ", traced" * key.traced,
        key.meaning,
        readers(name),
    )
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"


def values(key: Key) -> str:
    """What it may be: a list, or its type and range."""
    return range_text(key) if key.choices else f"{kind_of(key)} {range_text(key)}".strip()


def readers(name: str) -> str:
    """The methods that read a key, or the feeds with which it is read."""
    key = KEYS[name]
    if not key.of_method:
        return "every run" if not key.feeds else f"feed {' or '.join(key.feeds)}"
    reading = [method for method, entry in METHODS.items() if name in entry.keys]
    missing = [method for method in METHODS if method not in reading]
    if len(missing) < len(reading):
        return f"all but {', '.join(missing)}" if missing else "all methods"
    return ", ".join(reading)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(f"{PAGE.relative_to(Path.cwd())}: {len(KEYS)} keys, {len(METHODS)} methods")
