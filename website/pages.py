"""Which file becomes which page, and where it stands in the navigation."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from iqlearn_jax.errors import InputError
from website.text import Resolve, relative

HOW_TO = (
    "install",
    "python",
    "command_line",
    "configuration",
    "policies",
    "pipelines",
    "own_environment",
    "demonstrations",
    "own_method",
    "sweeps",
    "devices",
    "report",
    "durability",
)
SECTIONS = {
    "start": ("Start", "index.html"),
    "results": ("Results", "results/index.html"),
    "rollouts": ("Rollouts", "rollouts.html"),
    "methods": ("Methods", "methods/index.html"),
    "howto": ("How to", "howto.html"),
    "inside": ("Inside", "inside.html"),
}
PICTURES = (".png", ".svg", ".gif", ".jpg")


class Page(NamedTuple):
    """A Markdown file of the repository and its place on the site."""

    source: Path
    url: str
    section: str


def find_pages(root: Path) -> list[Page]:
    """README, contributing, changelog and all of docs/, in the order of the navigation."""
    pages = [Page(Path("README.md"), "index.html", "start")]
    for path in sorted((root / "docs").rglob("*.md"), key=_place):
        source = path.relative_to(root)
        pages.append(Page(source, *_address(source)))
    extra = [Path(f"{name}.md") for name in ("CONTRIBUTING", "CHANGELOG")]
    return pages + [
        Page(path, f"{path.stem.lower()}.html", "inside") for path in extra if (root / path).exists()
    ]


def _place(path: Path) -> tuple:
    known = HOW_TO.index(path.stem) if path.stem in HOW_TO else len(HOW_TO)
    return str(path.parent), path.stem != "README", known, path.stem


def _address(source: Path) -> tuple[str, str]:
    """(url, section): docs/X.md lies at the top, docs/methods/X.md below methods/."""
    inner = source.relative_to("docs")
    section = inner.parts[0] if len(inner.parts) > 1 else "howto" if inner.stem in HOW_TO else "inside"
    name = "index" if inner.stem == "README" else inner.stem
    return str(inner.with_name(f"{name}.html")), section if section in SECTIONS else "inside"


class Links:
    """Rewrites the links of one page, and remembers what the site has to take along for them."""

    def __init__(self, root: Path, pages: Sequence[Page], generated: Mapping[Path, str]):
        self.root = root
        self.copies: dict[Path, str] = {}
        self.addresses = {page.source: page.url for page in pages} | dict(generated)

    def of(self, source: Path, url: str) -> Resolve:
        """The rewriting for the file `source`, shown at `url`."""

        def resolve(href: str) -> str:
            target = relative(source, href)
            if target is None:
                return href
            if not (self.root / target).exists():
                raise InputError(
                    f"{source}: link to '{href}', but there is no {target}; mend the link or add the file"
                )
            return to(url, self._address(target)) + href[len(href.partition("#")[0]) :]

        return resolve

    def _address(self, target: Path) -> str:
        if target in self.addresses:
            return self.addresses[target]
        if (self.root / target).is_dir():
            inside = target / "README.md"
            return self.addresses.get(inside, f"{target.name}/index.html")
        shown = str(target.relative_to("docs")) if target.suffix in PICTURES else f"files/{target}"
        suffix = (
            "" if target.suffix in (*PICTURES, ".json") else ".txt"
        )  # browsers show text, and save others
        self.copies[target] = shown + suffix
        return self.copies[target]


def to(here: str, there: str) -> str:
    """The way from one page to another, both relative to the site's root."""
    return os.path.relpath(there, os.path.dirname(here) or ".")
