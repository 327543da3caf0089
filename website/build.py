"""The site as a whole: every page with the one navigation, and the pictures and scripts beside them."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from iqlearn_jax.errors import InputError
from website import charts
from website.pages import SECTIONS, Links, Page, find_pages, to
from website.results import read_result
from website.text import Document, parse

RESULTS = Path("docs/results")
ROLLOUT_KEYS = ("title", "scene", "step_seconds", "static", "expert", "learner", "returns", "provenance")
FRONT = "cartpole"  # the episodes on the first page
OWN_TABLE = re.compile(r"^\|.*\breturns\b.*\bcommit\b.*\|", re.M)  # the write-up's copy of the rows


def build_site(root: Path, out: Path) -> Path:
    """Builds the site of the repository in `root` anew; returns its first page.

    Raises:
      InputError: a link to nothing, a result or recording in another layout, or a folder `out` that holds
        something else.
    """
    if not (root / "README.md").exists():
        raise InputError(f"{root.resolve()} has no README.md; run this in the checkout: make site")
    if out.exists() and any(out.iterdir()) and not (out / "static/style.css").exists():
        raise InputError(f"--out={out} holds something else than a site; name an empty or new folder")
    shutil.rmtree(out, ignore_errors=True)
    Site(root, out).write()
    return out / "index.html"


class Site:
    """What the pages of one build share."""

    def __init__(self, root: Path, out: Path):
        self.root, self.out = root, out
        self.pages = find_pages(root)
        self.results = {path.stem: read_result(path) for path in sorted((root / RESULTS).glob("*.json"))}
        self.rollouts = {
            path.stem: read_rollout(path)
            for path in sorted((root / RESULTS).glob("rollouts/*.json"), key=_front_first)
        }
        files = {RESULTS / f"{name}.json": f"results/{name}.json" for name in self.results}
        self.links = Links(root, self.pages, files)
        env = Environment(
            loader=PackageLoader("website"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        env.globals |= {"charts": charts, "player": player_data}
        self.env = env

    def write(self) -> None:
        """All pages, then what they show."""
        documents = {page: self._document(page) for page in self.pages}
        missing = [
            name for name in self.results if RESULTS / f"{name}.md" not in {p.source for p in self.pages}
        ]
        pages = [
            *self.pages,
            *(Page(RESULTS / f"{name}.md", f"results/{name}.html", "results") for name in missing),
        ]
        documents |= {
            page: Document(page.source.stem, "", "", "", "") for page in pages if page not in documents
        }
        for page in pages:
            self._write_page(page, documents)
        for section in ("results", "rollouts", "howto", "inside"):
            self._write_landing(section, documents)
        for source, target in {**self.links.copies, **self._files()}.items():
            (self.out / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.root / source, self.out / target)
        shutil.copytree(Path(__file__).parent / "static", self.out / "static")

    def _files(self) -> dict[Path, str]:
        return {RESULTS / f"{name}.json": f"results/{name}.json" for name in self.results}

    def _document(self, page: Page) -> Document:
        name = page.source.stem
        drawn = page.section == "results" and name in self.results

        def keep(block: str) -> bool:
            return not drawn or not (OWN_TABLE.search(block) or f"/{name}_curves.png" in block)

        text = (self.root / page.source).read_text("utf-8")
        return parse(text, self.links.of(page.source, page.url), keep)

    def _write_page(self, page: Page, documents: dict[Page, Document]) -> None:
        result = self.results.get(page.source.stem) if page.section == "results" else None
        template = "front" if page.url == "index.html" else "result" if result else "page"
        self._render(
            template,
            page.url,
            page.section,
            documents,
            document=documents[page],
            source=str(page.source),
            result=result,
            front=self.rollouts.get(FRONT) if template == "front" else None,
            span=charts.score_range(result.groups) if result else None,
        )

    def _write_landing(self, section: str, documents: dict[Page, Document]) -> None:
        self._render(
            "rollouts" if section == "rollouts" else "landing",
            SECTIONS[section][1],
            section,
            documents,
            title=SECTIONS[section][0],
            rollouts=self.rollouts,
            results=self.results,
        )

    def _render(
        self, template: str, url: str, section: str, documents: dict[Page, Document], **content: Any
    ) -> None:
        def link(there: str) -> str:
            return to(url, there)

        text = self.env.get_template(f"{template}.html.jinja").render(
            here=url,
            section=section,
            sections=SECTIONS,
            beside=[(page, found) for page, found in documents.items() if page.section == section],
            link=link,
            **content,
        )
        path = self.out / url
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def read_rollout(path: Path) -> dict[str, Any]:
    """A recorded pair of episodes, as docs/formats.md has it.

    Raises:
      InputError: it is no JSON object with the keys that a player needs.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path}: not JSON ({error}); record it again: python -m experiments.rollouts"
        ) from error
    missing = [key for key in ROLLOUT_KEYS if key not in content]
    if missing:
        raise InputError(
            f"{path}: lacks {', '.join(missing)}; record it again: python -m experiments.rollouts"
        )
    return content


def _front_first(path: Path) -> tuple[bool, str]:
    return path.stem != FRONT, path.stem


def player_data(rollout: dict[str, Any]) -> str:
    """What the player's script reads, safe inside a <script> element."""
    keys = ("scene", "step_seconds", "static", "expert", "learner")
    text = json.dumps({key: rollout[key] for key in keys}, separators=(",", ":"), ensure_ascii=False)
    return text.replace("</", "<\\/")
