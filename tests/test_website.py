"""The site is whole, stands alone, and shows what the files say."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from iqlearn_jax.errors import InputError
from website.build import build_site, player_data
from website.results import read_result
from website.text import parse

ROOT = Path(__file__).resolve().parents[1]
VOID = {"meta", "img", "br", "link", "input", "hr"}
DRAWN = {"line", "rect", "circle", "polyline"}  # of SVG, closed as they open
OUTSIDE = re.compile(r"^[a-z]+:", re.I)


class Reader(HTMLParser):
    """A page's links, loads, ids, headings and table cells; fails on tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.loads, self.ids = [], [], [], set()
        self.levels, self.alts, self.rows = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids.add(attributes.get("id"))
        self.links += [attributes["href"]] if tag == "a" else []
        self.loads += [attributes[key] for key in ("src", "href") if key in attributes and tag != "a"]
        self.levels += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.alts += [attributes.get("alt")] if tag == "img" else []
        self.rows += [[]] if tag == "tr" else []
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID | DRAWN:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert tag in DRAWN or self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data.strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "out"
    build_site(ROOT, out)
    return out, {path: Reader(path.read_text("utf-8")) for path in out.rglob("*.html")}


def test_it_is_built_without_jax_and_training_code(tmp_path):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('jax', 'flax', 'brax', 'gymnasium')))\n"
        f"sys.argv = ['website', '--out={tmp_path / 'site'}']\n"
        "import runpy; runpy.run_module('website', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site/index.html").exists()


def test_every_document_and_result_has_a_page(site):
    out, pages = site
    inside = {path.relative_to(out).as_posix() for path in pages}
    for path in (ROOT / "docs").rglob("*.md"):
        assert (
            path.relative_to(ROOT / "docs").with_suffix(".html").as_posix().replace("README", "index")
            in inside
        )
    for path in (ROOT / "docs/results").glob("*.json"):
        assert f"results/{path.stem}.html" in inside
    assert {"index.html", "rollouts.html", "howto.html", "inside.html", "results/index.html"} <= inside


def test_links_lead_somewhere(site):
    _, pages = site
    links = [(path, link) for path, page in pages.items() for link in [*page.links, *page.loads]]
    for path, link in links:
        target, _, anchor = link.partition("#")
        file = (path.parent / unquote(target)).resolve() if target else path.resolve()
        assert OUTSIDE.match(link) or file.is_file(), f"{path}: {link}"
        assert not anchor or file not in pages or anchor in pages[file].ids, f"{path}: {link}"


def test_nothing_is_loaded_from_elsewhere(site):
    out, pages = site
    for path, page in pages.items():
        assert [link for link in page.loads if OUTSIDE.match(link)] == ["data:,"], path
    for path in (out / "static").iterdir():
        assert not re.search(r"https?:|@import|url\(|fetch\(|import\(", path.read_text("utf-8")), path


def test_headings_descend_without_gaps_and_pictures_have_words(site):
    for path, page in site[1].items():
        assert page.levels.count(1) == 1, path
        for before, after in zip([1, *page.levels], page.levels, strict=False):
            assert after <= before + 1, f"{path}: h{before} before h{after}"
        assert all(page.alts), path


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "docs/results").glob("*.json")))
def test_each_row_shows_where_it_comes_from(site, name):
    content = json.loads((ROOT / f"docs/results/{name}.json").read_text())
    rows, origin = content["rows"], content.get("provenance", {})
    page = site[1][site[0] / f"results/{name}.html"]
    pending = [str(row.get("note", "")).startswith("pending") for row in rows]
    heads = [i for i, cells in enumerate(page.rows) if "command" in cells]
    done_head, *rest = heads if not all(pending) else (None, *heads)
    assert len(rest) == any(pending)
    for cells in below(page, rest[0], sum(pending)) if rest else ():
        assert cells["command"].startswith("python -m experiments.")
    done = [row for row, waits in zip(rows, pending, strict=True) if not waits]
    shown = below(page, done_head, len(done)) if done else []
    for row, cells in zip(done, shown, strict=True):
        made = origin | row.get("provenance", {})
        assert cells.get("commit", "–") == made.get("commit", "–")[:8]
        assert cells.get("hardware", "–") == made.get("hardware", "–")
        if "returns" in row:
            assert cells["command"] == row["command"]
            assert cells["updates"] == f"{row['updates']:,}"
            assert cells["seeds"].startswith(str(row["seeds"][0]))


