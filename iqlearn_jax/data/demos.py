"""Demonstrations in memory and on disk (`*.npz`, schema version 1 of docs/formats.md)."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax import errors
from iqlearn_jax.data import checks
from iqlearn_jax.data.checks import FIELDS, Source, check_arrays, check_keys, problem
from iqlearn_jax.data.complete import complete
from iqlearn_jax.data.suspect import suspicions
from iqlearn_jax.disk import Unreadable, array_names, hash_arrays, read_npz
from iqlearn_jax.types import EnvSpec, Transition

SCHEMA_VERSION = 1
BUNDLED, BUNDLED_PREFIX = Path(__file__).parent / "bundled", "bundled:"
_DERIVED: Any = None  # what a field is before `complete`


@dataclass(frozen=True, eq=False)
class Demos:
    """Episodes one after the other; an episode ends where `terminals | truncations`.

    Made from arrays or lists, which are cast to the types below where that keeps the numbers, and checked.

    Attributes:
      observations: [N, *obs] float32, uint8 images or int32 states.
      actions: the environment's own: [N] int32, [N, k] int32 of spaces of several integers, or [N, A] float32
        in its units; None for observation-only use.
      rewards: [N] float32 true reward, for reports only; None where it is not known, as are zeros throughout.
      next_observations: [N, *obs] the true successor, also at the end of an episode. If left out, it is the
        next step's observation; the last step of an episode that is cut, whose successor is unknown, is
        dropped.
      terminals: [N] bool, true end of the task. A step that is also truncated counts as terminated.
      truncations: [N] bool, cut by time. One of the two may be left out: then the last step is an end.
      metadata: schema_version, env, policy, returns, digest and what conversion did; {} in foreign files.
    Raises:
      InputError: one line that names field, index, expected, found and remedy.
    """

    observations: np.ndarray
    actions: np.ndarray | None = None
    rewards: np.ndarray | None = None
    next_observations: np.ndarray = _DERIVED
    terminals: np.ndarray = _DERIVED
    truncations: np.ndarray = _DERIVED
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        arrays, conversion = complete(fields_of(self))
        check_arrays(arrays, observation_only=self.actions is None)
        metadata = dict(self.metadata)
        if conversion:
            metadata["conversion"] = [*metadata.get("conversion", []), conversion]
        _fill(self, arrays, metadata)

    def __len__(self) -> int:
        return len(self.observations)

    def __repr__(self) -> str:
        env = self.metadata.get("env", "unknown")
        return f"Demos({len(self)} transitions, {self.num_episodes} episodes, environment {env})"

    @property
    def _ends(self) -> np.ndarray:
        return np.flatnonzero(self.terminals | self.truncations)

    @property
    def num_episodes(self) -> int:
        """Number of episodes E."""
        return len(self._ends)

    @property
    def episode_starts(self) -> np.ndarray:
        """[E] int64 index of the first step of each episode."""
        return np.concatenate([[0], self._ends[:-1] + 1]).astype(np.int64)[: self.num_episodes]

    @property
    def episode_lengths(self) -> np.ndarray:
        """[E] int64 number of steps of each episode."""
        return self._ends + 1 - self.episode_starts

    @property
    def episode_returns(self) -> np.ndarray | None:
        """[E] float64 undiscounted sum of true rewards of each episode; None where rewards are not known."""
        if self.rewards is None or not rewards_known(self.rewards):
            return None
        return np.add.reduceat(self.rewards.astype(np.float64), self.episode_starts)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over name, dtype, shape and bytes of every array; metadata does not enter."""
        return hash_arrays(fields_of(self)).hexdigest()

    def save(self, path: Source) -> "Demos":
        """As `save`."""
        from iqlearn_jax.data.save import save

        return save(path, self)


def from_arrays(arrays: Mapping[str, Any], metadata: dict[str, Any]) -> Demos:
    """Demos of the format's arrays, without casting or checking them; actions and rewards may be absent."""
    demos = object.__new__(Demos)
    _fill(demos, arrays, metadata)
    return demos


def fields_of(demos: Demos) -> dict[str, Any]:
    """The arrays of the format by name, None where there are none."""
    return {name: getattr(demos, name) for name in FIELDS}


def _fill(demos: Demos, arrays: Mapping[str, Any], metadata: dict[str, Any]) -> None:
    for name in FIELDS:
        object.__setattr__(demos, name, arrays.get(name))
    object.__setattr__(demos, "metadata", metadata)


def in_terms_of(spec: EnvSpec, demos: Demos, source: Source = "demos") -> Demos:
    """The demonstrations with the observations and actions of `spec`, for learning; checked before.

    Raises:
      InputError: they are not of this environment.
    """
    if spec.spaces is None:
        return demos
    return from_arrays(checks.in_terms_of(spec, fields_of(demos), source), demos.metadata)


def in_own_terms(spec: EnvSpec, demos: Demos) -> Demos:
    """The inverse: what a file holds. Observations stay flat."""
    if spec.spaces is None:
        return demos
    return from_arrays(spec.spaces.own_fields(fields_of(demos)), demos.metadata)


def blank_actions(demos: Demos, spec: EnvSpec) -> Demos:
    """The demonstrations with zeros for actions, so that nothing can learn from them."""
    shape = () if spec.discrete else spec.action_low.shape
    actions = np.zeros((len(demos), *shape), np.int32 if spec.discrete else np.float32)
    return from_arrays(fields_of(demos) | {"actions": actions}, demos.metadata)


