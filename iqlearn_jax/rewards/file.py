"""A recovered reward as one npz file (docs/formats.md): numbers and JSON, nothing pickled."""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from iqlearn_jax.config import base_config
from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.data.demos import read_arrays, write_arrays
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import METHODS, Method, make_method
from iqlearn_jax.ops.tabular import MDP
from iqlearn_jax.rewards.recovered import DRAWS, RecoveredReward, what_is_read
from iqlearn_jax.settings import from_flat
from iqlearn_jax.train.state import identity_normalization, make_hparams
from iqlearn_jax.types import EnvSpec, Hparams

FORMAT, SCHEMA_VERSION = "iqlearn_jax reward", 1
AGAIN = "export the reward again: iqlearn reward export --workdir=RUN --out=FILE"
MDP_ARRAYS = ("transition", "initial")


def save_reward(
    path: Source,
    method: Method,
    spec: EnvSpec,
    hparams: Hparams,
    state: Any,
    config: dict[str, Any],
    about: dict[str, Any],
) -> RecoveredReward:
    """Writes what the reward of one run reads of its state, and what rebuilds the function around it.

    Args:
      method, spec: as the run had them.
      hparams, state: of ONE run.
      config: the flat configuration (`config.json`).
      about: further metadata: run, provenance.
    Returns:
      the reward as a later `load_reward` gives it.
    Raises:
      InputError: the method recovers no reward, a number is not finite, or the file cannot be written.
    """
    if method.reward is None:
        raise InputError(
            f"method '{config['method']}' recovers no reward, so there is nothing to export; those that do "
            "are listed in docs/methods/README.md, e.g. 'iq', 'airl', 'gail'"
        )
    learned = {"hparams": hparams, "state": state}
    read, _ = what_is_read(method, spec, hparams, state)
    flags, leaves = jax.tree.leaves(read), by_path(learned)
    arrays = {name: np.asarray(x) for (name, x), used in zip(leaves.items(), flags, strict=True) if used}
    require_finite(arrays, path)
    facts, tables = spec_to_json(spec)
    arrays |= tables
    metadata = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "config": config, "spec": facts} | about
    metadata["digest"] = digest(arrays, metadata)
    write_arrays(Path(path), arrays | {"metadata": np.array(json.dumps(metadata, sort_keys=True))})
    return load_reward(path)


def load_reward(path: Source, draws: int = DRAWS) -> RecoveredReward:
    """The reward of a file that `iqlearn reward export` wrote; nothing is unpickled.

    Args:
      path: `*.npz`.
      draws: of an action in s' for the deterministic form, where V(s') is sampled.
    Raises:
      InputError: missing, foreign, damaged, changed or newer file.
    """
    if draws < 1:
        raise InputError(f"draws is {draws}; expected at least 1")
    arrays, metadata = read_file(path)
    require_finite(arrays, path)
    try:
        config, spec = read_config(metadata, path), spec_from_json(metadata["spec"], arrays, path)
    except (KeyError, TypeError, AttributeError) as error:  # whole, but not written by us
        raise problem(path, "metadata", "config and spec of a run", repr(error)[:120], AGAIN) from error
    method = make_method(config, spec)
    if method.reward is None:
        raise problem(path, "metadata.config", "a method with a reward", f"'{config.method}'", AGAIN)
    like = shapes(config, spec, method)
    read, sampled = what_is_read(method, spec, **like)
    learned = {name: x for name, x in arrays.items() if name.partition("/")[0] in like}
    filled = fill(like, read, learned, path)
    rule, end = method.reward, method.end_reward
    return RecoveredReward(spec, metadata, rule, end, **filled, sampled=sampled, draws=draws)


