"""The pages of docs/results: short, from the files beside them, nothing that was not run."""

import json
import re
import shutil

import pytest

from experiments import overview, reproduce
from tests.common import ROOT

RESULTS = ROOT / "docs/results"
FILES = sorted(RESULTS.glob("*.json"))
SCREEN = 25  # rows of table


def table_rows(page):
    """Lines of tables, their heads left out."""
    lines = page.splitlines()
    ruled = sum(line.startswith("| --- |") for line in lines)
    return sum(line.startswith("|") for line in lines) - 2 * ruled


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_page_is_one_screen_of_table_and_leads_to_its_file(path):
    page = path.with_suffix(".md").read_text()
    assert 0 < table_rows(page) <= SCREEN
    assert f"[{path.name}]({path.name})" in page
    assert re.search(r"`python -m experiments\.[a-z.0-9_]+`, on ", page)
    assert "pending" not in page and "notes.md" not in page


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_was_not_run_is_no_row(path):
    content = json.loads(path.read_text())
    assert content["rows"] and "pending" not in path.read_text()
    for row in content["rows"]:
        assert "note" not in row or "method" in row


def test_the_first_page_is_one_table_whose_links_lead_somewhere():
    page = (ROOT / "docs/results.md").read_text()
    assert table_rows(page) == len(overview.CLAIMS) <= SCREEN
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert links and all((ROOT / "docs" / link.partition("#")[0]).exists() for link in links)


def test_a_claim_names_its_rows_and_the_best_other_method():
    def row(name, method, value, **more):
        return {
            "name": name, "method": method, "label": method.upper(), "seeds": [1, 2], "normalized_iqm": value,
            "normalized": [value, value], "ci95": [value, value], "settings": {},
            "command": f"python -m experiments.tables.t --only={name}",
        } | more  # fmt: skip

    rows = [
        row("a_iq", "iq", 1.0),
        row("a_bc", "bc", 0.25),
        row("a_gail", "gail", 0.5, normalized=[0.5, 0.9]),  # of equal ones that with the better mean
        row("a_dac", "dac", 0.5),
        row("b_bc", "bc", 0.75),
    ]
    claim = overview.Claim("words", ("t/a_iq", "t/a_*"), shows="x.png")
    words, numbers, seeds, command, link = overview.line(claim, lambda name: {"rows": rows})
    assert (words, numbers, seeds) == (
        "words",
        "IQ 1.000 [1.000, 1.000]; best other, GAIL 0.500 [0.500, 0.500]",
        "1–2",
    )
    assert command == "`tables.t --only=a_iq,a_gail`"
    assert link == "[picture](images/x.png), [t](results/t.md)"


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_what_is_published_names_no_command_of_the_machine_that_made_it(path):
    """`provenance.command` holds folders of that machine (`lib.command.publishable`)."""

    def provenances(content):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            if key == "provenance":
                yield value
            elif isinstance(value, dict | list):
                yield from provenances(value)

    found = list(provenances(json.loads(path.read_text())))
    assert found and not [made for made in found if "command" in made]


@pytest.mark.slow
def test_every_page_is_what_the_files_beside_them_say(tmp_path, monkeypatch):
    """So no row is of settings that are not asked for any more, either: such rows would leave the files."""
    shutil.copytree(RESULTS, tmp_path / "docs/results")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "iqlearn_jax").symlink_to(ROOT / "iqlearn_jax")
    (tmp_path / "docs/images").mkdir()
    monkeypatch.chdir(tmp_path)
    reproduce.write()
    for path in [ROOT / "docs/results.md", *FILES, *(path.with_suffix(".md") for path in FILES)]:
        assert (tmp_path / path.relative_to(ROOT)).read_text() == path.read_text(), path.name
