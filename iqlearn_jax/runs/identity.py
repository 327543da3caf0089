"""What ties the files of a run's folder to each other: digests of its configuration and of its statistics.

`provenance.json` states them for the start and for each resumption, the manifest of each checkpoint for the
run that saved it. Folders of earlier versions state none, and are read as they are.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iqlearn_jax.config.values import config_digest
from iqlearn_jax.disk import interpreting, read_json


def starts(workdir: Path) -> list[dict[str, Any]]:
    """What `provenance.json` says of the start and of each resumption, in order; none without the file."""
    path = workdir / "provenance.json"
    if not path.exists():
        return []
    content = read_json(path)
    with interpreting(path):
        return [dict(entry) for entry in (content, *(content.get("resumed") or ()))]


def stated(workdir: Path, name: str) -> list[str]:
    """The digests "config" or "normalization" that a folder had, in order; none where a start states none."""
    with interpreting(workdir / "provenance.json"):
        digests = [entry.get("digests") for entry in starts(workdir)]
        if None in digests:
            return []
        return [entry[name] for entry in digests if entry is not None and name in entry]


def config_edits(workdir: Path, flat: Mapping[str, Any]) -> list[str]:
    """That `config.json` is not what training wrote, in words; nothing if it is, or where none is stated."""
    known = stated(workdir, "config")
    if not known or config_digest(flat) in known:
        return []
    return ["config.json was changed since training wrote it (digest)"]


def another_run(workdir: Path, saved: Mapping[str, Any], own: Mapping[str, Any]) -> str | None:
    """What shows that a checkpoint was saved by another run than the folder's; None if nothing does.

    Args:
      saved: `identity` in its manifest, {} in those of earlier versions.
      own: the folder's.
    """
    if not saved:
        return None
    known = stated(workdir, "config")
    if known and saved["config"] not in known:
        if saved["seeds"] == own["seeds"]:
            return "another configuration"
        return f"seeds {saved['seeds']} there, {own['seeds']} here"
    if saved["normalization"] != own["normalization"]:
        return "observations were standardised otherwise there"
    return None
