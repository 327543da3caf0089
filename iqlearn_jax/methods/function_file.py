"""One function of a trained run, its reward or its policy, as one npz file of numbers and JSON.

Nothing is pickled. The file holds the leaves of the run's hyperparameters and state that the function reads,
and what rebuilds the function around them: the configuration and the facts of the environment
(docs/formats.md).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import Var

from iqlearn_jax.config.values import from_flat
from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.save import write_arrays
from iqlearn_jax.disk import Unreadable, hash_arrays, read_npz
from iqlearn_jax.envs.facts import spec_from_json, spec_to_json
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import METHODS, Method, make_method
from iqlearn_jax.methods.make import default_leaves
from iqlearn_jax.types import EnvSpec

Arrays = dict[str, np.ndarray]
NETWORKS = "a run with networks of its user's own is loaded with networks=..."


class FileKind(NamedTuple):
    """What tells the files of one kind from all others.

    Attributes:
      name: of what the file holds, and of the command that exports it: "reward", "policy".
      schema_version: of its layout.
    """

    name: str
    schema_version: int

    @property
    def format(self) -> str:
        """The metadata's word for this kind."""
        return f"iqlearn_jax {self.name}"

    @property
    def remedy(self) -> str:
        """What helps against any unusable file of this kind."""
        return f"export the {self.name} again: iqlearn {self.name} export --workdir=RUN --out=FILE"


class Rebuilt(NamedTuple):
    """What a file's metadata stands for.

    Attributes:
      like: {"hparams", "state"} of one run, as shapes and dtypes.
    """

    config: Any
    spec: EnvSpec
    method: Method
    like: dict[str, Any]


def live_inputs(fn: Callable, *args: Any) -> Any:
    """Which leaves of the arguments the outputs of `fn` depend on: booleans in the arguments' structure.

    Read off its jaxpr, backwards from the outputs; calls inside count as reading all that they are given.
    """
    jaxpr = jax.make_jaxpr(fn)(*args).jaxpr
    live = {x for x in jaxpr.outvars if isinstance(x, Var)}
    for equation in reversed(jaxpr.eqns):
        if live.intersection(equation.outvars):
            live.update(x for x in equation.invars if isinstance(x, Var))
    return jax.tree.unflatten(jax.tree.structure(args), [x in live for x in jaxpr.invars])


def by_path(tree: Any) -> dict[str, Any]:
    """{"state/critic/net/…/kernel": leaf}, in the order of the tree's leaves."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def leaves_read(learned: dict[str, Any], is_read: Any, path: Source) -> Arrays:
    """The arrays that a function reads, by their paths.

    Args:
      learned: {"hparams", "state"} of ONE run.
      is_read: booleans in the same structure (`live_inputs`).
      path: of the file they are for, for messages.
    Raises:
      InputError: a number is not finite.
    """
    flags = jax.tree.leaves(is_read)
    arrays = {
        name: np.asarray(x) for (name, x), used in zip(by_path(learned).items(), flags, strict=True) if used
    }
    require_finite(arrays, path)
    return arrays


def write_function(
    path: Source,
    kind: FileKind,
    arrays: Arrays,
    spec: EnvSpec,
    config: dict[str, Any],
    about: dict[str, Any],
) -> dict[str, Any]:
    """Writes the file; an older one of that name stays whole until the new one is.

    Args:
      arrays: `leaves_read`.
      config: the flat configuration (`config.json`).
      about: further metadata.
    Returns:
      its metadata.
    Raises:
      InputError: the file cannot be written.
    """
    facts, tables = spec_to_json(spec)
    arrays = arrays | tables
    header = {"format": kind.format, "schema_version": kind.schema_version}
    metadata = header | {"config": config, "spec": facts} | about
    metadata["digest"] = digest(arrays, metadata)
    write_arrays(Path(path), arrays | {"metadata": np.array(json.dumps(metadata, sort_keys=True))})
    return metadata


def origin(metadata: dict[str, Any]) -> dict[str, Any]:
    """What a file's metadata say of where it comes from: all that writing it again does not set anew."""
    anew = ("format", "schema_version", "config", "spec", "network", "digest")
    return {name: value for name, value in metadata.items() if name not in anew}


def learned_by(spec: EnvSpec, metadata: dict[str, Any]) -> str:
    """What learned a function, as far as it is known: "iq on CartPole-v1, seed 5000, 10000 updates"."""
    names = {"seed": "seed {}", "updates": "{} updates"}
    known = metadata.get("run", {})
    parts = [text.format(known[name]) for name, text in names.items() if name in known]
    return ", ".join([f"{metadata['config']['method']} on {spec.id}", *parts])


