"""The site is whole, shows what the files say, and loads nothing from elsewhere."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath

import pytest
from mkdocs.exceptions import PluginError

from tests.short_iqlearn import short_python
from website.hooks import in_repository
from website.notebook import code_of
from website.results import rows_table
from website.rollouts import embedded, player

ROOT = Path(__file__).resolve().parents[1]
RESULTS = sorted((ROOT / "docs/results").glob("*.json"))
RECORDED = sorted((ROOT / "docs/results/rollouts").glob("*.json"))
OUTSIDE = re.compile(r"^(https?:)?//", re.I)


class Reader(HTMLParser):
    """What a page loads, the words of its pictures, and the cells of its tables' rows."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.alts, self.rows, self.inside, self.titles = [], [], [], False, 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        linked = tag == "link" and named.get("rel") in ("stylesheet", "icon", "preload")
        self.loads += [named["src"]] if "src" in named else [named["href"]] if linked else []
        self.alts += [named.get("alt")] if tag == "img" else []
        self.titles += tag == "h1"
        self.rows += [[]] if tag == "tr" else []
        self.inside = tag in ("td", "th") or (self.inside and tag not in ("tr", "table"))
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site's folder and its pages, by the command of `make site`. MkDocs is strict: a page outside
    the navigation, a link or an anchor that leads nowhere, and a docstring that cannot be read each end the
    build."""
    out = tmp_path_factory.mktemp("site")
    told = re.search(r"^site:.*\n\t\$\(BIN\)/python (.+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    command = [sys.executable, *told[1].split(), f"--site-dir={out}"]
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}  # as in a user's shell
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, {path: Reader(path.read_text("utf-8")) for path in out.rglob("*.html")}


def test_every_document_has_a_page_and_pictures_have_words(site):
    out, pages = site
    documents = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    for path in documents:
        name = path.with_name("index") if path.stem == "README" else path
        assert out / name.with_suffix(".html") in pages
    assert all(all(page.alts) for page in pages.values())


def test_each_page_has_one_title(site):
    assert {str(path): page.titles for path, page in site[1].items() if page.titles != 1} == {}


def test_a_link_to_nothing_is_refused():
    with pytest.raises(PluginError, match=r"python.md: link to 'gone.md', but there is no file docs/gone.md"):
        in_repository(PurePosixPath("python.md"), "gone.md")


def test_nothing_is_loaded_from_elsewhere(site):
    out, pages = site
    for path, page in pages.items():
        assert not [link for link in page.loads if OUTSIDE.match(link)], path
    for path in (out / "static").iterdir():
        assert not re.search(r"https?:|@import|url\(|fetch\(|import\(", path.read_text("utf-8")), path


def test_formulas_and_docstrings_are_set(site):
    out, _ = site
    objective = (out / "concepts/objective.html").read_text("utf-8")
    assert objective.count("<math") > 5 and "$" not in re.sub(
        r"<script.*?</script>", "", objective, flags=re.S
    )
    text = re.sub(r"<span><math.*?</math></span>", "FORMULA", objective, flags=re.S)
    assert "is known,\nFORMULA, and with it FORMULA. What" in text  # also where a line begins with it
    assert "(1−γ) E_ρ0[V(s0)]" in (out / "reference/losses.html").read_text("utf-8")


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_each_row_shows_where_it_comes_from(path):
    content = json.loads(path.read_text("utf-8"))
    head, *shown = Reader(rows_table(path)).rows
    assert len(shown) == len(content["rows"])
    for row, cells in zip(content["rows"], shown, strict=True):
        made, seen = (
            content.get("provenance", {}) | row.get("provenance", {}),
            dict(zip(head, cells, strict=True)),
        )
        assert seen["commit"] == made.get("commit", "–")[:8]
        assert seen["hardware"] == made.get("hardware", "–")
        assert seen["command"] == (row.get("command") or made.get("command") or "–")


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recordings_are_small_complete_and_safe_inside_a_page(path):
    assert path.stat().st_size < 200_000
    recording = json.loads(path.read_text("utf-8"))
    for who in ("expert", "learner"):
        side = recording[who]
        assert len(side["frames"]) == len(side["rewards"]) + 1
        assert side["ended"] in ("terminated", "time limit")
    assert "</" not in embedded(recording | {"scene": "</script>"})
    assert player(path).count("<canvas") == 2


def test_a_recording_that_lacks_something_is_refused_by_name(tmp_path):
    (tmp_path / "half.json").write_text('{"scene": "cartpole"}')
    with pytest.raises(ValueError, match=r"half.json lacks step_seconds, .*record it again"):
        player(tmp_path / "half.json")


@pytest.mark.slow
def test_the_tutorial_runs_from_top_to_bottom(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    short_python(monkeypatch)
    names = {}
    for source in code_of(ROOT / "docs/tutorial.ipynb"):
        exec(compile(source, "docs/tutorial.ipynb", "exec"), names)
    assert (tmp_path / "policy.npz").exists() and len(names["again"].returns) == 2


def test_the_tutorials_cells_are_python_and_were_run_in_order():
    notebook = json.loads((ROOT / "docs/tutorial.ipynb").read_text("utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for source in code_of(ROOT / "docs/tutorial.ipynb"):
        compile(source, "docs/tutorial.ipynb", "exec")