def validate(
    demos: Demos, spec: EnvSpec | None = None, source: Source = "demos", observation_only: bool = False
) -> None:
    """Checks shapes, dtypes, finiteness, continuity, ends of episodes and (with `spec`) the spaces.

    A step that is terminated and truncated at once is accepted and counts as terminated.

    Args:
      demos: what to check.
      spec: environment to compare with, or None.
      source: file name for messages.
      observation_only: the actions may be absent and are not looked at.
    Raises:
      InputError: one line that names file, field, index, expected, found and remedy.
    """
    check_arrays(fields_of(demos), spec, source, observation_only)


def suspicious(demos: Demos, spec: EnvSpec | None = None) -> list[str]:
    """What is probably wrong with demonstrations although it is no reason to refuse them (`data.suspect`)."""
    return suspicions(fields_of(demos), spec)


def rewards_known(rewards: np.ndarray | None) -> bool:
    """Whether rewards [N] say anything; None or all zeros (a filler) do not."""
    return rewards is not None and bool(rewards.any())


def transitions(demos: Demos) -> Transition:
    """The demonstrations as one Transition of NumPy arrays, leading axis [N], nothing copied.

    `truncated` is false where `terminated` is true. Without actions (observation-only) `action` is
    None, an empty subtree: whoever reads it fails at once instead of learning from a made-up action.
    Rewards that are not known (none, or nothing but zeros) are NaN.
    """
    unknown = None if rewards_known(demos.rewards) else np.full(len(demos), np.nan, np.float32)
    return Transition(
        obs=demos.observations,
        action=demos.actions,
        reward=demos.rewards if unknown is None else unknown,
        next_obs=demos.next_observations,
        terminated=demos.terminals,
        truncated=demos.truncations & ~demos.terminals,
    )


def resolve(path: Source) -> Path:
    """The file that a path means: "bundled:NAME" is one that comes with the library.

    Paths into the folder of those, as configurations stored them when it was only found in the repository,
    are found wherever the library is.

    Raises:
      InputError: no bundled demonstrations of this name.
    """
    text = os.fspath(path)
    if text.startswith(BUNDLED_PREFIX):
        name = text.removeprefix(BUNDLED_PREFIX)
        names = [file.stem for file in BUNDLED.glob("*.npz")]
        if name not in names:
            raise errors.unknown("bundled demonstrations", name, names)
        return BUNDLED / f"{name}.npz"
    moved = BUNDLED / Path(text).name
    in_bundled = Path(text).parent.as_posix().endswith("iqlearn_jax/data/bundled")
    return moved if in_bundled and not Path(text).exists() and moved.is_file() else Path(text)


def absolute(path: Source) -> str:
    """A path to be stored: absolute, so that it holds in any folder; "bundled:NAME" stays.

    Raises:
      InputError: no bundled demonstrations of this name.
    """
    text = os.fspath(path)
    if text.startswith(BUNDLED_PREFIX):
        resolve(text)
        return text
    return str(Path(text).absolute())


def load_demos(path: Source, spec: EnvSpec | None = None, observation_only: bool = False) -> Demos:
    """Reads and validates a demonstration file; unknown keys are ignored and nothing is unpickled.

    Args:
      path: `*.npz` of docs/formats.md, with or without `metadata` and `rewards`; or "bundled:NAME".
      spec: environment to compare with, or None.
      observation_only: the file may lack `actions`; they become None even if it has them, so that no
        method can look at them.
    Raises:
      InputError: missing, foreign, damaged or invalid file; digest or schema that does not match.
    """
    path = resolve(path)
    arrays = read_arrays(path, (*FIELDS, "metadata"))
    metadata = parse_metadata(arrays.pop("metadata", None), path)
    optional = {"rewards", "actions"} if observation_only else {"rewards"}
    check_keys(arrays, [f for f in FIELDS if f not in optional], path, array_names(path))
    check_arrays(arrays, spec, path, observation_only)
    demos = from_arrays(arrays, metadata)
    _check_digest(demos, path)
    return from_arrays(arrays | {"actions": None}, metadata) if observation_only else demos


load = load_demos


def parse_metadata(array: np.ndarray | None, path: Source) -> dict[str, Any]:
    """The metadata object of a file, {} where it has none; InputError for other JSON or another schema."""
    if array is None:
        return {}
    try:
        metadata = json.loads(str(array[()]))
    except (ValueError, RecursionError) as error:
        raise problem(
            path, "metadata", "JSON", str(error)[:120], "write the file with Demos(...).save"
        ) from error
    if not isinstance(metadata, dict):
        actual = type(metadata).__name__
        raise problem(path, "metadata", "a JSON object", actual, "write the file with Demos(...).save")
    if not isinstance(metadata.get("conversion", []), list):
        actual = repr(metadata["conversion"])[:60]
        raise problem(path, "metadata.conversion", "a list", actual, "write the file with Demos(...).save")
    version = metadata.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        remedy = "upgrade iqlearn_jax or write the file again"
        raise problem(path, "metadata.schema_version", str(SCHEMA_VERSION), repr(version), remedy)
    return metadata


def _check_digest(demos: Demos, path: Source) -> None:
    stated = demos.metadata.get("digest")
    if stated is not None and stated != demos.digest:
        remedy = (
            "the arrays changed after they were saved: save them with Demos(...).save, or fetch them anew"
        )
        raise problem(path, "metadata.digest", f"{str(stated)[:16]}…", f"{demos.digest[:16]}…", remedy)


def read_arrays(path: Source, keys: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an npz file without ever unpickling.

    Args:
      path: file to read.
      keys: the arrays wanted; those that the file lacks are left out. None reads all.
    Raises:
      InputError: as `disk.read_npz` refuses.
    """
    try:
        return read_npz(path, keys)
    except Unreadable as error:
        raise problem(path, error.place, error.expected, error.found, error.remedy) from error
