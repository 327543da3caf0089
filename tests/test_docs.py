"""Every code block of README.md and docs/ runs as printed, page by page, in a folder like a checkout.

Python blocks of a page share one namespace; sh blocks run in order in one temporary folder. Training is made
short by tests/short_iqlearn.py, for `iqlearn` and for `iqlearn_jax.train`, not on the page. Three invisible
marks in the source: `<!-- first: COMMAND -->` runs COMMAND before the block (what the reader has at hand),
`<!-- file: NAME -->` also saves the block, `<!-- not run: WHY -->` leaves it out, and pytest lists the reason
as a skip. Pages that train are behind `make test-slow`; here their commands are read as `iqlearn` reads them.
"""

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt

import iqlearn_jax
from iqlearn_jax.cli import common, sweep, train
from iqlearn_jax.config.schema import KEYS
from iqlearn_jax.envs.registry import ENVIRONMENTS
from iqlearn_jax.methods import METHODS, check_keys
from iqlearn_jax.ops.iq.divergences import DIVERGENCES
from tests import configuration_page
from tests.short_iqlearn import short_python

ROOT = Path(__file__).resolve().parents[1]
RUN, SHOWN = {"python", "sh"}, {"text", "diff", "bibtex"}  # tests/report/test_readme.py compares the diff
MARK = re.compile(r"^<!-- (first|file|not run): (.+?) -->$")
FIELDS = {"first": "first", "file": "file", "not run": "reason"}
TRAINS = re.compile(r"iqlearn (train|sweep)|make ")
PYTHON_TRAINS = re.compile(r"\b(iq|iqlearn_jax)\.train\(|method\.update\(")
NAMED = re.compile(r"`((?:iqlearn_jax|configs|examples|experiments|tests|benchmarks)/[\w/.]+)`")
MODULES = re.compile(r"python -m ((?:experiments|tests|benchmarks)[\w.]*)")
REGISTRIES = METHODS, KEYS, ENVIRONMENTS, DIVERGENCES
CONFIGURATION = configuration_page.page()  # before any test registers keys of its own


class Block(NamedTuple):
    """A code block: where it stands (of the line after its fence), its kind, and its marks."""

    line: int
    kind: str
    code: str
    first: str = ""
    file: str = ""
    reason: str = ""


def blocks_of(text):
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    code_blocks = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "code_block":
            code_blocks.append(Block(token.map[0] + 1, "indented, without a kind", token.content))
        if token.type == "fence":
            comment = before.content.strip() if before is not None and before.type == "html_block" else ""
            mark = MARK.match(comment.splitlines()[-1] if comment else "")
            marks = {} if mark is None else {FIELDS[mark[1]]: mark[2]}
            code_blocks.append(Block(token.map[0] + 2, token.info.strip() or "none", token.content, **marks))
    return code_blocks


