"""A table of runs: trained where missing, resumable, written as docs/results/NAME.{json,md}.

What was not run is no row of it: `--list` names that, too. Runs whose demonstrations are not at hand (the
shared files are not part of this repository; see --shared) are passed over. Finished runs are kept in
runs/NAME and not repeated.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from experiments.lib import command
from experiments.lib.chosen import chosen
from experiments.lib.figures import write_curves
from experiments.lib.markdown import origin
from iqlearn_jax.config.files import load_config
from iqlearn_jax.config.values import as_plain, assign, base_config
from iqlearn_jax.data.demos import resolve
from iqlearn_jax.report.read import method_name
from iqlearn_jax.runs.files import write_json
from iqlearn_jax.runs.folder import read_config
from iqlearn_jax.training.problem import concrete
from iqlearn_jax.training.train import train

RESULTS = Path("docs/results")
RUNS = Path("runs")


class Row(NamedTuple):
    """One line of a table: a configuration, what it changes, and the shared file it learns from.

    Attributes:
      prepare: (folder of shared files) -> what it needs and has not got, "" where nothing is missing; makes
        what it can.
      finish: (folder of the finished run) -> a remark that is measured and belongs to the note.
      hours: on 2 cores, from runs cut short or from like rows; `--list` says it, unless it is 0. None where
        nothing like it was ever run.
      folder: where another table runs it already.
    """

    config: str
    shared: str | None = None
    changes: Mapping[str, Any] = MappingProxyType({})
    note: str = ""
    label: str = ""
    prepare: Callable[[Path], str] | None = None
    finish: Callable[[Path], str] | None = None
    hours: float | None = 0.0
    folder: Path | None = None


class Table(NamedTuple):
    """All lines of one result file.

    Attributes:
      module: in experiments/, "tables.table1"; its last part names the result file.
      preface: the page's head.
      markdown: (rows that are done) -> the page's table.
      panels: figure of learning curves: title -> names of rows.
      more: (rows that are done) -> what else the result file holds.
    """

    module: str
    rows: Mapping[str, Row]
    preface: str
    markdown: Callable[[list[dict[str, Any]]], str]
    panels: Mapping[str, Sequence[str]] = MappingProxyType({})
    more: Callable[[list[dict[str, Any]]], Mapping[str, Any]] = lambda rows: {}

    @property
    def name(self) -> str:
        """Of the result file and of the folder of runs."""
        return self.module.rpartition(".")[2]

    def folder(self, name: str) -> Path:
        """Where a row's run lies."""
        return self.rows[name].folder or RUNS / self.name / name


def borrowed(table: Table, name: str) -> Row:
    """A row of another table, whose run stays where it is."""
    return table.rows[name]._replace(folder=table.folder(name))


def run_row(table: Table, name: str, shared: Path, force: bool = False) -> str:
    """Trains one row unless it is done. Returns what is missing for that, "" once it is done.

    Args:
      force: goes on with what another commit, configuration or file began.
    """
    folder, row = table.folder(name), table.rows[name]
    if (folder / "summary.json").exists():
        measure(row, folder)
        return ""
    config = row_config(row, shared)
    if row.shared is not None and not (shared / row.shared).exists():
        return f"{row.shared} in {shared}"
    if row.prepare is not None and (missing := row.prepare(shared)):
        return missing
    train(config, folder, resume=(folder / "config.json").exists(), force=force)
    measure(row, folder)
    return ""


def row_config(row: Row, shared: Path) -> ConfigDict:
    """The configuration that a row asks for."""
    config = load_config(row.config)
    for key, value in row.changes.items():
        assign(config, key, value)
    if row.shared is not None:
        assign(config, "demos.path", str(shared / row.shared))
    return config


@cache
def defaults() -> dict[str, Any]:
    """The flat configuration that nothing changed; published rows name no backend where it is gymnax."""
    return as_plain(base_config()) | {"env.backend": "gymnax"}


def settings(flat: Mapping[str, Any]) -> dict[str, Any]:
    """What of a flat configuration differs from the defaults, so that options that are added later change
    nothing; of data only the files' names, as their folder is another on each machine.
    """
    plain = defaults()
    changed = {key: value for key, value in flat.items() if key not in plain or value != plain[key]}
    files = {name: resolve(flat[name]).name for name in ("demos.path", "data.path") if flat.get(name)}
    return changed | {"demos.path": ""} | files


def outdated(row: Row, ran: Mapping[str, Any]) -> str:
    """How the settings of a run differ from those that its row asks for now, "" where they do not."""
    asked = _asked(row.config, row.shared, tuple(row.changes.items()))
    both = {key: [of.get(key, defaults().get(key)) for of in (ran, asked)] for key in sorted({*asked, *ran})}
    words = [f"{key} {then}, now {now}" for key, (then, now) in both.items() if then != now]
    return f"ran with other settings ({'; '.join(words)})" if words else ""


@cache
def _asked(config: str, shared: str | None, changes: tuple) -> dict[str, Any]:
    """The settings that a row asks for; a table is written after each of its rows."""
    return settings(as_plain(concrete(row_config(Row(config, shared, dict(changes)), Path()))))


def measure(row: Row, folder: Path) -> None:
    """Writes the remark of `Row.finish` on a finished run, unless it is there."""
    path = folder / "note.txt"
    if row.finish is not None and not path.exists():
        path.write_text(row.finish(folder))


