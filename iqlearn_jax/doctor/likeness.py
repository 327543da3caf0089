"""How much a policy's episodes are like the demonstrations: a score in [0, 1] that reads no reward.

Distance is the energy distance between (observation, action) rows of the evaluation's episodes and of the
run's own demonstrations. Each episode is filled up to the time limit with one absorbing point, so that its
length counts. 0 is the distance of a uniform policy or more, 1 none at all; NaN where there are too few rows
to tell. docs/doctor.md says what it is worth.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from iqlearn_jax.data.demos import Demos
from iqlearn_jax.data.sampling import measure_normalization
from iqlearn_jax.loops.play import Played
from iqlearn_jax.statistics import energy_distance, mean_distance
from iqlearn_jax.types import EnvSpec

ROWS = 512  # of each cloud at most
SPLITS, RARE = 32, 0.9  # of the expert's rows into two clouds; share of them that are nearer than `noise`
TELLING = 2 / 3  # of the uniform policy's distance, above which noise leaves nothing to tell


class Demonstrated(NamedTuple):
    """What the runs saw of the demonstrations.

    Attributes:
      spec: of the environment.
      demos: the whole file.
      rows: [R] arrays of the numbers of the steps that each run sees.
      initial: [R] arrays of the first steps of its episodes.
      state_only: whether actions may not be seen.
    """

    spec: EnvSpec
    demos: Demos
    rows: Sequence[NDArray]
    initial: Sequence[NDArray]
    state_only: bool


class Reference(NamedTuple):
    """What one run's policies are compared with.

    Attributes:
      expert: [n, D] standardised rows of its demonstrations; mass: their mean share of the time limit.
      mean, std: [D] of the standardisation.
      away: distance of the absorbing point; worst: distance of the uniform policy.
      noise: square of the distance between two clouds of the expert's own rows, for one row in each.
    """

    expert: NDArray
    mass: float
    mean: NDArray
    std: NDArray
    away: float
    worst: float
    noise: float = 0.0


def make_judge(data: Demonstrated, uniform: Callable[[], Played]) -> Callable[[Played], NDArray]:
    """(Played [R, episodes]) -> likeness [R].

    Args:
      uniform: plays the uniform policy; called at the first judgement only.
    """
    references: list[Reference] = []

    def judge(played):
        if not references:
            random = uniform()
            references.extend(make_reference(data, run, random) for run in range(len(data.rows)))
        runs = (Played(*(x[run] for x in played)) for run in range(len(references)))
        return np.array([likeness(data, *pair) for pair in zip(references, runs, strict=True)])

    return judge


def likeness(data: Demonstrated, reference: Reference, played: Played) -> float:
    """1 − distance to the expert / the uniform policy's, clipped to [0, 1], of one run's episodes.

    NaN where the expert's own episodes, so few of them, may be nearly as far from it as a uniform policy's,
    and these are no further.
    """
    found = distance(data, reference, played)
    chance = by_chance(reference, len(played_rows(data, played)))
    if chance > TELLING * reference.worst and found <= 0.5 * reference.worst + chance:
        return float("nan")
    return float(np.clip(1.0 - found / reference.worst, 0.0, 1.0))


def by_chance(reference: Reference, rows: int) -> float:
    """How far so many of the expert's own rows would lie from it, in one case of ten further."""
    return np.sqrt(reference.noise * (1.0 / rows + 1.0 / len(reference.expert)))


def distance(data: Demonstrated, reference: Reference, played: Played) -> float:
    """Distance of one run's episodes to its demonstrations, in standard deviations."""
    rows = (played_rows(data, played) - reference.mean) / reference.std
    mass = float(np.mean(played.lengths)) / data.spec.max_episode_steps
    return np.sqrt(energy_distance(rows, reference.expert, (mass, reference.mass), reference.away))


def make_reference(data: Demonstrated, run: int, uniform: Played) -> Reference:
    """One run's own demonstrations and the uniform policy, standardised by both, half each."""
    expert, raw = expert_rows(data, run), played_rows(data, uniform)
    measured, smooth = measure_normalization([[expert, raw]]), is_smooth(data)
    mean, std = np.where(smooth, measured["obs_mean"][0], 0.0), np.where(smooth, measured["obs_std"][0], 1.0)
    near, far = (expert - mean) / std, (raw - mean) / std
    blank = Reference(near, expert_mass(data, run), mean, std, mean_distance(near, far), 1.0)
    return blank._replace(worst=max(distance(data, blank, uniform), 1e-6), noise=noise_of(blank))


def noise_of(reference: Reference) -> float:
    """Of the energy distance of two clouds of n and m of the expert's rows, by (1/n + 1/m) of which it falls.

    From halves of its rows (the null distribution of nm/(n + m)·D² is that of a test of equality: Székely &
    Rizzo 2013, §6).
    """
    rng, size = np.random.default_rng(0), len(reference.expert)
    if size < 2:
        return float("inf")
    first = size // 2
    masses, away = (reference.mass, reference.mass), reference.away
    halves = (np.split(rng.permutation(reference.expert), [first]) for _ in range(SPLITS))
    squares = [energy_distance(x, y, masses, away) for x, y in halves]
    return float(np.quantile(squares, RARE)) / (1.0 / first + 1.0 / (size - first))


def expert_mass(data: Demonstrated, run: int) -> float:
    """Mean length of the run's demonstrations over the time limit, at most 1."""
    episodes = np.searchsorted(data.demos.episode_starts, data.initial[run])
    return min(float(np.mean(data.demos.episode_lengths[episodes])) / data.spec.max_episode_steps, 1.0)


def expert_rows(data: Demonstrated, run: int) -> NDArray:
    """[n, D] rows of the run's own demonstrations, at most ROWS of them."""
    assert data.demos.actions is not None
    index = data.rows[run]
    index = index[:: -(-len(index) // ROWS)]
    return as_rows(data, data.demos.observations[index], data.demos.actions[index])


def played_rows(data: Demonstrated, played: Played) -> NDArray:
    """[n, D] kept rows of one run's episodes, at most ROWS of them."""
    steps = np.minimum(played.lengths, played.obs.shape[1])
    kept = np.arange(played.obs.shape[1]) < steps[:, None]
    obs, action = played.obs[kept], played.action[kept]
    step = -(-len(obs) // ROWS)
    return as_rows(data, obs[::step], action[::step])


def as_rows(data: Demonstrated, obs: NDArray, action: NDArray) -> NDArray:
    """Observations, and actions unless they may not be seen, as vectors [n, D]; integers one-hot."""
    parts = [one_hot(obs, states(data.spec)) if data.spec.obs_shape == () else obs]
    if not data.state_only:
        parts.append(one_hot(action, data.spec.num_actions) if data.spec.discrete else action)
    return np.concatenate([np.asarray(part, np.float64) for part in parts], axis=1)


def is_smooth(data: Demonstrated) -> NDArray:
    """[D] Which entries of a row are numbers, to be standardised, and not parts of a one-hot code."""
    spec, shape = data.spec, data.spec.obs_shape
    parts = [np.full(states(spec), False) if shape == () else np.full(shape[0], True)]
    if not data.state_only:
        parts.append(np.full(spec.num_actions or len(np.atleast_1d(spec.action_low)), not spec.discrete))
    return np.concatenate(parts)


def states(spec: EnvSpec) -> int:
    """Number of states of a tabular environment."""
    return len(spec.mdp.initial)


def one_hot(index: NDArray, size: int) -> NDArray:
    """[n] integers as [n, size]."""
    return np.eye(size)[index]
