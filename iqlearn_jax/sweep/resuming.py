"""What a folder was made with, what resuming may not change silently, and the record of each resumption."""

import json
import sys
from pathlib import Path
from typing import Any

from iqlearn_jax.config import base_config
from iqlearn_jax.errors import InputError
from iqlearn_jax.sweep.workdir import as_plain, provenance, read_config, write_json


def check_same_config(workdir: Path, config) -> None:
    """Refuses another configuration than the folder's.

    Raises:
      InputError: the folder holds no run, or one of another configuration.
    """
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
        print(f"warning: resumed by force: {change}", file=sys.stderr)


def config_changes(workdir: Path, config) -> list[str]:
    """Differences to the configuration that a folder was last trained with; new keys had their defaults.

    Raises:
      InputError: the folder holds no run.
    """
    before = as_plain(base_config()) | read_config(workdir)
    wanted = as_plain(config)
    keys = sorted(key for key in before.keys() | wanted.keys() if before.get(key) != wanted.get(key))
    return [f"{key}: {before.get(key)!r} before, {wanted.get(key)!r} now" for key in keys]


def code_changes(workdir: Path) -> list[str]:
    """The difference between the code that last trained in a folder and this one, if there is one."""
    before, now = (code_version(made) for made in (last_start(workdir), provenance(None)))
    return [] if before == now else [f"code: {before} before, {now} now"]


def demos_changes(workdir: Path, demos_digest: str | None) -> list[str]:
    """The difference between the demonstrations or the reward file of the last training and these, if any."""
    before = last_start(workdir)["demos_digest"]
    if before == demos_digest:
        return []
    digests = f"digest {str(before)[:12]} before, {str(demos_digest)[:12]} now"
    return [f"demonstrations or reward file changed ({digests})"]


def code_version(made: dict[str, Any]) -> str:
    """The commit of an entry of `provenance.json`; outside a checkout the package's version."""
    if made["commit"] != "unknown":
        return f"commit {made['commit']}"
    return f"iqlearn_jax {made['versions'].get('iqlearn_jax', 'unknown')}"


def read_provenance(workdir: Path) -> dict[str, Any]:
    """How a folder was started and resumed.

    Raises:
      InputError: the file is missing or damaged.
    """
    path = workdir / "provenance.json"
    try:
        found = json.loads(path.read_text())
        code_version(found), found["demos_digest"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: missing or damaged ({error!r}); restore it or start a new folder"
        ) from error
    return found


def last_start(workdir: Path) -> dict[str, Any]:
    """`commit, versions, demos_digest, ...` of the newest resumption, or of the start."""
    found = read_provenance(workdir)
    return (found.get("resumed") or [found])[-1]


def record_resumption(workdir: Path, config, demos_digest: str | None, forced: list[str]) -> None:
    """Adds an entry to `resumed` in `provenance.json`; with changes by force the config becomes the folder's.

    Args:
      forced: what changed, in words; empty without --force.
    """
    found = read_provenance(workdir)
    entry = provenance(demos_digest) | {"forced": forced}
    write_json(workdir / "provenance.json", found | {"resumed": [*found.get("resumed", []), entry]})
    if forced:
        write_json(workdir / "config.json", as_plain(config))
