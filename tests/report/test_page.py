import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from iqlearn_jax.cli.report import main
from iqlearn_jax.errors import InputError
from iqlearn_jax.report.page import headline, write_report
from iqlearn_jax.report.read import points, read_run
from tests.report.synthetic import maps, write_run

VOID = {"meta", "img", "br"}


class Balanced(HTMLParser):
    """Fails on tags that do not match and collects what the page would load."""

    def __init__(self):
        super().__init__()
        self.open, self.loads = [], []

    def handle_starttag(self, tag, attrs):
        self.loads += [value for key, value in attrs if key in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    parser = Balanced()
    parser.feed(page.read_text("utf-8"))
    assert parser.open == []
    return parser


def test_page_is_self_contained_and_shows_the_figures_on_disk(tmp_path):
    page = write_report([write_run(tmp_path / "iq")], tmp_path / "out")
    loads = parsed(page).loads
    assert len(loads) == 4 and all(load.startswith("data:image/png;base64,") for load in loads)
    shown = {base64.b64decode(load.split(",")[1]) for load in loads}
    assert shown == {path.read_bytes() for path in (tmp_path / "out/figures").glob("*.png")}
    text = page.read_text("utf-8")
    assert "0123abc" in text and "jax 0.10.2" in text and "&#34;trajectories&#34;: 1" in text
    assert not list(tmp_path.rglob(".*")), "no temporary files left"


def luminance(colour):
    """Relative luminance (WCAG 2.2) of #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_has_contrast_in_the_light_and_in_the_dark(tmp_path):
    text = write_report([write_run(tmp_path / "iq")], tmp_path / "out").read_text("utf-8")
    schemes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6});", block))
        for block in re.findall(r":root \{(.*?)\}", text, re.S)
    ]
    assert len(schemes) == 2
    for colours in schemes:
        for ink, ground in (
            ("ink", "paper"),
            ("soft", "paper"),
            ("accent", "paper"),
            ("ink", "warn"),
            ("ink", "panel"),
        ):
            light, dark = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{ink} on {ground}"


def test_films_in_a_runs_folder_are_shown(tmp_path):
    folder = write_run(tmp_path / "iq")
    (folder / "rollout.gif").write_bytes(b"GIF89a")
    loads = parsed(write_report([folder], tmp_path / "out")).loads
    films = [load for load in loads if load.startswith("data:image/gif;base64,")]
    assert [base64.b64decode(film.split(",")[1]) for film in films] == [b"GIF89a"]


def test_headline(tmp_path):
    runs = [
        read_run(write_run(tmp_path / "iq", full=False)),
        read_run(write_run(tmp_path / "bc", "bc", (261.0,), full=False)),
    ]
    assert headline("CartPole-v1", runs) == (
        "CartPole-v1 from 1 demonstration (500 transitions). IQ-Learn: normalised IQM 1.00 [1.00, 1.00] over "
        "8 seeds; BC: normalised IQM 0.50 on one seed."
    )


@pytest.mark.slow
def test_several_tasks_and_methods(tmp_path):
    grid = write_run(tmp_path / "grid", env="gridworld", expert_return=500.0)
    np.savez(grid / "maps.npz", **maps())
    folders = [write_run(tmp_path / "iq"), write_run(tmp_path / "bc", "bc", full=False), grid]
    page = write_report(folders, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out/figures").glob("*.png")}
    assert {"curves_cartpole-v1.png", "returns_gridworld.png", "maps_gridworld_iq-learn.png"} <= names
    assert "diagnostics_cartpole-v1_bc.png" not in names  # nothing was logged
    text = page.read_text("utf-8")
    assert re.findall("<h2>(.*?)</h2>", text) == ["CartPole-v1", "gridworld", "How this was made"]
    parsed(page)


def test_stopped_runs_and_few_seeds_are_said(tmp_path):
    folder = write_run(tmp_path / "run", returns=(1.0, 2.0), full=False, status="stopped", updates=700)
    text = write_report([folder], folder).read_text("utf-8")
    assert "IQ-Learn was stopped after 700 updates" in text
    assert "ran on 2 of the 5 seeds" in text


def test_findings_of_the_doctor_and_likeness_are_shown(tmp_path):
    folder = write_run(tmp_path / "run", returns=(1.0, 2.0, 3.0), full=False, likeness=[0.1, 0.25, 0.9])
    finding = {
        "kind": "policy_uniform", "metric": "policy/entropy", "value": 0.69, "bound": 0.66, "update": 600,
        "runs": [1, 2], "meaning": "Nothing was learned.", "remedy": "--config.temperature=0.1",
    }  # fmt: skip
    (folder / "doctor.json").write_text(json.dumps({"runs": 3, "findings": [finding]}))
    text = write_report([folder], folder).read_text("utf-8")
    assert "policy_uniform in 2 of 3 runs from update 600 on: policy/entropy is 0.69, its limit 0.66" in text
    assert "--config.temperature=0.1" in text and "<td>0.25</td>" in text


def test_a_grid_shows_findings_at_their_points(tmp_path):
    varied = {"alpha": [0.1, 0.1, 0.5, 0.5]}
    folder = write_run(tmp_path / "run", returns=(1.0, 2.0, 3.0, 4.0), full=False, varied=varied)
    finding = {
        "kind": "policy_uniform", "metric": "m", "value": 1.0, "bound": 0.5, "update": 5,
        "runs": [2], "meaning": "", "remedy": "",
    }  # fmt: skip
    (folder / "doctor.json").write_text(json.dumps({"runs": 4, "findings": [finding]}))
    first, second = points(read_run(folder))
    assert (first.findings, [entry.runs for entry in second.findings]) == ([], [[2]])


def test_text_from_files_is_escaped(tmp_path):
    folder = write_run(tmp_path / "run", full=False, env="<script>alert(1)</script>")
    (folder / "provenance.json").write_text('{"command": "<script>alert(2)</script>"}')
    assert "<script>" not in write_report([folder], folder).read_text("utf-8")


@pytest.mark.slow
def test_rewriting_gives_the_same_page(tmp_path):
    folder = write_run(tmp_path / "run")
    first = write_report([folder], folder).read_bytes()
    assert write_report([folder], folder).read_bytes() == first


def test_command_line(tmp_path, capsys):
    folders = [write_run(tmp_path / "iq", full=False), write_run(tmp_path / "bc", "bc", full=False)]
    assert main([str(folders[0])]) == 0
    assert (folders[0] / "report.html").is_file()
    assert main([*map(str, folders)]) == 0  # several: the folder that they share
    assert (tmp_path / "report.html").is_file()
    assert main([str(folders[0]), "--out", str(tmp_path / "elsewhere")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "elsewhere" / "report.html")
    with pytest.raises(InputError, match=r"nowhere/summary\.json"):
        main([str(tmp_path / "nowhere")])
