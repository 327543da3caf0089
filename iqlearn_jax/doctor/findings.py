"""What the doctor found in a run (`doctor.json`) and how it is said; writers and readers share it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple


class Finding(NamedTuple):
    """One kind of trouble in a folder's runs.

    Attributes:
      kind: its name (docs/doctor.md).
      metric, value, bound: what was seen in the first run that had it, and the limit that it left.
      update: number of updates after which it was first seen.
      runs: numbers of the runs that have it, in the order in which it was seen.
      meaning, remedy: in words; the remedy names switches of the configuration.
    """

    kind: str
    metric: str
    value: float
    bound: float
    update: int
    runs: list[int]
    meaning: str
    remedy: str


def sentence(finding: Finding, total: int) -> str:
    """The finding in one line.

    Args:
      total: number of runs that were watched.
    """
    where = "" if total == 1 else f" in {len(finding.runs)} of {total} runs"
    return (
        f"{finding.kind}{where} from update {finding.update:,} on: {finding.metric} is {finding.value:.3g}, "
        f"its limit {finding.bound:.3g}. {finding.meaning} Remedy: {finding.remedy}"
    )


def read_findings(content: Mapping[str, Any]) -> list[Finding]:
    """The findings in the content of a `doctor.json`; none in an empty one."""
    return [Finding(**entry) for entry in content.get("findings", ())]


def of_runs(findings: Sequence[Finding], runs: Collection[int]) -> list[Finding]:
    """What concerns some of the runs; the value and the update stay those of the first run that had it."""
    kept = [finding._replace(runs=[run for run in finding.runs if run in runs]) for finding in findings]
    return [finding for finding in kept if finding.runs]