def below(page, head, count):
    """The rows below a head, by its names."""
    rows = page.rows[head + 1 : head + 1 + count]
    return [dict(zip(page.rows[head], cells, strict=True)) for cells in rows]


@pytest.mark.parametrize("name", ["doctor", "rewards", "figure2", "table1"])
def test_the_tables_of_a_result_page_stay_where_they_are_no_copy_of_its_rows(site, name):
    source = (ROOT / f"docs/results/{name}.md").read_text("utf-8").splitlines()
    ruled = [i for i, line in enumerate(source) if line.startswith("| --- |")]
    heads = [[cell.strip() for cell in source[i - 1].strip().strip("|").split("|")] for i in ruled]
    shown = site[1][site[0] / f"results/{name}.html"].rows
    assert heads and all(head in shown for head in heads)


def test_the_first_page_has_the_numbers_of_the_readme(site):
    table = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if "[0.95, 1.00]" in line]
    shown = [" ".join(cells) for cells in site[1][site[0] / "index.html"].rows]
    assert all(line.strip("| ").replace(" | ", " ") in shown for line in table)


def write_result(folder, rows):
    path = folder / "made_up.json"
    path.write_text(json.dumps({"provenance": {"hardware": "abacus", "commit": "0123456789"}, "rows": rows}))
    return path


def test_other_tables_show_their_own_columns_and_the_files_origin(tmp_path):
    result = read_result(write_result(tmp_path, [{"reward": "exact", "epic": 0.25, "many": [1, 2]}]))
    cells = dict(zip(result.head, result.rows[0], strict=True))
    assert (cells["epic"].text, cells["epic"].order) == ("0.25", 0.25)
    assert cells["many"].kind == "folded"
    assert (cells["hardware"].text, cells["commit"].text) == ("abacus", "01234567")


def test_a_pending_row_has_its_command_apart_from_its_note(tmp_path):
    note = "pending: python -m experiments.tables.control --only=hopper_paper authors' settings"
    result = read_result(write_result(tmp_path, [{"task": "hopper", "note": note}]))
    cells = dict(zip(result.pending_head, result.pending[0], strict=True))
    assert not result.rows and not result.head
    assert cells["command"].text == "python -m experiments.tables.control --only=hopper_paper"
    assert cells["note"].text == "authors' settings"


def test_bad_input_is_refused_by_name(tmp_path):
    (tmp_path / "README.md").write_text("# A\n\n[gone](docs/gone.md)\n")
    with pytest.raises(InputError, match=r"README.md: link to 'docs/gone.md'"):
        build_site(tmp_path, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="holds something else"):
        build_site(tmp_path, tmp_path / "full")
    path = tmp_path / "broken.json"
    path.write_text("{}")
    with pytest.raises(InputError, match="expected an object with a list 'rows'"):
        read_result(path)


def test_markdown_keeps_its_words_and_escapes_code():
    page = parse(
        "# T\n\nLead *in*.\n\n## Two\n\n```sh\na < b\n```\n\n| x |\n|---|\n| 1 |\n", lambda href: href
    )
    assert (page.title, page.lead) == ("T", "Lead in.")
    assert 'id="two"' in page.rest and "Lead" not in page.rest
    assert "&lt;" in page.rest
    assert '<div class="scroll"' in page.rest


def test_recordings_are_small_complete_and_safe_inside_a_page():
    for path in (ROOT / "docs/results/rollouts").glob("*.json"):
        assert path.stat().st_size < 200_000
        recording = json.loads(path.read_text("utf-8"))
        for who in ("expert", "learner"):
            side = recording[who]
            assert len(side["frames"]) == len(side["rewards"]) + 1
            assert side["ended"] in ("terminated", "time limit")
        assert "</" not in player_data(recording | {"scene": "</script>"})


def luminance(colour):
    """Relative luminance (WCAG 2.2) of #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(scheme):
    style = (ROOT / "website/static/style.css").read_text("utf-8")
    block = re.findall(r":root \{(.*?)\}", style, re.S)[scheme]
    colours = dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{3,6});", block))
    for text in ("ink", "soft", "accent", "key", "string", "comment"):
        for ground in ("paper", "panel"):
            light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{text} on {ground}"
