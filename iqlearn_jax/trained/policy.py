"""A trained policy as a function of observations, and as one npz file (docs/policies.md, docs/formats.md)."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.data.checks import Source
from iqlearn_jax.envs.api import clip_action
from iqlearn_jax.envs.facts import require_fit, spec_to_json
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import Method
from iqlearn_jax.methods.function_file import (
    Arrays,
    FileKind,
    by_path,
    fill,
    learned_by,
    leaves_read,
    live_inputs,
    origin,
    read_function,
    rebuild,
    write_function,
)
from iqlearn_jax.trained.layers import describe
from iqlearn_jax.types import EnvSpec, Hparams

POLICY = FileKind("policy", schema_version=1)
Array = Any  # jax.Array, or what becomes one


@dataclasses.dataclass(frozen=True, eq=False)
class Policy:
    """The policy of one trained run: call it. It needs neither environment nor demonstrations.

    What standardises observations is inside. It is compiled once for each number of observations, may be
    called inside jit and vmap, and gives NumPy arrays for what is no JAX array.

    Attributes:
      spec: the environment that it was learned in; only shapes and bounds matter to it.
      metadata: what docs/formats.md says of a policy file: config, run, provenance, network, digest.
      method: what the config makes; `method.act` acts.
      hparams, state: of the one run; leaves that acting does not read are stand-ins.
    """

    spec: EnvSpec
    metadata: dict[str, Any]
    method: Method
    hparams: Hparams
    state: Any

    def __repr__(self) -> str:
        return f"Policy({learned_by(self.spec, self.metadata)})"

    def __call__(self, obs: Array, key: jax.Array | None = None, deterministic: bool = True) -> Array:
        """Actions of observations, as an environment takes them; continuous ones lie inside their bounds.

        Args:
          obs: [..., *obs_shape] as the environment gives them (images unscaled); any leading axes, or none.
            Where its own are others (`spec.spaces`: dictionaries, integers), those or flattened ones.
          key: typed key of the draws; read only where not `deterministic`.
          deterministic: the most likely action (of continuous ones the squashed mean), else one that is drawn
            as in training, on its own for each observation.
        Returns:
          [...] int32, or [..., action_dim] float32 in the environment's units; its own, e.g. [..., k] int32
          of several integers.
        Raises:
          InputError: observations of another shape or kind, or a draw without a key.
        """
        spaces = self.spec.spaces
        if spaces is None:
            return self.in_spec_terms(obs, key, deterministic)
        return spaces.own_actions(self.in_spec_terms(spaces.flat_obs(obs), key, deterministic))

    def in_spec_terms(self, obs: Array, key: jax.Array | None = None, deterministic: bool = True) -> Array:
        """As a call, of the observations and actions of `spec`: flattened, and numbered from 0."""
        if key is None and not deterministic:
            raise InputError(
                "a drawn action needs a key: policy(obs, jax.random.key(SEED), deterministic=False)"
            )
        rows, lead = self._rows(obs)
        action = self._act(self.hparams, self.state, rows, None if deterministic else key)
        action = action.reshape(lead + action.shape[1:])
        traced = isinstance(action, jax.core.Tracer)
        return action if traced or isinstance(obs, jax.Array) else np.asarray(action)

    def require_fit(self, env: EnvSpec) -> None:
        """Refuses an environment with other observations or actions.

        Raises:
          InputError: names what differs.
        """
        require_fit(self.spec, env, "policy")

    def save(self, path: Source) -> None:
        """Writes the policy to a file, as `save_policy`.

        Raises:
          InputError: a number is not finite, or the file cannot be written.
        """
        about = origin(self.metadata)
        save_policy(path, self.method, self.spec, self.hparams, self.state, self.metadata["config"], about)

    @functools.cached_property
    def _act(self):
        """(hparams, state, obs [B, ...], key) -> actions [B, ...], compiled; deterministic without a key.

        The parameters are arguments: as constants they would be folded, and the last bits would differ.
        """

        def act(hparams, state, obs, key):
            deterministic = key is None
            key = jax.random.key(0) if deterministic else key
            return clip_action(
                self.spec, self.method.act(hparams, state, obs, key, deterministic=deterministic)
            )

        return jax.jit(act)

    def _rows(self, obs: Array) -> tuple[Array, tuple[int, ...]]:
        """One batch [B, *obs_shape] of observations, and the leading axes that they had."""
        spec = self.spec
        obs = obs if isinstance(obs, jax.Array) else np.asarray(obs)
        lead = obs.shape[: obs.ndim - len(spec.obs_shape)]
        if lead + spec.obs_shape != obs.shape:
            raise InputError(
                f"obs: found shape {obs.shape}; the policy of '{spec.id}' expects {spec.obs_shape} after any "
                "leading axes"
            )
        dtype = np.dtype(spec.obs_dtype)
        if dtype.kind in "iu" and obs.dtype.kind not in "iub":
            raise InputError(
                f"obs: found {obs.dtype}; the policy of '{spec.id}' expects {dtype}, as the environment"
            )
        return spec.relative(obs).reshape(-1, *spec.obs_shape), lead


def save_policy(
    path: Source,
    method: Method,
    spec: EnvSpec,
    hparams: Hparams,
    state: Any,
    config: dict[str, Any],
    about: dict[str, Any],
) -> Policy:
    """Writes what acting reads of one run's state, and what rebuilds the policy around it.

    Args:
      method, spec: as the run had them.
      hparams, state: of ONE run.
      config: the flat configuration (`config.json`).
      about: further metadata: run, provenance.
    Returns:
      the policy, as a later `load_policy` gives it.
    Raises:
      InputError: a number is not finite, or the file cannot be written.
    """
    arrays = leaves_read(
        {"hparams": hparams, "state": state}, what_acting_reads(method, spec, hparams, state), path
    )
    policy = make_policy(method, spec, hparams, state, config, about)
    about = about | {"network": network_of(policy, arrays)}
    return dataclasses.replace(policy, metadata=write_function(path, POLICY, arrays, spec, config, about))


def make_policy(
    method: Method, spec: EnvSpec, hparams: Hparams, state: Any, config: dict[str, Any], about: dict[str, Any]
) -> Policy:
    """The policy of one run in memory; its metadata are those of a file without version, network and digest.

    Args:
      as `save_policy`.
    """
    return Policy(spec, {"config": config, "spec": spec_to_json(spec)[0]} | about, method, hparams, state)


def load_policy(path: Source, networks: Any = None) -> Policy:
    """The policy of a file that `iqlearn policy export` wrote; nothing is unpickled.

    Args:
      path: `*.npz`.
      networks: those that the run was trained with, where they were its user's (`methods.make_method`).
    Raises:
      InputError: missing, foreign, damaged, changed or newer file.
    """
    arrays, metadata = read_function(path, POLICY)
    _, spec, method, like = rebuild(arrays, metadata, path, POLICY, networks)
    learned = fill(like, what_acting_reads(method, spec, **like), arrays, path, POLICY)
    return Policy(spec, metadata, method, **learned)


def what_acting_reads(
    method: Method, spec: EnvSpec, hparams: Hparams, state: Any, ways: tuple[bool, ...] = (True, False)
) -> dict[str, Any]:
    """Booleans in the structure of {"hparams", "state"}: what acting reads.

    Args:
      hparams, state: of one run; shapes are enough.
      ways: to act: True deterministically, False by drawing.
    """

    def actions(learned: dict[str, Any], key: jax.Array):
        obs = jnp.zeros((1, *spec.obs_shape), spec.obs_dtype)
        return [method.act(learned["hparams"], learned["state"], obs, key, deterministic=way) for way in ways]

    is_read, _ = live_inputs(actions, {"hparams": hparams, "state": state}, jax.random.key(0))
    return is_read


def network_of(policy: Policy, arrays: Arrays) -> dict[str, Any] | None:
    """What `numpy_policy` plays deterministically, or None where it cannot (`layers.describe`)."""
    is_read = what_acting_reads(policy.method, policy.spec, policy.hparams, policy.state, ways=(True,))
    names = {name for name, used in by_path(is_read).items() if used}
    with jax.default_matmul_precision("highest"):  # GPUs round products otherwise; NumPy does not
        return describe(policy.spec, arrays, names, policy.in_spec_terms)
