"""What a checkpoint consists of: sizes and digests of its files, shapes and dtypes of its arrays.

Orbax notices a missing or cut file, but reads a changed byte of an array as if nothing were wrong
(docs/durability.md); so each checkpoint carries a manifest.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jax

MANIFEST = "manifest.json"
ITEM = "default"  # orbax's folder for the one pytree that a checkpoint holds; the rest is bookkeeping


def write_manifest(folder: Path, arrays: dict[str, str], run: dict[str, Any] | None = None) -> None:
    """Describes the files below `folder`; to be called before orbax commits it by renaming it.

    Args:
      arrays: from `describe`.
      run: `identity.identity` of the run that saves it, None where nothing is known.
    """
    files = {str(path.relative_to(folder)): _facts(path) for path in _files(folder / ITEM)}
    content = {"files": files, "arrays": arrays} | ({"run": run} if run else {})
    with (folder / MANIFEST).open("w") as stream:
        json.dump({"sha256": _digest(content), "content": content}, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())


def damage(folder: Path) -> str | None:
    """What differs from the manifest; None if nothing does, or without one (folders of early versions)."""
    if not any(folder.iterdir()):
        return "it is empty"
    if not (folder / MANIFEST).exists():
        return None
    try:
        files = read_manifest(folder)["files"]
    except (ValueError, KeyError, TypeError):
        return f"{MANIFEST} is damaged"
    return next(filter(None, (_difference(folder, name, facts) for name, facts in files.items())), None)


def read_manifest(folder: Path) -> dict[str, Any]:
    """{"files": ..., "arrays": ..., "run": ...} as it was written; early versions named no run.

    Raises:
      ValueError, KeyError: the manifest itself was changed.
    """
    manifest = json.loads((folder / MANIFEST).read_text())
    if manifest["sha256"] != _digest(manifest["content"]):
        raise ValueError(f"{MANIFEST} was changed")
    return manifest["content"]


def saved_by(folder: Path) -> dict[str, Any]:
    """`identity.identity` of the run that saved a checkpoint; {} where its manifest names none."""
    return read_manifest(folder).get("run", {}) if (folder / MANIFEST).exists() else {}


def misfit(folder: Path, like: Any) -> str | None:
    """The first array of a checkpoint that is not as in `like`; None if all are, or without a manifest."""
    if not (folder / MANIFEST).exists():
        return None
    saved, wanted = read_manifest(folder)["arrays"], describe(like)
    different = [name for name in saved | wanted if saved.get(name) != wanted.get(name)]
    if not different:
        return None
    name = different[0]
    return f"{name} is {saved.get(name, 'absent')} there, {wanted.get(name, 'absent')} expected"


def saved_slots(folder: Path) -> int | None:
    """The leading axis of all arrays of a checkpoint; None without a manifest."""
    if not (folder / MANIFEST).exists():
        return None
    first = next(iter(read_manifest(folder)["arrays"].values()))
    return int(first.partition("[")[2].rstrip("]").partition(",")[0])


def describe(state: Any) -> dict[str, str]:
    """{".state.critic['w']": "float32[3, 4]"} of a pytree of arrays, or of their shapes and dtypes."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _facts(path: Path) -> dict[str, str | int]:
    with path.open("rb") as stream:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def _difference(folder: Path, name: str, facts: dict[str, str | int]) -> str | None:
    path = folder / name
    if not path.is_file():
        return f"{name} is missing"
    if path.stat().st_size != facts["size"]:
        return f"{name} has {path.stat().st_size} bytes, expected {facts['size']}"
    return None if _facts(path) == facts else f"the content of {name} changed"


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
