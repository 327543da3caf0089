"""Demonstrations as compiled code reads them, which of them a run may see, and how batches are drawn."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from iqlearn_jax.data.demos import Demos, fields_of, from_arrays, transitions
from iqlearn_jax.data.frames import FrameRows, frame_rows, to_transitions
from iqlearn_jax.data.origin import moments
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import Batch, EnvSpec, Transition

Rows = Transition | FrameRows  # [N] transitions of all demonstrations, in file order


def make_rows(demos: Demos, spec: EnvSpec) -> Rows:
    """Demonstrations that were checked against `spec` as NumPy arrays, images with each frame once."""
    if len(spec.obs_shape) == 3:
        return frame_rows(demos, spec.frame_stack)
    return transitions(relative_demos(demos, spec))


def relative_demos(demos: Demos, spec: EnvSpec) -> Demos:
    """Demonstrations with observations as learning sees them (`EnvSpec.relative`), in float32."""
    if spec.obs_origin is None and demos.observations.dtype != np.float64:
        return demos
    arrays = fields_of(demos)
    seen = {name: spec.relative(arrays[name]) for name in ("observations", "next_observations")}
    return from_arrays(arrays | seen, demos.metadata)


def take_rows(rows: Rows, index: jax.Array) -> Transition:
    """Transitions number `index` [B]."""
    if isinstance(rows, FrameRows):
        facts = jax.tree.map(lambda x: x[index], rows.facts)
        return to_transitions(facts, rows.frames.__getitem__, rows.stack)
    return jax.tree.map(lambda x: x[index], rows)


def take_next_actions(rows: Rows, index: jax.Array) -> jax.Array:
    """Actions [B, ...] of the rows after number `index` [B]; another episode's where `index` ends one."""
    action = rows.facts.action if isinstance(rows, FrameRows) else rows.action
    return action[jnp.minimum(index + 1, action.shape[0] - 1)]


def count_rows(rows: Rows) -> int:
    """N, the number of transitions."""
    return (rows.facts if isinstance(rows, FrameRows) else rows).terminated.shape[0]


class Selection(NamedTuple):
    """Indices into the transition arrays of one `Demos`.

    Attributes:
      indices: [n] int32 kept transitions, episode by episode, in time order.
      initial: [trajectories] int32 first step of each chosen episode (its start observation).
    """

    indices: np.ndarray
    initial: np.ndarray


def select(demos: Demos, trajectories: int, subsample: int = 1, seed: int = 0) -> Selection:
    """Chooses episodes without replacement and keeps every `subsample`-th step of each.

    The kept steps of an episode start at a random offset in [0, min(subsample, its length)), so that
    each episode gives at least one transition. Its last step is always kept where `terminals` is true,
    on top of the grid: without it no method could learn where the task ends. For one seed, the
    episodes and offsets of k trajectories are the first k of those of k + 1.

    Args:
      demos: validated demonstrations.
      trajectories: number of episodes; 0: all of them.
      subsample: keep one step in so many, >= 1.
      seed: the same seed gives the same selection.
    Returns:
      indices [n] and initial [trajectories].
    Raises:
      InputError: counts out of range.
    """
    if not 0 <= trajectories <= demos.num_episodes:
        expected = f"1..{demos.num_episodes} (the file has {demos.num_episodes} episodes), or 0 for all"
        raise InputError(
            f"demos.trajectories: expected {expected}, found {trajectories}; ask for fewer or record more"
        )
    if subsample < 1:
        raise InputError(f"demos.subsample: expected >= 1, found {subsample}; 1 keeps every step")
    rng = np.random.default_rng(seed)
    episodes = rng.permutation(demos.num_episodes)[: trajectories or demos.num_episodes]
    fractions = rng.random(demos.num_episodes)
    starts, lengths = demos.episode_starts, demos.episode_lengths
    kept = []
    for episode in episodes:
        start, stop = starts[episode], starts[episode] + lengths[episode]
        offset = int(fractions[episode] * min(subsample, lengths[episode]))
        kept.append(_thin(start + offset, stop, subsample, bool(demos.terminals[stop - 1])))
    return Selection(np.concatenate(kept).astype(np.int32), starts[episodes].astype(np.int32))


