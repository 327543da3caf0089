"""A recovered reward as one npz file (docs/formats.md): numbers and JSON, nothing pickled."""

import dataclasses
from typing import Any

from iqlearn_jax.data.checks import Source, problem
from iqlearn_jax.envs.facts import spec_to_json
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import Method
from iqlearn_jax.methods.function_file import (
    FileKind,
    digest,
    fill,
    leaves_read,
    origin,
    read_function,
    rebuild,
    write_function,
)
from iqlearn_jax.rewards.recovered import DRAWS, RecoveredReward, what_is_read
from iqlearn_jax.types import EnvSpec, Hparams

REWARD = FileKind("reward", schema_version=1)


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
      the reward, as a later `load_reward` gives it.
    Raises:
      InputError: the method recovers no reward, a number is not finite, or the file cannot be written.
    """
    return write_reward(path, make_reward(method, spec, hparams, state, config, about))


def write_reward(path: Source, reward: RecoveredReward) -> RecoveredReward:
    """`RecoveredReward.save`; returns the reward with the file's metadata."""
    learned = {"hparams": reward.hparams, "state": reward.state}
    is_read, _ = what_is_read(reward.rule, reward.end, reward.spec, **learned)
    arrays = leaves_read(learned, is_read, path)
    config, about = reward.metadata["config"], origin(reward.metadata)
    metadata = write_function(path, REWARD, arrays, reward.spec, config, about)
    return dataclasses.replace(reward, metadata=metadata)


def make_reward(
    method: Method,
    spec: EnvSpec,
    hparams: Hparams,
    state: Any,
    config: dict[str, Any],
    about: dict[str, Any],
    draws: int = DRAWS,
) -> RecoveredReward:
    """The reward of one run in memory; its metadata are those of a file without version and digest.

    Args:
      as `save_reward`; draws as `load_reward`.
    Raises:
      InputError: the method recovers no reward.
    """
    if method.reward is None:
        raise InputError(
            f"method '{config['method']}' recovers no reward, so there is nothing to export; those that do "
            "are listed in docs/methods/README.md, e.g. 'iq', 'airl', 'gail'"
        )
    metadata = {"config": config, "spec": spec_to_json(spec)[0]} | about
    _, sampled = what_is_read(method.reward, method.end_reward, spec, hparams, state)
    return RecoveredReward(spec, metadata, method.reward, method.end_reward, hparams, state, sampled, draws)


def load_reward(path: Source, draws: int = DRAWS, networks: Any = None) -> RecoveredReward:
    """The reward of a file that `iqlearn reward export` wrote; nothing is unpickled.

    Args:
      path: `*.npz`.
      draws: of an action in s' for the deterministic form, where V(s') is sampled.
      networks: those that the run was trained with, where they were its user's (`methods.make_method`).
    Raises:
      InputError: missing, foreign, damaged, changed or newer file.
    """
    if draws < 1:
        raise InputError(f"draws is {draws}; expected at least 1")
    arrays, metadata = read_function(path, REWARD)
    config, spec, method, like = rebuild(arrays, metadata, path, REWARD, networks)
    if method.reward is None:
        expected, actual = "a method with a reward", f"'{config.method}'"
        raise problem(path, "metadata.config", expected, actual, REWARD.remedy)
    rule, end = method.reward, method.end_reward
    is_read, sampled = what_is_read(rule, end, spec, **like)
    learned = fill(like, is_read, arrays, path, REWARD)
    return RecoveredReward(spec, metadata, rule, end, **learned, sampled=sampled, draws=draws)


def content_digest(path: Source) -> str:
    """`digest` of what a reward file computes with: exported again from the same run, it is the same.

    Raises:
      InputError: as `load_reward`.
    """
    arrays, metadata = read_function(path, REWARD)
    return digest(arrays, {name: metadata.get(name) for name in ("config", "spec")})
