"""What a run was made with, what resuming may not change silently, and the record of each resumption."""

import os
import platform
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
from absl import logging

import iqlearn_jax
from iqlearn_jax.config.schema import BEFORE
from iqlearn_jax.config.values import as_plain, base_config, config_digest
from iqlearn_jax.data.demos import absolute
from iqlearn_jax.devices.placement import cores
from iqlearn_jax.disk import interpreting, read_json
from iqlearn_jax.errors import InputError
from iqlearn_jax.runs.files import write_json
from iqlearn_jax.runs.folder import read_config, read_spec
from iqlearn_jax.runs.identity import config_edits
from iqlearn_jax.runs.trust import seal_of

PACKAGE = Path(iqlearn_jax.__file__).resolve().parent
PACKAGES = ("iqlearn_jax", "jax", "jaxlib", "flax", "optax", "chex", "brax", "gymnasium", "gymnax", "numpy")
NUMERICS = ("default_matmul_precision", "default_prng_impl", "enable_x64", "threefry_partitionable")


def collect(demos_digest: str | None) -> dict[str, Any]:
    """What was run, with what, on what."""
    return {
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | _versions(),
        "hardware": _hardware(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "jax": {name: jax.config.values[f"jax_{name}"] for name in NUMERICS},
        "demos_digest": demos_digest,
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _versions() -> dict[str, str]:
    content = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):  # some are optional
            content[name] = metadata.version(name)
    return content


def _hardware() -> str:
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform}), {cores()} CPU cores"


def _commit() -> str:
    """Commit of the library's own checkout, marked if its code changed; outside one its version.

    The repository around an installed package is its user's: it says nothing of this code.
    """
    try:
        _git("ls-files", "--error-unmatch", str(PACKAGE / "__init__.py"))
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
        return _git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return f"installed, version {iqlearn_jax.__version__}"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def check_same_config(workdir: Path, config) -> None:
    """Refuses another configuration than the folder's.

    Raises:
      InputError: the folder holds no run, one of another configuration, or one whose file was edited.
    """
    edited = config_edits(workdir, read_config(workdir))
    if edited:
        raise InputError(
            f"{workdir}: {edited[0]}; put it back. Changes go on the command line: train --resume "
            "--config.KEY=VALUE, with --force where they are more than a longer run"
        )
    changed = config_changes(workdir, config)
    if changed:
        raise InputError(
            f"workdir {workdir} was started with another configuration ({'; '.join(changed)}); "
            "go back to that one, or name another folder"
        )


def check_same_demos(workdir: Path, demos_digest: str | None) -> None:
    """Refuses other demonstrations than the folder's.

    Raises:
      InputError: the content of the file changed.
    """
    changed = demos_changes(workdir, demos_digest)
    if changed:
        raise InputError(f"workdir {workdir}: {changed[0]}; restore the file or start a new folder")


def refuse_unless_forced(workdir: Path, changed: list[str], force: bool) -> None:
    """Lets training go on with what changed only if the user insists; says on standard error what that is.

    Raises:
      InputError: something changed and `force` is off.
    """
    if not changed:
        return
    if not force:
        raise InputError(
            f"workdir {workdir} cannot go on as it began ({'; '.join(changed)}); go back to what it was "
            "trained with, start a new folder, or insist with --resume --force"
        )
    for change in changed:
        logging.warning("resumed by force: %s", change)


def config_changes(workdir: Path, config, more_updates: bool = False) -> list[str]:
    """Differences to the configuration that a folder was last trained with.

    Keys that came later had their defaults, or what folders meant before (`schema.BEFORE`).

    Args:
      more_updates: whether more updates than before are no difference.
    Raises:
      InputError: the folder holds no run.
    """
    saved, wanted = read_config(workdir), as_plain(config)
    unsaid = {key: wanted[key] for key in BEFORE} if _same_meaning(saved, workdir) else BEFORE
    before = as_plain(base_config()) | unsaid | saved
    before["demos.path"] = before["demos.path"] and absolute(before["demos.path"])  # early folders: relative
    if more_updates and wanted["updates"] > before["updates"]:
        before["updates"] = wanted["updates"]
    keys = sorted(key for key in before.keys() | wanted.keys() if before.get(key) != wanted.get(key))
    return [f"{key}: {before.get(key)!r} before, {wanted.get(key)!r} now" for key in keys]


def _same_meaning(saved: dict[str, Any], workdir: Path) -> bool:
    """Whether the keys of `BEFORE` change nothing: they matter offline, with continuous actions."""
    if saved["feed"] != "demos" or not (workdir / "spec.json").exists():
        return saved["feed"] != "demos"
    return read_spec(workdir).discrete


def code_changes(workdir: Path) -> list[str]:
    """Differences between the code that last trained in a folder and this one, and how JAX computes."""
    before, now = last_start(workdir), collect(None)
    then = before.get("jax") or {}
    pairs = {"code": (code_version(before), code_version(now))}
    pairs |= {f"JAX_{name.upper()}": (then[name], now["jax"][name]) for name in NUMERICS if name in then}
    return [f"{what}: {old} before, {new} now" for what, (old, new) in pairs.items() if old != new]


def demos_changes(workdir: Path, demos_digest: str | None) -> list[str]:
    """The difference between the demonstrations or the reward file of the last training and these, if any."""
    before = last_start(workdir)["demos_digest"]
    if before == demos_digest:
        return []
    then, now = (str(digest).partition("+") for digest in (before, demos_digest))
    part, what = (0, "demonstrations or reward file") if then[0] != now[0] else (2, "other data (data.path)")
    digests = f"digest {then[part][:12] or 'none'} before, {now[part][:12] or 'none'} now"
    return [f"{what} changed ({digests})"]


def code_version(made: dict[str, Any]) -> str:
    """Which code an entry of `provenance.json` names: a commit, or an installed version."""
    if made["commit"] == "unknown":  # folders before version 0.2
        return f"installed, version {made['versions'].get('iqlearn_jax', 'unknown')}"
    return made["commit"]


def read_provenance(workdir: Path) -> dict[str, Any]:
    """How a folder was started and resumed.

    Raises:
      InputError: the file is missing or damaged.
    """
    path = workdir / "provenance.json"
    content = read_json(path)
    with interpreting(path):
        for entry in (content, *(content.get("resumed") or ())):
            code_version(entry), entry["demos_digest"]
    return content


def last_start(workdir: Path) -> dict[str, Any]:
    """`commit, versions, demos_digest, ...` of the newest resumption, or of the start."""
    content = read_provenance(workdir)
    return (content.get("resumed") or [content])[-1]


def record_resumption(workdir: Path, config, demos_digest: str | None, forced: list[str]) -> None:
    """Adds an entry to `resumed` in `provenance.json`; the configuration becomes the folder's.

    Args:
      forced: what changed, in words; empty without --force.
    """
    content = read_provenance(workdir)
    flat = as_plain(config)
    entry = collect(demos_digest) | {"forced": forced, "digests": {"config": config_digest(flat)}}
    entry |= seal_of(config.imports)
    write_json(workdir / "provenance.json", content | {"resumed": [*content.get("resumed", []), entry]})
    write_json(workdir / "config.json", flat)
