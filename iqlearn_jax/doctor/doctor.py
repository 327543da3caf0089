"""The divergence doctor: watches a run's metrics while it trains, or reads them afterwards; same findings."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from iqlearn_jax.devices.placement import is_main
from iqlearn_jax.doctor.doubts import doubts
from iqlearn_jax.doctor.findings import Finding, sentence
from iqlearn_jax.doctor.remedies import DIAGNOSES
from iqlearn_jax.doctor.rules import UNLIKE, WATCHED, Case, History, Symptom, make_case
from iqlearn_jax.errors import InputError
from iqlearn_jax.runs import history as runs_history
from iqlearn_jax.runs.files import write_json
from iqlearn_jax.runs.folder import stored_config
from iqlearn_jax.types import EnvSpec

FILE = "doctor.json"
METHODS = ("iq",)  # whose metrics the rules know

Findings = dict[str, Finding]


class Doctor:
    """Judges one folder's runs chunk by chunk; what it finds is a function of `metrics.jsonl` alone."""

    def __init__(self, case: Case, before: runs_history.History, workdir: Path | None = None):
        """Goes on after the metrics that a resumed run has, without saying again what was said.

        Args:
          workdir: folder in which `doctor.json` is written; None writes nothing.
        """
        self._case, self._written = case, False
        self._path = None if workdir is None else workdir / FILE
        self._runs = len(case.hparams["alpha"])
        history = as_history(before)
        self._history, self._chunks = history, len(history)
        self._findings = diagnose(case, history)
        self._said = {kind: set(finding.runs) for kind, finding in self._findings.items()}

    def see(self, update: int, metrics: dict[str, np.ndarray]) -> None:
        """Judges one more chunk of metrics [R]; says each new kind once and writes what changed."""
        if self._case.config.method not in METHODS:
            return
        self._add(update, metrics)
        findings = examine(self._case, self._history.upto(self._chunks), self._findings)
        if findings == self._findings and self._written:
            return
        new = [finding for kind, finding in findings.items() if kind not in self._said]
        warn_of_findings(new, self._runs)
        self._said |= {finding.kind: set(finding.runs) for finding in new}
        self._findings, self._written = findings, True
        if self._path is not None:
            write_json(self._path, as_content(findings, self._runs))

    def _add(self, update: int, metrics: dict[str, np.ndarray]) -> None:
        """One more row of the history, whose arrays double when they are full."""
        if self._chunks == len(self._history):
            more = blank_history(max(64, self._chunks), self._runs)
            self._history = join(self._history, more)
        self._history.updates[self._chunks] = update
        for name in WATCHED:
            value = np.asarray(metrics.get(name, np.nan), float)
            self._history.metrics[name][self._chunks] = np.where(np.isfinite(value), value, np.nan)
        self._chunks += 1

    def conclude(self) -> None:
        """Says again what has spread to further runs since it was first said."""
        if self._path is not None and not self._written and self._case.config.method in METHODS:
            write_json(self._path, as_content(self._findings, self._runs))
        spread = [finding for kind, finding in self._findings.items() if set(finding.runs) - self._said[kind]]
        warn_of_findings(spread, self._runs)


def warn_of_findings(findings: Sequence[Finding], runs: int) -> None:
    """A warning for each of the doctor's findings; the first process speaks for all."""
    for finding in findings if is_main() else ():
        logging.warning("%s", sentence(finding, runs))


def examine(case: Case, history: History, findings: Findings) -> Findings:
    """The findings with those of the newest chunk."""
    if case.config.method not in METHODS:
        return {}
    findings, update = dict(findings), int(history.updates[-1])
    looks = ((kind, diagnosis.rule(case, history)) for kind, diagnosis in DIAGNOSES.items())
    for kind, symptom in ((kind, symptom) for kind, symptoms in looks for symptom in symptoms):
        if (merged := _merge(case, kind, symptom, update, findings.get(kind))) is not None:
            findings[kind] = merged
    if update >= case.config.updates and findings.pop("policy_lost", None) is not None:
        findings |= still_lost(case, history)
    return findings


def still_lost(case: Case, history: History) -> Findings:
    """`policy_lost` without runs that end like the demonstrations again: the last policy is what counts."""
    kind, found = "policy_lost", None
    again = history.evaluations()[-1] >= UNLIKE
    for chunks in range(1, len(history) + 1):
        for symptom in DIAGNOSES[kind].rule(case, history.upto(chunks)):
            still = symptom._replace(sick=symptom.sick & ~again)
            found = _merge(case, kind, still, int(history.updates[chunks - 1]), found) or found
    return {} if found is None else {kind: found}


def _merge(case: Case, kind: str, symptom: Symptom, update: int, known: Finding | None) -> Finding | None:
    runs = [] if known is None else known.runs
    new = [run for run in np.flatnonzero(symptom.sick).tolist() if run not in runs]
    if not new:
        return None
    if known is not None:
        return known._replace(runs=runs + new)
    value, bound = (float(np.broadcast_to(x, symptom.sick.shape)[new[0]]) for x in symptom[1:3])
    diagnosis = DIAGNOSES[kind]
    return Finding(kind, symptom.metric, value, bound, update, new, diagnosis.meaning, diagnosis.remedy(case))


def diagnose(case: Case, history: History) -> Findings:
    """What watching the whole history would have found, chunk by chunk."""
    findings: Findings = {}
    for chunks in range(1, len(history) + 1):
        findings = examine(case, history.upto(chunks), findings)
    return findings


def blank_history(chunks: int, runs: int) -> History:
    """A history in which nothing is known."""
    return History(np.zeros(chunks, int), {name: np.full((chunks, runs), np.nan) for name in WATCHED})


def join(first: History, then: History) -> History:
    """One history after the other."""
    rows = {name: np.concatenate([first.metrics[name], then.metrics[name]]) for name in WATCHED}
    return History(np.concatenate([first.updates, then.updates]), rows)


def as_history(columns: runs_history.History) -> History:
    """What the rules read of a run's metrics."""
    history = blank_history(len(columns), columns.runs)
    history.updates[:] = columns.clocks["update"]
    for name in WATCHED:
        if name in columns.metrics:
            history.metrics[name][:] = columns.metrics[name]
    return history


def as_content(findings: Findings, runs: int) -> dict[str, Any]:
    """The content of `doctor.json`."""
    return {"runs": runs, "findings": [finding._asdict() for finding in findings.values()]}


def examine_folder(
    workdir: Path, find_spec: Callable[[Any], EnvSpec]
) -> tuple[list[Finding], int, list[str]]:
    """Findings in a finished or running folder, from its configuration and metrics, its number of runs, and
    what cannot be told of them.

    Args:
      find_spec: (config) -> facts of its environment.
    Raises:
      InputError: no run there, nothing logged yet, or a method whose metrics the doctor does not know.
    """
    config = stored_config(workdir)
    if config.method not in METHODS:
        raise InputError(
            f"{workdir}: config.method is '{config.method}'; the doctor knows the metrics of "
            f"{', '.join(METHODS)} only, see eval/likeness in the report instead"
        )
    case = make_case(config, find_spec(config))
    runs = len(case.hparams["alpha"])
    history = as_history(runs_history.read_history(workdir / "metrics.jsonl", runs))
    if not len(history):
        raise InputError(
            f"{workdir}/metrics.jsonl: no line yet; wait for the first {config.log_every} updates"
        )
    return list(diagnose(case, history).values()), runs, doubts(case, history)