def read_function(path: Source, kind: FileKind) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and metadata of a file of that kind whose digest is right.

    Raises:
      InputError: missing, foreign, damaged, changed or newer file, or numbers that are not finite.
    """
    expected = f"a {kind.name} file ('{kind.format}', schema version {kind.schema_version})"
    try:
        arrays = read_npz(path)
    except Unreadable as error:
        place, wanted = (error.place, error.expected) if error.place != "file" else ("file", expected)
        raise problem(path, place, wanted, error.found, kind.remedy) from error
    text = arrays.pop("metadata", np.array(""))
    try:
        metadata = json.loads(str(text[()]))
    except (ValueError, RecursionError) as error:
        said = str(error)[:120] if str(text) else "none"
        raise problem(path, "metadata", "JSON", said, kind.remedy) from error
    if not isinstance(metadata, dict) or metadata.get("format") != kind.format:
        raise problem(path, "metadata.format", expected, "another kind of file", kind.remedy)
    version = metadata.get("schema_version")
    if version != kind.schema_version:
        remedy = f"upgrade iqlearn_jax, or {kind.remedy}"
        raise problem(path, "metadata.schema_version", str(kind.schema_version), repr(version), remedy)
    actual, stated = digest(arrays, metadata), str(metadata.get("digest"))
    if stated != actual:
        raise problem(
            path, "metadata.digest", f"{stated[:16]}…", f"{actual[:16]}… of what is there", kind.remedy
        )
    require_finite(arrays, path)
    return arrays, metadata


def rebuild(
    arrays: Arrays, metadata: dict[str, Any], path: Source, kind: FileKind, networks: Any = None
) -> Rebuilt:
    """Configuration, environment and method of a file, as training had them.

    Args:
      networks: as `methods.make_method`, where the run was trained with networks of its user's.
    Raises:
      InputError: metadata that this version cannot use.
    """
    try:
        config, spec = read_config(metadata, path, kind), spec_from_json(metadata["spec"], arrays)
    except (KeyError, TypeError, AttributeError) as error:  # whole, but not written by us
        said = repr(error)[:120]
        raise problem(path, "metadata", "config and spec of a run", said, kind.remedy) from error
    try:
        method = make_method(config, spec, networks)
    except InputError as error:
        raise problem(path, "metadata.config", "values of this version", str(error), kind.remedy) from error
    return Rebuilt(config, spec, method, shapes(config, spec, method))


def read_config(metadata: dict[str, Any], path: Source, kind: FileKind) -> Any:
    """The configuration in the metadata; keys that came after the file was written have their defaults.

    A grid stays in it: some methods are made otherwise where one of its runs asks for it. Modules that the
    run imported are not imported: a file of numbers runs no code.
    """
    try:
        config = from_flat(metadata["config"])
    except InputError as error:
        remedy = "upgrade iqlearn_jax (another version wrote this file), or import what registers the method"
        raise problem(path, "metadata.config", "keys of this version", str(error), remedy) from error
    if config.method not in METHODS:
        known, remedy = (
            f"one of {', '.join(METHODS)}",
            f"import the module that registers it, or {kind.remedy}",
        )
        raise problem(path, "metadata.config", known, f"method '{config.method}'", remedy)
    return config


def shapes(config, spec: EnvSpec, method: Method) -> dict[str, Any]:
    """{"hparams", "state"} of one run, as shapes and dtypes."""
    leaves = default_leaves(config, spec)
    hparams = {name: jax.ShapeDtypeStruct(np.shape(x), x.dtype) for name, x in leaves.items()}
    return {"hparams": hparams, "state": jax.eval_shape(method.init, jax.random.key(0), hparams)}


def fill(like: Any, is_read: Any, arrays: Arrays, path: Source, kind: FileKind) -> Any:
    """The tree with the file's arrays where the function reads them, elsewhere halves that take no memory.

    No formula has a pole there, so that what is computed of them and dropped warns of nothing.

    Args:
      like, is_read: {"hparams", "state"} as shapes, and booleans in their structure.
      arrays: the file's; those of the environment's exact model are passed over.
    Raises:
      InputError: arrays are missing, unknown, or of another shape or dtype.
    """
    wanted, flags = by_path(like), jax.tree.leaves(is_read)
    needed = {name for name, used in zip(wanted, flags, strict=True) if used}
    held = {name for name in arrays if name.partition("/")[0] in like}
    if needed != held:
        missing, extra = sorted(needed - held), sorted(held - needed)
        said = f"{len(missing)} missing ({', '.join(missing[:3])}), {len(extra)} unknown"
        expected, remedy = f"the {len(needed)} that its config's method reads", f"{kind.remedy}; {NETWORKS}"
        raise problem(path, "arrays", expected, said, remedy)
    for name in sorted(needed):
        actual, expected = arrays[name], wanted[name]
        if (actual.shape, actual.dtype) != (expected.shape, expected.dtype):
            form = f"{expected.dtype} {list(expected.shape)}"
            said, remedy = f"{actual.dtype} {list(actual.shape)}", f"{kind.remedy}; {NETWORKS}"
            raise problem(path, name, form, said, remedy)

    def leaf(name: str, x: Any) -> Any:
        if name in needed:
            return jax.numpy.asarray(arrays[name])
        return np.broadcast_to(np.full((), 0.5).astype(x.dtype), x.shape)

    return jax.tree.unflatten(jax.tree.structure(like), [leaf(name, x) for name, x in wanted.items()])


def digest(arrays: Arrays, metadata: dict[str, Any]) -> str:
    """SHA-256 (hex) over name, dtype, shape and bytes of every array, and over the other metadata."""
    sha = hash_arrays(dict(sorted(arrays.items())))
    rest = {name: value for name, value in metadata.items() if name != "digest"}
    sha.update(json.dumps(rest, sort_keys=True).encode())
    return sha.hexdigest()


def require_finite(arrays: Arrays, path: Source) -> None:
    """Refuses numbers that are not finite: they would poison whoever uses the file."""
    for name, x in arrays.items():
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            said = f"{int((~np.isfinite(x)).sum())} of {x.size} that are not"
            raise problem(path, name, "finite numbers", said, "train again; `failed` in summary.json")