PAGES = {
    str(path.relative_to(ROOT)): blocks_of(path.read_text("utf-8"))
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
LEFT_OUT = [(page, block) for page, blocks in PAGES.items() for block in blocks if block.reason]


def kept(page, *kinds):
    return [block for block in PAGES[page] if block.kind in kinds and not block.reason]


def trains(page):
    return any(TRAINS.search(block.code + block.first) for block in kept(page, "sh"))


def alone(page):
    """Python blocks that need nothing which a command makes."""
    return [block for block in kept(page, "python") if not block.first]


def marked(pages, slow):
    return [pytest.param(page, marks=[pytest.mark.slow] if slow(page) else []) for page in pages]


def python_trains(page):
    return any(PYTHON_TRAINS.search(block.code) for block in alone(page))


WITH_SHELL = [page for page in PAGES if kept(page, "sh")]
WITH_PYTHON = [page for page in PAGES if alone(page) and not (page in WITH_SHELL and python_trains(page))]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_known_kind(page):
    for block in PAGES[page]:
        known = block.kind in RUN | SHOWN or block.reason
        assert known, (
            f"{page}:{block.line}: kind '{block.kind}'; known: {RUN | SHOWN}, or say why it is not run"
        )


@pytest.mark.parametrize(("page", "block"), LEFT_OUT, ids=lambda value: getattr(value, "line", value))
def test_left_out(page, block):
    pytest.skip(f"{page}:{block.line} is not run: {block.reason}")


@pytest.fixture
def checkout(tmp_path):
    """A folder that looks like the checkout, with `iqlearn`, `python` and `srun` first on its PATH."""
    folder, programs = tmp_path / "checkout", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in ("runs", "build", ".git") and not entry.name.endswith("cache"):
            (folder / entry.name).symlink_to(entry)
    starts = {
        "iqlearn": f"{sys.executable} {ROOT}/tests/short_iqlearn.py ",
        "python": f"{sys.executable} ",
        "srun": "",  # SLURM's own runs its arguments, too, on the nodes of the job
    }
    for name, start in starts.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {start}"$@"\n')
        (programs / name).chmod(0o755)
    return folder, programs


def shell(code, checkout, where):
    folder, programs = checkout
    env = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", code], cwd=folder, env=env, capture_output=True)
    assert done.returncode == 0, f"{where} ended with {done.returncode}:\n{done.stderr.decode()[-3000:]}"


@pytest.fixture
def names(checkout, monkeypatch):
    """The namespace of a page's Python blocks, whose training is short; what they register is taken back."""
    monkeypatch.chdir(checkout[0])
    monkeypatch.syspath_prepend(str(checkout[0]))
    short_python(monkeypatch)
    known = [dict(registry) for registry in REGISTRIES]
    yield {"__name__": "__main__"}
    for registry, entries in zip(REGISTRIES, known, strict=True):
        registry.clear()
        registry.update(entries)


def run_python(page, block, names):
    if block.file:
        Path(block.file).write_text(block.code)
    source = "\n" * (block.line - 1) + block.code  # so that a traceback names the page's own line
    exec(compile(source, str(ROOT / page), "exec"), names)


@pytest.mark.parametrize("page", marked(WITH_PYTHON, python_trains))
def test_python_blocks_run_in_order(page, names):
    for block in alone(page):
        run_python(page, block, names)


@pytest.mark.parametrize("page", marked(WITH_SHELL, trains))
def test_all_blocks_run_in_order(page, checkout, names):
    for block in kept(page, "sh", "python"):
        where = f"{page}:{block.line}"
        shell(block.first or ":", checkout, f"{where} (first)")
        if block.kind == "python":
            run_python(page, block, names)
        else:
            shell(block.code, checkout, where)


def commands(code):
    """Words of each `iqlearn train` or `sweep` of a block, without variables of the shell."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if "iqlearn" in words and words[words.index("iqlearn") + 1] in ("train", "sweep"):
            yield words[words.index("iqlearn") + 1 :]


TRAININGS = [
    pytest.param(words, id=f"{page}:{block.line} {' '.join(words[:3])}")
    for page in PAGES
    for block in kept(page, "sh")
    for words in commands(block.code)
    if any(word.startswith("--config=") for word in words) and not any(".py" in word for word in words)
]


@pytest.mark.parametrize("words", TRAININGS)
def test_what_the_commands_set_exists_and_is_read(words, monkeypatch):
    monkeypatch.chdir(ROOT)
    command = {"train": train, "sweep": sweep}[words[0]]
    options, overrides = command.make_parser().parse_known_args(words[1:])
    if command is sweep:
        sweep.read_plan(options, overrides)
    else:
        check_keys(*common.make_config(options, overrides))


def test_the_page_of_keys_is_what_the_table_gives():
    assert configuration_page.PAGE.read_text("utf-8") == CONFIGURATION, f"run {configuration_page.COMMAND}"


def test_the_pages_name_every_public_name():
    text = "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert [name for name in iqlearn_jax.__all__ if name not in text] == []


def imports(code):
    """(module, name) of what a block imports from the library."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("iqlearn_jax"):
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("page", [page for page in PAGES if kept(page, "python")])
def test_what_the_pages_import_exists(page):
    named = [pair for block in kept(page, "python") for pair in imports(block.code)]
    assert [pair for pair in named if not hasattr(importlib.import_module(pair[0]), pair[1])] == []


@pytest.mark.parametrize("page", PAGES)
def test_files_and_modules_that_the_pages_name_exist(page):
    text = (ROOT / page).read_text("utf-8")
    modules = [ROOT / name.replace(".", "/") for name in MODULES.findall(text)]
    paths = [ROOT / name for name in NAMED.findall(text)]
    missing = [path for path in modules if not (path.is_dir() or path.with_suffix(".py").is_file())]
    assert missing + [path for path in paths if not path.exists()] == []


def test_an_unknown_kind_a_missing_kind_and_marks_are_seen():
    left_out, unnamed = "<!-- not run: no pod -->\n```sh\na\n```\n\n", "```\nb\n```\n\n"
    prepared = "<!-- first: c -->\n```sh\nd\n```\n\n"
    blocks = blocks_of(left_out + unnamed + prepared + "    e\n")
    kinds_and_marks = [(block.kind, block.first, block.reason) for block in blocks]
    assert kinds_and_marks == [
        ("sh", "", "no pod"),
        ("none", "", ""),
        ("sh", "c", ""),
        ("indented, without a kind", "", ""),
    ]