def _thin(first: int, stop: int, subsample: int, terminal: bool) -> np.ndarray:
    """[k] every `subsample`-th index from `first`, with the last one added if it is terminal."""
    indices = np.arange(first, stop, subsample)
    if terminal and indices[-1] != stop - 1:
        return np.append(indices, stop - 1)
    return indices


def stack_selections(selections: Sequence[Selection | np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Selections of many runs over one shared array, as one rectangle.

    Args:
      selections: R selections (their `indices` are used), or R index arrays.
    Returns:
      indices: [R, Nmax] int32; a row is padded with its own first index, always safe to gather.
      counts: [R] int32 number of true entries; sample positions in [0, counts[r]).
    Raises:
      InputError: no selections, or an empty one.
    """
    rows = [np.asarray(s.indices if isinstance(s, Selection) else s, np.int32) for s in selections]
    if not rows or any(len(row) == 0 for row in rows):
        raise InputError(
            "selections: expected at least one, none of them empty; found none; select some transitions"
        )
    counts = np.array([len(row) for row in rows], np.int32)
    stacked = np.repeat(np.array([[row[0]] for row in rows], np.int32), counts.max(), axis=1)
    for row, target in zip(rows, stacked, strict=True):
        target[: len(row)] = row
    return stacked, counts


class Others(NamedTuple):
    """Rows of other data, behind the demonstrations: the first [], their number [], first steps [E]."""

    first: jax.Array
    size: jax.Array
    initial: jax.Array


class DemoIndices(struct.PyTreeNode):
    """Which transitions of the shared demonstrations a run may see.

    Attributes:
      indices: [n] int32, padded to the longest run; the first `count` are valid.
      count: [] int32.
      initial: [trajectories] int32 first steps of its episodes.
      others: which rows are other data (`data.others`); None where there are none.
    """

    indices: jax.Array
    count: jax.Array
    initial: jax.Array
    others: Others | None = None


def pick_demos(config, demos: Demos, seeds: np.ndarray) -> DemoIndices:
    """The trajectories of each run, and the steps in them, drawn by its seed. Leading axis R."""
    chosen = [select(demos, config.demos.trajectories, config.demos.subsample, int(seed)) for seed in seeds]
    indices, counts = stack_selections(chosen)
    return DemoIndices(
        indices=jnp.asarray(indices),
        count=jnp.asarray(counts),
        initial=jnp.asarray(np.stack([selection.initial for selection in chosen])),
    )


def demonstrated_obs(demos: Demos, chosen: DemoIndices) -> list[np.ndarray]:
    """Observations and successors [2n, ...] that each run's demonstrations show, of `chosen` [R]."""
    valid = [row[:n] for row, n in zip(np.asarray(chosen.indices), np.asarray(chosen.count), strict=True)]
    return [np.concatenate([demos.observations[row], demos.next_observations[row]]) for row in valid]


def sample_expert(rows: Rows, chosen: DemoIndices, key: jax.Array, size: int) -> Batch:
    """Uniform sample of one run's demonstrations: transitions, the actions after them, start observations."""
    row_key, initial_key = jax.random.split(key)
    index = chosen.indices[jax.random.randint(row_key, (size,), 0, chosen.count)]
    initial = jax.random.choice(initial_key, chosen.initial, (size,))
    return Batch(
        expert=take_rows(rows, index),
        next_action=take_next_actions(rows, index),
        initial=take_rows(rows, initial).obs,
    )


def sample_windows(
    rows: Rows, chosen: DemoIndices, key: jax.Array, size: int, length: int, from_start: bool = False
) -> Batch:
    """Windows [size, length] of successive steps in the file, from uniformly drawn ones of one run's.

    A window may run over the end of its episode, which its `terminated` and `truncated` then show inside it.

    Args:
      from_start: from the first steps of the run's episodes.
    """
    starts = chosen.initial if from_start else chosen.indices
    count = len(chosen.initial) if from_start else chosen.count
    first = starts[jax.random.randint(key, (size,), 0, count)]
    index = jnp.minimum(first[:, None] + jnp.arange(length), count_rows(rows) - 1)
    flat = take_rows(rows, index.ravel())
    return Batch(expert=jax.tree.map(lambda x: x.reshape(size, length, *x.shape[1:]), flat))


NORMALIZATION = ("obs_mean", "obs_std", "obs_turn")  # the last one with `config.whiten` only
MIN_STD = 1e-3  # a direction of standardised observations that varies less keeps its scale
ROUNDING = 2.0**-20  # an entry that varies less than this share of its size varies by float32's rounding
NOTHING = 1e-15  # and by float64's, where the numbers that made it were near 1


def identity_normalization(
    runs: int, obs_shape: tuple[int, ...], whiten: bool = False
) -> dict[str, np.ndarray]:
    """Statistics that leave observations as they are: [R, D] for vectors, [R] where there is nothing to
    standardise, with `whiten` also [R, D, D]."""
    shape = (runs, *obs_shape) if len(obs_shape) == 1 else (runs,)
    statistics = {"obs_mean": np.zeros(shape, np.float32), "obs_std": np.ones(shape, np.float32)}
    if whiten:
        statistics["obs_turn"] = np.tile(np.eye(*obs_shape, dtype=np.float32), (runs, 1, 1))
    return statistics


def measure_normalization(seen: list[list[np.ndarray]], whiten: bool = False) -> dict[str, np.ndarray]:
    """Statistics [R, D] from each run's sources, [n, D] each, that count alike in mean and deviation; with
    `whiten` also the matrix [R, D, D] that leaves standardised observations uncorrelated.

    Whatever the unit of an entry, it is standardised, unless it varies by rounding only: then it keeps its
    scale, or one in which rounding is small.
    """
    mean, spread = (np.stack(columns) for columns in zip(*map(moments, seen), strict=True))
    unscaled = np.maximum(ROUNDING * np.hypot(mean, spread), 1.0)
    std = np.where(varies(mean, spread), spread, unscaled)
    statistics = {"obs_mean": mean, "obs_std": std}
    if whiten:
        scaled = [[(x - m) / s for x in sources] for sources, m, s in zip(seen, mean, std, strict=True)]
        statistics["obs_turn"] = np.stack([whitening_matrix(sources) for sources in scaled])
    return {name: values.astype(np.float32) for name, values in statistics.items()}


def varies(mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Which entries [...] vary by more than rounding, of `moments`, whatever their unit."""
    return spread > np.maximum(ROUNDING * np.hypot(mean, spread), NOTHING)


def rounded(sources: list[np.ndarray]) -> np.ndarray:
    """Numbers of the entries that vary by no more than float32's rounding: what they were is lost."""
    mean, spread = moments(sources)
    return np.flatnonzero((spread > 0) & (spread <= ROUNDING * np.abs(mean)))


def whitening_matrix(sources: list[np.ndarray]) -> np.ndarray:
    """The matrix W [D, D] with which x @ W has covariance 1, for x from sources that count alike.

    Directions in which they vary less than MIN_STD keep their scale.
    """
    covariance = np.mean([x.T @ x / len(x) for x in sources], axis=0)  # x is centred over all sources
    variance, directions = np.linalg.eigh(covariance)
    return directions / np.where(variance > MIN_STD**2, np.sqrt(np.maximum(variance, 0)), 1.0)


def check_normalization(
    statistics: dict[str, np.ndarray], like: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The statistics themselves; those of other runs or another environment have other shapes than `like`.

    Raises:
      InputError: other names or shapes.
    """
    shapes, expected = ({name: x.shape for name, x in arrays.items()} for arrays in (statistics, like))
    if shapes != expected:
        raise InputError(
            f"normalization.npz holds {shapes}; expected {expected}; restore the file or start a new folder"
        )
    return statistics
