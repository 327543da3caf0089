"""A policy as a compiled program (StableHLO, by `jax.export`) that runs without this library."""

import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from iqlearn_jax.disk import written_whole
from iqlearn_jax.envs.api import clip_action
from iqlearn_jax.envs.facts import spec_to_json
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import Method
from iqlearn_jax.methods.function_file import leaves_read
from iqlearn_jax.runs.files import write_json, writing
from iqlearn_jax.trained.policy import Policy, what_acting_reads
from iqlearn_jax.types import EnvSpec, Hparams

FORMAT, SCHEMA_VERSION = "iqlearn_jax policy program", 1
PLATFORMS = ("cpu", "cuda", "tpu")  # that the program runs on


def save_program(
    path: Path,
    method: Method,
    spec: EnvSpec,
    hparams: Hparams,
    state: Any,
    config: dict[str, Any],
    about: dict[str, Any],
) -> Policy:
    """Writes the deterministic policy, parameters included, and beside it PATH.json with its metadata.

    Its one argument are observations [B, *obs_shape] for any B (flattened, `spec.spaces`), its result the
    environment's own actions [B, ...];
    `jax.export.deserialize(bytes).call(obs)` runs it.

    Args:
      as `trained.policy.save_policy`.
    Returns:
      the policy that it is of.
    Raises:
      InputError: a number is not finite, flatbuffers is missing, or observations need float64.
      StorageError: the file cannot be written.
    """
    if spec.obs_origin is not None:
        raise InputError(
            f"observations of '{spec.id}' vary too little, so far from 0, for a program in float32; "
            "export the policy with --format=npz, which subtracts an origin first"
        )
    is_read = what_acting_reads(method, spec, hparams, state, ways=(True,))
    leaves_read({"hparams": hparams, "state": state}, is_read, path)  # refuses what is not finite
    program = serialized(method, spec, hparams, state)
    obs = {"shape": ["B", *spec.obs_shape], "dtype": np.dtype(spec.obs_dtype).name}
    metadata = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "load": f"jax.export.deserialize(pathlib.Path('{path.name}').read_bytes()).call(obs)",
        "obs": obs,
        "platforms": list(PLATFORMS),
        "config": config,
        "spec": spec_to_json(spec)[0],
        "digest": hashlib.sha256(program).hexdigest(),
    } | about
    write_bytes(path, program)
    write_json(path.with_name(f"{path.name}.json"), metadata)
    return Policy(spec, metadata, method, hparams, state)


def serialized(method: Method, spec: EnvSpec, hparams: Hparams, state: Any) -> bytes:
    """The program's bytes; the number of observations is left open.

    Raises:
      InputError: flatbuffers is missing.
    """
    from jax import export  # takes a while

    def act(obs):
        actions = clip_action(spec, method.act(hparams, state, obs, jax.random.key(0), deterministic=True))
        return actions if spec.spaces is None else spec.spaces.own_actions(actions)

    [batch] = export.symbolic_shape("batch")
    obs = jax.ShapeDtypeStruct((batch, *spec.obs_shape), spec.obs_dtype)
    try:
        return bytes(export.export(jax.jit(act), platforms=PLATFORMS)(obs).serialize())
    except ImportError as error:
        raise InputError(
            f"a StableHLO program needs flatbuffers ({error}): pip install iqlearn_jax[stablehlo]"
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file; an older one of that name stays whole until the new one is.

    Raises:
      StorageError: the system refused.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as temporary:
            temporary.write_bytes(content)