def result(table: Table, name: str, known: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """A row of the result file (docs/formats.md): of the run in its folder, else as known, else None.

    Args:
      known: rows of the result file as it is, by name; their runs may lie on another machine.
    """
    folder, row = table.folder(name), table.rows[name]
    again = f"python -m experiments.{table.module} --only={name}"
    if not (folder / "summary.json").exists():
        return (old := known.get(name)) and old | {"label": label(row, old["method"]), "command": again}
    summary, config = json.loads((folder / "summary.json").read_text()), read_config(folder)
    ran = settings(config)
    if changed := outdated(row, ran):
        print(f"{name}: left out, {folder} {changed}", file=sys.stderr)
        return None
    return {
        "name": name,
        "label": label(row, summary["method"]),
        "task": f"{summary['env']} ({summary['backend']})",
        "method": summary["method"],
        "setting": summary["setting"],
        "demos": summary["demo_trajectories"],
        "subsample": summary["demo_subsample"],
        "seeds": summary["seeds"],
        "returns": summary["returns"],
        "expert_return": summary["expert_return"],
        "random_return": summary["random_return"],
        "normalized": summary["normalized"],
        "normalized_iqm": summary["normalized_iqm"],
        "ci95": summary["normalized_ci95"],
        "likeness": summary.get("likeness"),
        "pearson": summary["pearson"],
        "env_steps": summary["env_steps"],
        "updates": config["updates"],
        "wall_seconds": summary["wall_seconds"],
        "curve": curve(folder),
        "chosen": chosen(folder, summary),
        "last_metrics": last_metrics(folder),
        "provenance": command.provenance_of(folder),
        "settings": ran,
        "note": ", ".join(filter(None, (row.note, remark(folder)))),
        "command": again,
    }


def label(row: Row, method: str) -> str:
    """What figures and pages call a row."""
    return row.label or method_name(method)


def published(table: Table) -> dict[str, dict[str, Any]]:
    """The rows that docs/results has, by name; none of other settings than now asked for. A row that another
    table runs is that table's.
    """
    files: dict[str, dict[str, dict[str, Any]]] = {}
    done = {}
    for name, row in table.rows.items():
        source, own = (row.folder.parent.name, row.folder.name) if row.folder else (table.name, name)
        if (old := files.setdefault(source, _rows(source)).get(own)) is None:
            continue
        if changed := outdated(row, old["settings"]):
            print(f"{name}: left out, it {changed}", file=sys.stderr)
        else:
            done[name] = old | {"name": name}
    return done


def _rows(name: str) -> dict[str, dict[str, Any]]:
    """The runs in docs/results/NAME.json by name."""
    path = RESULTS / f"{name}.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    return {row["name"]: row for row in rows if "method" in row}


def duration(row: Row) -> str:
    """The estimated time of a row."""
    if row.hours is None:
        return "no estimate of its time"
    if not row.hours:
        return ""
    return about(row.hours)


def about(hours: float) -> str:
    """A time in words, at least a minute."""
    return f"about {hours:.1f} h" if hours >= 1 else f"about {max(1, round(60 * hours))} min"


def remark(folder: Path) -> str:
    """What `Row.finish` measured."""
    path = folder / "note.txt"
    return path.read_text() if path.exists() else ""


def curve(folder: Path) -> dict[str, list]:
    """Evaluations while training: `updates`, `env_steps`, `seconds` [T] and `returns` [T, R]."""
    lines_by_update: dict[int, list[dict[str, Any]]] = {}
    for line in _metrics(folder):
        if "eval/return" in line:
            lines_by_update.setdefault(line["update"], []).append(line)
    return {
        "updates": list(lines_by_update),
        "env_steps": [lines[0]["env_steps"] for lines in lines_by_update.values()],
        "seconds": [round(lines[0]["wall_seconds"], 1) for lines in lines_by_update.values()],
        "returns": [[round(line["eval/return"], 2) for line in lines] for lines in lines_by_update.values()],
    }


def last_metrics(folder: Path) -> dict[str, float]:
    """The metrics of the last chunk, means over seeds."""
    lines = _metrics(folder)
    last = [line for line in lines if line["update"] == lines[-1]["update"]]
    names = [name for name in last[0] if "/" in name]
    return {name: float(np.mean([line[name] for line in last if name in line])) for name in names}


def _metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def write_results(table: Table) -> None:
    """docs/results/NAME.{json,md} from what the table's folder and the file itself hold."""
    known = published(table)
    rows = [row for name in table.rows if (row := result(table, name, known))]
    hardware = ", ".join(sorted({row["provenance"]["hardware"] for row in rows})) or "none yet"
    RESULTS.mkdir(parents=True, exist_ok=True)
    content = {"name": table.name, "provenance": {"hardware": hardware}, "rows": rows, **table.more(rows)}
    write_json(RESULTS / f"{table.name}.json", content)
    page = table.preface + origin(table.module, rows) + table.markdown(rows)
    if write_curves(table.name, rows, table.panels):
        page += f"\n![Learning curves](../images/{table.name}_curves.png)\n"
    (RESULTS / f"{table.name}.md").write_text(page)


def run_table(table: Table, description: str | None) -> None:
    """The command line of a table: runs what is missing, then writes it."""
    options = command.parse(description, "list", "only", "shared", "force")
    done = published(table) if options.list else {}
    for name in command.chosen(options.only, table.rows):
        row = table.rows[name]
        if options.list:
            state = "done" if name in done else ", ".join(filter(None, ("not run", duration(row))))
            print(f"{name:<26} {row.config} {row.shared or 'bundled'} {dict(row.changes)} ({state})")
            continue
        if missing := run_row(table, name, options.shared, options.force):
            print(f"{name}: not run, there is no {missing}", file=sys.stderr)
        write_results(table)


def main(table: Table, description: str | None) -> None:
    """Exits with 0, or with the code of an error or a signal."""
    command.run(table.module, lambda: run_table(table, description))
