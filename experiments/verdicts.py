"""What the doctor says of all finished runs of IQ-Learn, beside how they ended.

python -m experiments.verdicts

Trains nothing: every finished folder under runs/ is judged anew, by the rules of this checkout, from its
metrics.jsonl and config.json, as `iqlearn doctor` does. The return is read only to say how a run ended.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments import command
from experiments.markdown import markdown_table
from experiments.table import RESULTS, RUNS
from iqlearn_jax.errors import InputError
from iqlearn_jax.settings import from_flat
from iqlearn_jax.sweep.doctor import METHODS, Findings, examine, read_history
from iqlearn_jax.sweep.problem import find_spec
from iqlearn_jax.sweep.symptoms import UNLIKE, Case, History, make_case
from iqlearn_jax.sweep.workdir import provenance, read_config, read_json, write_json

PARTS = {  # experiments whose runs the rules' factors were chosen on, and those that are only counted
    "chosen on": ("core", "control", "stability", "divergences"),
    "counted only": ("table1", "tuning"),
}
GOOD, BAD = 0.9, 0.5  # of the expert
ENDS = (f"{GOOD} or more", "between", f"below {BAD}")
HEAD = ("runs", "setting", "end, of the expert", "number", "unlike", "named", "first", "as")

PREFACE = """# What the doctor says of finished runs

`python -m experiments.verdicts` over runs/ at commit {commit}: {folders} folders of IQ-Learn, {runs} runs,
judged by the rules of that commit ([doctor.md](../doctor.md)). "Chosen on": {chosen}, whose
runs the factors were chosen on; "counted only": {counted}. "End": the final policy's normalised return, 0 the
uniform policy, 1 the demonstrations. "Unlike": runs whose final likeness to the demonstrations is below
{unlike}. "Named": runs of which the doctor says anything at all; "first": when it first does, as a share of
the run's updates, median and earliest. A rule that waits for an evaluation cannot speak before the first one;
many of Table 1's offline runs and all of the divergences' have one only, at the end.

"""
ABOUT_NAMED = f"""
## Runs that ended at {GOOD} or more and were named

"""


class Verdict(NamedTuple):
    """One run: where it lies, how it ended, and what was said of it first when.

    Attributes:
      first: kind -> share of the run's updates after which the doctor first named it.
    """

    folder: str
    part: str
    setting: str
    normalized: float
    likeness: float | None
    first: dict[str, float]

    @property
    def end(self) -> str:
        """One of ENDS."""
        return ENDS[(self.normalized < GOOD) + (self.normalized < BAD)]


def finished(runs: Path) -> list[tuple[str, Path]]:
    """(part, folder) of every finished run of a method that the doctor knows."""
    summaries = (
        (part, path)
        for part, names in PARTS.items()
        for name in names
        for path in sorted((runs / name).rglob("summary.json"))
    )
    return [(part, path.parent) for part, path in summaries if read_json(path)["method"] in METHODS]


def judge(part: str, workdir: Path) -> list[Verdict]:
    """All runs of one finished folder."""
    config, summary = from_flat(read_config(workdir)), read_json(workdir / "summary.json")
    case = make_case(config, find_spec(config))
    scores = summary["normalized"]
    first = first_named(case, read_history(workdir / "metrics.jsonl", len(scores)))
    likeness = summary.get("likeness") or [None] * len(scores)
    return [
        Verdict(workdir.as_posix(), part, summary["setting"], *of_run)
        for of_run in zip(scores, likeness, first, strict=True)
    ]


def first_named(case: Case, history: History) -> list[dict[str, float]]:
    """[R] kind -> share of the planned updates after which it was first said of the run."""
    first: list[dict[str, float]] = [{} for _ in case.hparams["alpha"]]
    found: Findings = {}
    for chunks in range(1, len(history) + 1):
        found = examine(case, history.upto(chunks), found)
        share = history.updates[chunks - 1] / case.config.updates
        for kind, run in ((kind, run) for kind, finding in found.items() for run in finding.runs):
            first[run].setdefault(kind, float(share))
    return first


def count(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """One row for each part, setting and end that has runs."""
    keys = [(part, setting, end) for part in PARTS for setting in ("offline", "online") for end in ENDS]
    groups = {key: [v for v in verdicts if (v.part, v.setting, v.end) == key] for key in keys}
    return [_row(*key, group) for key, group in groups.items() if group]


def _row(part: str, setting: str, end: str, group: Sequence[Verdict]) -> dict[str, Any]:
    named = [min(verdict.first.values()) for verdict in group if verdict.first]
    return {
        "part": part,
        "setting": setting,
        "end": end,
        "runs": len(group),
        "unlike": sum(verdict.likeness is not None and verdict.likeness < UNLIKE for verdict in group),
        "named": len(named),
        "first": [float(np.median(named)), min(named)] if named else None,
        "kinds": _times(group),
    }


def write(runs: Path = RUNS) -> list[dict[str, Any]]:
    """docs/results/verdicts.{json,md} from what has been run.

    Raises:
      InputError: nothing has been run.
    """
    folders = finished(runs)
    if not folders:
        raise InputError(f"{runs}: no finished run of {', '.join(METHODS)}; start experiments.core first")
    verdicts = [verdict for part, folder in folders for verdict in judge(part, folder)]
    rows, origin = count(verdicts), provenance(None)
    write_json(RESULTS / "verdicts.json", {"name": "verdicts", "provenance": origin, "rows": rows})
    chosen, counted = (", ".join(names) for names in PARTS.values())
    page = PREFACE.format(
        commit=origin["commit"][:8], folders=len(folders), runs=len(verdicts), chosen=chosen, counted=counted,
        unlike=UNLIKE,
    )  # fmt: skip
    page += markdown_table(HEAD, [_cells(row) for row in rows])
    page += ABOUT_NAMED + markdown_table(("folder", "runs", "as"), _named_though_good(verdicts))
    (RESULTS / "verdicts.md").write_text(page)
    return rows


def _cells(row: dict[str, Any]) -> tuple:
    first = "–" if row["first"] is None else "{:.2f}, {:.2f}".format(*row["first"])
    numbers = row["runs"], row["unlike"], row["named"]
    return (row["part"], row["setting"], row["end"], *numbers, first, _kinds(row["kinds"].items()))


def _kinds(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in counts) or "–"


def _named_though_good(verdicts: Sequence[Verdict]) -> list[tuple]:
    """(folder, number of such runs, what was said of them)."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.first and verdict.normalized >= GOOD:
            groups.setdefault(verdict.folder, []).append(verdict)
    return [(folder, len(group), _kinds(_times(group).items())) for folder, group in groups.items()]


def _times(group: Sequence[Verdict]) -> dict[str, int]:
    """kind -> number of runs of which it was said, most often first."""
    return dict(Counter(kind for verdict in group for kind in verdict.first).most_common())


def main() -> None:
    """The command line."""
    command.parse(__doc__)
    for row in write():
        print(row["part"], row["setting"], row["end"], f"{row['named']} of {row['runs']} named")


if __name__ == "__main__":
    command.run("verdicts", main)
