"""MkDocs' hooks: rows of results, players of recorded episodes, formulas, files and a notebook as pages.

Everything is made while the site is built; a page loads nothing from elsewhere.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

from website.notebook import markdown_of
from website.results import rows_table
from website.rollouts import player

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ("tutorial",)
ALOUD = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "README.md": "index.md"}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
PLAYER = re.compile(r"^<!-- player: (\w+) -->$", re.M)
FORMULA = re.compile(r"\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+?)\$", re.S)
COPIED = "files"  # folder of the site for files of the repository that pages link to


def on_files(files: Any, config: Any) -> Any:
    """Adds notebooks as pages, the two pages at the top of the repository, and what pages link to."""
    for name in NOTEBOOKS:
        text = markdown_of(ROOT / f"docs/{name}.ipynb")
        files.append(File.generated(config, f"{name}.md", content=text))
    for source in ("CHANGELOG.md", "CONTRIBUTING.md"):
        files.append(File.generated(config, ALOUD[source], content=(ROOT / source).read_text("utf-8")))
    for script in sorted((ROOT / "website/static").iterdir()):
        files.append(File.generated(config, f"static/{script.name}", abs_src_path=str(script)))
    for target in sorted({target for file in files.documentation_pages() for target in outside(file)}):
        files.append(File.generated(config, f"{COPIED}/{target}.txt", abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """A page's text as MkDocs reads it."""
    source = PurePosixPath(page.file.src_uri)
    markdown = LINK.sub(lambda match: relinked(source, match), markdown)
    markdown = PLAYER.sub(lambda match: player(ROOT / f"docs/results/rollouts/{match[1]}.json"), markdown)
    if page.meta.get("formulas"):
        markdown = FORMULA.sub(formula, markdown)
    rows = ROOT / f"docs/results/{source.stem}.json"
    if source.parent.name == "results" and rows.exists():
        markdown += "\n\n" + rows_table(rows)
    return markdown


def outside(file: Any) -> list[str]:
    """Files of the repository, but for docs/ and the pages at its top, to which a page links."""
    source = PurePosixPath(file.src_uri)
    targets = [in_repository(source, match[1]) for match in LINK.finditer(file.content_string)]
    return [target for target in targets if not target.startswith("docs/") and target not in ALOUD]


def relinked(source: PurePosixPath, match: re.Match) -> str:
    """A link of the repository as one of the site."""
    target, anchor = in_repository(source, match[1]), match[2] or ""
    if target in ALOUD:
        return relative(source, ALOUD[target]) + anchor
    if target.startswith("docs/"):
        inner = target.removeprefix("docs/").replace(".ipynb", ".md")
        return relative(source, inner) + anchor
    return relative(source, f"{COPIED}/{target}.txt") + anchor


def in_repository(source: PurePosixPath, link: str) -> str:
    """The path in the repository that a link of a page names.

    Raises:
      PluginError: there is no such file.
    """
    at_top = str(source) in ALOUD.values() and str(source) != "index.md"
    folder = PurePosixPath() if at_top else PurePosixPath("docs") / source.parent
    target = os.path.normpath(folder / link)
    if not (ROOT / target).is_file() and not target.removesuffix(".md").endswith(NOTEBOOKS):
        raise PluginError(f"{source}: link to '{link}', but there is no file {target}")
    return target


def relative(source: PurePosixPath, target: str) -> str:
    """The way from one page's source to another file of the site."""
    return os.path.relpath(target, source.parent)


def formula(match: re.Match) -> str:
    """TeX as MathML, which browsers draw themselves."""
    from latex2mathml.converter import convert

    if match["block"]:
        return convert(match["block"], display="block")
    # in a span, since at the start of a line Markdown takes a bare formula for a block
    return f"<span>{convert(match['inline'])}</span>"
