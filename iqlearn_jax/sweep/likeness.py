"""How much a policy's episodes are like the demonstrations: a score in [0, 1] that reads no reward.

Distance is the energy distance between (observation, action) rows of the evaluation's episodes and of the
run's own demonstrations. Each episode is filled up to the time limit with one absorbing point, so that its
length counts. 0 is the distance of a uniform policy or more, 1 none at all. docs/doctor.md says what it is
worth.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from iqlearn_jax.statistics import energy_distance, mean_distance
from iqlearn_jax.sweep.evaluation import kept_steps, uniform_play
from iqlearn_jax.sweep.problem import Problem
from iqlearn_jax.train.evaluate import Played
from iqlearn_jax.train.state import measure_normalization
from iqlearn_jax.types import EnvSpec

ROWS = 512  # of each cloud at most


class Reference(NamedTuple):
    """What one run's policies are compared with.

    Attributes:
      expert: [n, D] standardised rows of its demonstrations; mass: their mean share of the time limit.
      mean, std: [D] of the standardisation.
      away: distance of the absorbing point; worst: distance of the uniform policy.
    """

    expert: NDArray
    mass: float
    mean: NDArray
    std: NDArray
    away: float
    worst: float


def make_judge(problem: Problem) -> Callable[[Played], NDArray | None]:
    """(Played [R, episodes]) -> likeness [R], or None without demonstrations or with images.

    The uniform policy plays at the first call only.
    """
    if not kept_steps(problem):
        return lambda played: None
    references: list[Reference] = []

    def judge(played):
        if not references:
            references.extend(make_reference(problem, run) for run in range(len(problem.seeds)))
        own = (Played(*(x[run] for x in played)) for run in range(len(references)))
        return np.array([likeness(problem, *pair) for pair in zip(references, own, strict=True)])

    return judge


def likeness(problem: Problem, reference: Reference, played: Played) -> float:
    """1 − distance to the expert / the uniform policy's, clipped to [0, 1], of one run's episodes."""
    return float(np.clip(1.0 - distance(problem, reference, played) / reference.worst, 0.0, 1.0))


def distance(problem: Problem, reference: Reference, played: Played) -> float:
    """Distance of one run's episodes to its demonstrations, in standard deviations."""
    rows = (played_rows(problem, played) - reference.mean) / reference.std
    mass = float(np.mean(played.lengths)) / problem.spec.max_episode_steps
    return np.sqrt(energy_distance(rows, reference.expert, (mass, reference.mass), reference.away))


def make_reference(problem: Problem, run: int) -> Reference:
    """One run's own demonstrations and the uniform policy, standardised by both, half each."""
    uniform, expert = uniform_play(problem), expert_rows(problem, run)
    raw = played_rows(problem, uniform)
    found = measure_normalization([[expert, raw]])
    smooth = is_smooth(problem)
    mean, std = np.where(smooth, found["obs_mean"][0], 0.0), np.where(smooth, found["obs_std"][0], 1.0)
    near, far = (expert - mean) / std, (raw - mean) / std
    blank = Reference(near, expert_mass(problem, run), mean, std, mean_distance(near, far), 1.0)
    return blank._replace(worst=max(distance(problem, blank, uniform), 1e-6))


def expert_mass(problem: Problem, run: int) -> float:
    """Mean length of the run's demonstrations over the time limit, at most 1."""
    assert problem.demos is not None and problem.picks is not None
    first = np.asarray(problem.placement.get(problem.picks.initial))[run]
    lengths = problem.demos.episode_lengths[np.searchsorted(problem.demos.episode_starts, first)]
    return min(float(np.mean(lengths)) / problem.spec.max_episode_steps, 1.0)


def expert_rows(problem: Problem, run: int) -> NDArray:
    """[n, D] rows of the run's own demonstrations, at most ROWS of them."""
    demos, picks = problem.demos, problem.placement.get(problem.picks)
    assert demos is not None and demos.actions is not None
    index = np.asarray(picks.indices)[run][: int(np.asarray(picks.count)[run])]
    index = index[:: -(-len(index) // ROWS)]
    return as_rows(problem, demos.observations[index], demos.actions[index])


def played_rows(problem: Problem, played: Played) -> NDArray:
    """[n, D] kept rows of one run's episodes, at most ROWS of them."""
    steps = np.minimum(played.lengths, played.obs.shape[1])
    kept = np.arange(played.obs.shape[1]) < steps[:, None]
    obs, action = played.obs[kept], played.action[kept]
    step = -(-len(obs) // ROWS)
    return as_rows(problem, obs[::step], action[::step])


def as_rows(problem: Problem, obs: NDArray, action: NDArray) -> NDArray:
    """Observations, and actions unless they may not be seen, as vectors [n, D]; integers one-hot."""
    parts = [one_hot(obs, states(problem.spec)) if problem.spec.obs_shape == () else obs]
    if not problem.config.state_only:
        parts.append(one_hot(action, problem.spec.num_actions) if problem.spec.discrete else action)
    return np.concatenate([np.asarray(part, np.float64) for part in parts], axis=1)


def is_smooth(problem: Problem) -> NDArray:
    """[D] Which entries of a row are numbers, to be standardised, and not parts of a one-hot code."""
    spec, shape = problem.spec, problem.spec.obs_shape
    parts = [np.full(states(spec), False) if shape == () else np.full(shape[0], True)]
    if not problem.config.state_only:
        parts.append(np.full(spec.num_actions or len(np.atleast_1d(spec.action_low)), not spec.discrete))
    return np.concatenate(parts)


def states(spec: EnvSpec) -> int:
    """Number of states of a tabular environment."""
    return len(spec.mdp.initial)


def one_hot(index: NDArray, size: int) -> NDArray:
    """[n] integers as [n, size]."""
    return np.eye(size)[index]