def by_path(tree: Any) -> dict[str, Any]:
    """{"state/critic/net/…/kernel": leaf}, in the order of the tree's leaves."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def shapes(config, spec: EnvSpec, method: Method) -> dict[str, Any]:
    """{"hparams", "state"} of one run, as shapes and dtypes."""
    hparams = make_hparams(config, identity_normalization(1, spec.obs_shape, config.whiten))
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), hparams)
    return {"hparams": one, "state": jax.eval_shape(method.init, jax.random.key(0), one)}


def fill(like: Any, read: Any, arrays: dict[str, np.ndarray], path: Source) -> Any:
    """The tree with the file's arrays where the reward reads them, elsewhere halves that take no memory.

    No formula has a pole there, so that what is computed of them and dropped warns of nothing.
    """
    wanted, used = by_path(like), jax.tree.leaves(read)
    needed = {name for name, flag in zip(wanted, used, strict=True) if flag}
    if needed != arrays.keys():
        missing, extra = sorted(needed - arrays.keys()), sorted(arrays.keys() - needed)
        found = f"{len(missing)} missing ({', '.join(missing[:3])}), {len(extra)} unknown"
        raise problem(path, "arrays", f"the {len(needed)} that its config's method reads", found, AGAIN)
    for name in sorted(needed):
        own, expected = arrays[name], wanted[name]
        if (own.shape, own.dtype) != (expected.shape, expected.dtype):
            kind = f"{expected.dtype} {list(expected.shape)}"
            raise problem(path, name, kind, f"{own.dtype} {list(own.shape)}", AGAIN)

    def leaf(name: str, x: Any) -> Any:
        if name in needed:
            return jax.numpy.asarray(arrays[name])
        return np.broadcast_to(np.full((), 0.5).astype(x.dtype), x.shape)

    leaves = [leaf(name, x) for name, x in wanted.items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def read_file(path: Source) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and metadata of a reward file whose digest is right."""
    kind = f"a reward file ('{FORMAT}', schema version {SCHEMA_VERSION})"
    if Path(path).is_file() and not zipfile.is_zipfile(path):
        raise problem(path, "file", kind, "no whole zip archive: another kind of file, or cut off", AGAIN)
    arrays = read_arrays(path)
    text = arrays.pop("metadata", np.array(""))
    try:
        metadata = json.loads(str(text[()]))
    except (ValueError, RecursionError) as error:
        raise problem(path, "metadata", "JSON", str(error)[:120] if str(text) else "none", AGAIN) from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise problem(path, "metadata.format", kind, "another kind of file", AGAIN)
    version = metadata.get("schema_version")
    if version != SCHEMA_VERSION:
        remedy = f"upgrade iqlearn_jax, or {AGAIN}"
        raise problem(path, "metadata.schema_version", str(SCHEMA_VERSION), repr(version), remedy)
    own = digest(arrays, metadata)
    if metadata.get("digest") != own:
        found = f"{own[:16]}… of what is there"
        raise problem(path, "metadata.digest", f"{str(metadata.get('digest'))[:16]}…", found, AGAIN)
    return arrays, metadata


def read_config(metadata: dict[str, Any], path: Source):
    """The configuration in the metadata; keys that came after the file was written have their defaults."""
    flat = metadata["config"]
    try:
        config = from_flat(flat)
    except InputError as error:
        remedy = f"upgrade iqlearn_jax: another version wrote this file; or {AGAIN}"
        raise problem(path, "metadata.config", "keys of this version", str(error), remedy) from error
    if config.method not in METHODS:
        raise problem(path, "metadata.config", f"one of {', '.join(METHODS)}", f"'{config.method}'", AGAIN)
    config.grid = base_config().grid  # the file holds one run, whose own values are in its arrays
    config.part = (0, 1)
    config.seeds = 1
    return config


def digest(arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> str:
    """SHA-256 (hex) over name, dtype, shape and bytes of every array, and over the other metadata."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        sha.update(f"{name} {array.dtype.str} {array.shape};".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    rest = {name: value for name, value in metadata.items() if name != "digest"}
    sha.update(json.dumps(rest, sort_keys=True).encode())
    return sha.hexdigest()


def content_digest(path: Source) -> str:
    """`digest` of what a reward file computes with: exported again from the same run, it is the same.

    Raises:
      InputError: as `load_reward`.
    """
    arrays, metadata = read_file(path)
    return digest(arrays, {name: metadata.get(name) for name in ("config", "spec")})


def require_finite(arrays: dict[str, np.ndarray], path: Source) -> None:
    """Refuses numbers that are not finite: such a reward would poison whoever trains on it."""
    for name, x in arrays.items():
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            found = f"{int((~np.isfinite(x)).sum())} of {x.size} that are not"
            raise problem(path, name, "finite numbers", found, "train again; `failed` in summary.json")


def spec_to_json(spec: EnvSpec) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Facts of an environment as JSON, and the tables of its exact model, where there is one."""
    facts = spec._asdict() | {"obs_dtype": np.dtype(spec.obs_dtype).name, "obs_shape": list(spec.obs_shape)}
    for name in ("action_low", "action_high"):
        facts[name] = None if spec.discrete else np.asarray(facts[name]).tolist()
    mdp = facts.pop("mdp")
    if mdp is None:
        return facts, {}
    tables = {f"spec/{name}": np.asarray(getattr(mdp, name)) for name in MDP_ARRAYS}
    return facts | {"gamma": float(mdp.gamma)}, tables


def spec_from_json(facts: dict[str, Any], arrays: dict[str, np.ndarray], path: Source) -> EnvSpec:
    """The inverse of `spec_to_json`."""
    facts = dict(facts)
    gamma = facts.pop("gamma", None)
    for name in ("action_low", "action_high"):
        facts[name] = None if facts[name] is None else np.asarray(facts[name], np.float32)
    facts["obs_shape"], facts["obs_dtype"] = tuple(facts["obs_shape"]), np.dtype(facts["obs_dtype"])
    tables = {name: arrays.get(f"spec/{name}") for name in MDP_ARRAYS}
    if gamma is not None and any(table is None for table in tables.values()):
        raise problem(path, "spec", f"arrays {', '.join(MDP_ARRAYS)}", "none", AGAIN)
    return EnvSpec(**facts, mdp=None if gamma is None else MDP(**tables, gamma=gamma))
