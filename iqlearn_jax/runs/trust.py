"""Which modules of a run's folder may be imported: those that this account imported when it trained there.

`config.json` names the modules that register an environment or a method. They are code, so a folder from
elsewhere may not choose them. A folder that this account trained carries a seal over their names, made with a
key that only the account has (docs/durability.md); others need --import.
"""

import hmac
import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from absl import logging

from iqlearn_jax.config.files import import_modules, is_imported
from iqlearn_jax.devices.placement import is_main
from iqlearn_jax.errors import InputError

SEAL = "imports_seal"  # in provenance.json
KEY_BYTES = 32


def seal_of(modules: Sequence[str]) -> dict[str, str]:
    """What `provenance.json` says of a run's modules when it begins or goes on; {} where it may say nothing.

    Only what this process has imported is sealed: it was named on its command line, or sealed before.
    """
    if not modules or not is_main() or not all(map(is_imported, modules)):
        return {}
    key = _key(make=True)
    if key is None:
        logging.warning("%s cannot be written; going on with this run will need --import", _key_path())
        return {}
    return {SEAL: _seal(key, modules)}


def import_trusted(modules: Any, starts: Iterable[Mapping[str, Any]], workdir: Path) -> None:
    """Imports the modules that a folder names if this account sealed them; else a warning says how to.

    Args:
      starts: what `provenance.json` says of the start and of each resumption.
    Raises:
      InputError: a module is gone, or what is named is none.
    """
    if not isinstance(modules, list | tuple) or not all(isinstance(name, str) for name in modules):
        raise InputError(f"{workdir / 'config.json'}: imports is {modules!r}; expected names of modules")
    if all(map(is_imported, modules)):
        return
    key = _key(make=False)
    seals = [str(entry.get(SEAL, "")) for entry in starts]
    if key is not None and any(hmac.compare_digest(_seal(key, modules), seal) for seal in seals):
        import_modules(modules)
    else:
        logging.warning("%s", _how(modules, workdir))


def require_imported(modules: Sequence[str], workdir: Path) -> None:
    """Refuses to train on without the modules that a run began with.

    Raises:
      InputError: names them and the option.
    """
    if not all(map(is_imported, modules)):
        raise InputError(_how(modules, workdir))


def _how(modules: Sequence[str], workdir: Path) -> str:
    missing = [name for name in modules if not is_imported(name)]
    options = " ".join(f"--import={name}" for name in missing)
    return (
        f"{workdir / 'config.json'} names {', '.join(missing)}, code that was not run, since this account "
        f"did not train there; if you trust it: {options}"
    )


def _seal(key: bytes, modules: Sequence[str]) -> str:
    return hmac.digest(key, json.dumps(list(modules)).encode(), "sha256").hex()


def _key_path() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "iqlearn_jax" / "seal.key"


def _key(make: bool) -> bytes | None:
    """The account's key; None where it has none, or cannot keep one."""
    with suppress(OSError, RuntimeError):  # RuntimeError: no home
        path = _key_path()
        if make and not path.exists():
            _make_key(path)
        content = path.read_bytes()
        return content if len(content) == KEY_BYTES else None
    return None


def _make_key(path: Path) -> None:
    """Whole at once, also where two processes make it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f"{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_bytes(KEY_BYTES))
    with suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()
