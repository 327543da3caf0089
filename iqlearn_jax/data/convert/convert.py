"""Foreign demonstrations into the project's format, with a record of what was done to them."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iqlearn_jax.data.cast import cast
from iqlearn_jax.data.checks import Source, check_arrays, problem
from iqlearn_jax.data.convert.assemble import Choice, assemble
from iqlearn_jax.data.convert.layouts import Arrays, locate, open_source
from iqlearn_jax.data.convert.mend import Mends, mend
from iqlearn_jax.data.convert.names import given_names
from iqlearn_jax.data.demos import Demos, from_arrays
from iqlearn_jax.data.suspect import suspicions, warn
from iqlearn_jax.types import EnvSpec

IN_MEMORY = "arrays"  # what messages call a source that is no file


def convert_demos(
    source: Source | Arrays,
    *,
    map: Mapping[str, str] | None = None,
    episode_starts: str | None = None,
    episode_ends: str | None = None,
    lengths: str | None = None,
    timeouts: str | None = None,
    observation_only: bool = False,
    spec: EnvSpec | None = None,
    clip_actions: bool = False,
    rescale_actions: bool = False,
    max_episode_steps: int | None = None,
    timeouts_win: bool = False,
    drop_last: bool = False,
    max_episodes: int | None = None,
    min_return: float | None = None,
    policy: str | None = None,
) -> Demos:
    """Reads any supported layout, recognised by content, and brings it into the format.

    Layouts: the table of docs/demonstrations.md. Whatever has other names is read with `map` and the
    arguments that say where episodes end. Numbers are cast to float32 / int32 / bool where that keeps them.
    Successors that a file lacks are the next observations of their episodes; the last step of one that is cut
    is dropped then. What looks wrong in the result is warned of (`data.suspect`).

    Args:
      source: file, "bundled:NAME", folder of a Minari or LeRobot data set, id of a local Minari data set; or
        arrays [N, ...] by name, or a list with a dict of arrays [T, ...] for each episode.
      map: {field of the format: name in the source}; names joined by "+" are put side by side, "" leaves out.
        Besides the six fields there are `dones` (ends of either kind) and `episode` (a number for each step).
      episode_starts: name of flags of first steps [N], or of their positions [E].
      episode_ends: name of flags of last steps [N], or of their positions [E].
      lengths: name of the episodes' lengths [E], in steps.
      timeouts: name of flags [N] of steps that time cut; the other ends are the task's then.
      observation_only: leave actions out; the source may lack them.
      spec: environment that the demonstrations must fit; needed for `clip_actions` and `rescale_actions`.
      clip_actions: clip continuous actions to the bounds (recorded in the metadata) instead of refusing.
      rescale_actions: map actions that were normalised to ±1 onto the bounds (recorded).
      max_episode_steps: a terminal at this step of its episode, counted from 1, is a truncation.
      timeouts_win: steps marked as terminals and as truncations are truncations only (stable-baselines3).
      drop_last: leave out the last step of each truncated episode, whose successor the file does not have;
        the step before ends the episode then. A terminated one keeps its last step: nothing follows it.
      max_episodes: keep only so many episodes, from the first; None keeps all.
      min_return: keep only episodes of at least this sum of rewards; None keeps all.
      policy: who acted, for the metadata.
    Returns:
      validated demonstrations; `metadata["conversion"]` has one entry per conversion.
    Raises:
      InputError: unreadable, unsafe or invalid input.
    """
    path: Source = locate(source) if isinstance(source, str | os.PathLike) else IN_MEMORY
    stored = path is not IN_MEMORY
    _check_limits(path, max_episodes=max_episodes, max_episode_steps=max_episode_steps)
    ends = {"episode_starts": episode_starts, "episode_ends": episode_ends, "lengths": lengths}
    names = given_names(map, **ends, timeouts=timeouts)
    choice = Choice(names, observation_only, max_episodes, min_return)
    with open_source(path if stored else source, max_episodes) as recording:
        arrays, notes = assemble(recording, choice, path)
    arrays = cast(arrays, path)
    check_arrays(arrays, None, path, observation_only)
    mends = Mends(clip_actions, rescale_actions, max_episode_steps, timeouts_win, drop_last)
    arrays, changes = mend(arrays, mends, spec, path)
    record = {"format": recording.format} | notes | {"source": Path(path).name}
    record |= {"source_sha256": _sha256(path) if stored else None} | changes
    metadata = recording.metadata | ({"env": spec.id} if spec else {})
    metadata |= {"policy": policy} if policy else {}
    metadata["conversion"] = [*metadata.get("conversion", []), record]
    check_arrays(arrays, spec, path, observation_only)
    warn(path, _decided(record) + suspicions(arrays, spec))
    return from_arrays(arrays, metadata)


convert = convert_demos


def _check_limits(path: Source, **limits: int | None) -> None:
    for name, value in limits.items():
        if value is not None and value < 1:
            raise problem(path, name, ">= 1", str(value), "leave it out for no limit")


def _decided(record: Mapping[str, Any]) -> list[str]:
    """What a file did not say and was decided, a line each."""
    lines = []
    if record.get("dropped_steps"):
        lines.append(f"no successors: the last step of {record['dropped_steps']} cut episodes is dropped")
    if record.get("ends_without_reason"):
        lines.append(
            f"it does not say why episodes end: all {record['ends_without_reason']} ends are taken as cut by "
            "time (--map terminals=KEY or --timeouts=KEY says more)"
        )
    return lines


def _sha256(path: Source) -> str | None:
    if os.path.isdir(path):
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
