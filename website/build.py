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
PLAYED = ("scene", "step_seconds", "static", "expert", "learner")
ROLLOUT_KEYS = (
    *PLAYED, "title", "seed", "returns", "expert_return", "random_return", "updates", "env_steps",
    "provenance", "command",
)  # fmt: skip
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
        results, rollouts = (sorted((root / RESULTS).glob(f"{where}*.json")) for where in ("", "rollouts/"))
        self.results = {path.stem: read_result(path) for path in results}
        self.rollouts = {path.stem: read_rollout(path) for path in sorted(rollouts, key=_front_first)}
        self.files = {RESULTS / path.name: f"results/{path.name}" for path in results}
        pages = find_pages(root)
        self.links = Links(root, pages, self.files)
        self.documents = {page: self._document(page) for page in [*pages, *self._without_text(pages)]}
        self.env = Environment(
            loader=PackageLoader("website"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self.env.globals |= {"charts": charts, "player": player_data, "sections": SECTIONS}

    def write(self) -> None:
        """All pages, then what they show."""
        for page, document in self.documents.items():
            self._write_page(page, document)
        for section in ("results", "rollouts", "howto", "inside"):
            self._write_landing(section)
        for source, target in {**self.links.copies, **self.files}.items():
            (self.out / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.root / source, self.out / target)
        shutil.copytree(Path(__file__).parent / "static", self.out / "static")

    def _without_text(self, pages: list[Page]) -> list[Page]:
        """Pages of results that nobody wrote about yet."""
        known = {page.source for page in pages}
        sources = [path.with_suffix(".md") for path in self.files]
        return [Page(path, f"results/{path.stem}.html", "results") for path in sources if path not in known]

    def _document(self, page: Page) -> Document:
        path, name = self.root / page.source, page.source.stem
        if not path.exists():
            return Document(name, "", "", "")
        drawn = page.section == "results" and name in self.results and self.results[name].groups

        def keep(block: str) -> bool:
            return not drawn or not (OWN_TABLE.search(block) or f"/{name}_curves.png" in block)

        return parse(path.read_text("utf-8"), self.links.of(page.source, page.url), keep)

    def _write_page(self, page: Page, document: Document) -> None:
        result = self.results.get(page.source.stem) if page.section == "results" else None
        template = "front" if page.url == "index.html" else "result" if result else "page"
        span = charts.score_range(result.groups) if result else None
        front = self.rollouts.get(FRONT)
        content = {"document": document, "source": str(page.source), "result": result, "span": span}
        self._render(template, page.url, page.section, **content, front=front)

    def _write_landing(self, section: str) -> None:
        template, (title, url) = "rollouts" if section == "rollouts" else "landing", SECTIONS[section]
        self._render(template, url, section, title=title, rollouts=self.rollouts, results=self.results)

    def _render(self, template: str, url: str, section: str, **content: Any) -> None:
        beside = [(page, document) for page, document in self.documents.items() if page.section == section]
        text = self.env.get_template(f"{template}.html.jinja").render(
            here=url, section=section, beside=beside, link=lambda there: to(url, there), **content
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
            f"{path}: not JSON ({error}); record it again: python -m experiments.studies.rollouts"
        ) from error
    missing = [key for key in ROLLOUT_KEYS if key not in content]
    if missing:
        raise InputError(
            f"{path}: lacks {', '.join(missing)}; record it again: python -m experiments.studies.rollouts"
        )
    return content


def _front_first(path: Path) -> tuple[bool, str]:
    return path.stem != FRONT, path.stem


def player_data(rollout: dict[str, Any]) -> str:
    """What the player's script reads, safe inside a <script> element."""
    text = json.dumps({key: rollout[key] for key in PLAYED}, separators=(",", ":"), ensure_ascii=False)
    return text.replace("</", "<\\/")
