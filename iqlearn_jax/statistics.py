"""Statistics of a few runs: interquartile mean, bootstrap intervals, correlations (Agarwal et al. 2021);
and the energy distance between two samples.

scipy is imported where it is needed: it takes a second, which training should not wait for.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_SEEDS_FOR_INTERVAL = 5


def iqm(x: ArrayLike, axis: int = 0) -> NDArray:
    """Interquartile mean: the mean of what is left after ⌊n/4⌋ values are cut from either end.

    Args:
      x: [R, ...] one value per run.
      axis: the axis of the runs.
    Returns:
      [...] interquartile means.
    """
    from scipy import stats

    return stats.trim_mean(np.asarray(x, float), 0.25, axis=axis)


def bootstrap_ci(x: ArrayLike, seed: int = 0, n: int = 10_000) -> NDArray | None:
    """95 % percentile bootstrap interval of the interquartile mean over runs.

    Args:
      x: [R, ...] one value per run.
      seed: of the resampling; the same input gives the same interval.
      n: number of resamples.
    Returns:
      [2, ...] low and high, or None below 5 runs, where an interval would mislead.
    """
    x = np.asarray(x, float)
    if len(x) < MIN_SEEDS_FOR_INTERVAL:
        return None
    from scipy import stats

    rng = np.random.default_rng(seed)
    result = stats.bootstrap((x,), iqm, n_resamples=n, method="percentile", axis=0, rng=rng, batch=1000)
    return np.stack([result.confidence_interval.low, result.confidence_interval.high])


def known(x: ArrayLike) -> NDArray:
    """The values [k] of runs whose evaluation was finite; a run's files have None (or NaN) for others."""
    x = np.asarray(x, float)
    return x[np.isfinite(x)]


def iqm_and_ci(x: ArrayLike) -> tuple[float | None, list[float] | None]:
    """Interquartile mean and its 95 % interval as a run's files hold them, over the runs that are `known`.

    Args:
      x: [R] one value per run.
    Returns:
      the mean, None where nothing is known; and [low, high], or None below 5 runs (see `bootstrap_ci`).
    """
    x = known(x)
    if not x.size:
        return None, None
    interval = bootstrap_ci(x)
    return float(iqm(x)), None if interval is None else interval.tolist()


def normalize(returns: ArrayLike, expert: float, random: float) -> NDArray:
    """Scores on the scale where a uniform policy has 0 and the expert 1; not clipped.

    Args:
      returns: [...] returns in the environment's units.
      expert: return of the demonstrations.
      random: return of the uniform policy.
    Returns:
      [...] normalised scores; NaN where expert and random coincide.
    """
    span = float(expert) - float(random)
    returns = np.asarray(returns, float)
    return (returns - random) / span if span else np.full_like(returns, np.nan)


def probability_of_improvement(a: ArrayLike, b: ArrayLike) -> float:
    """P(A > B) + P(A = B)/2 for one run drawn from each: the Mann-Whitney U over the number of pairs."""
    from scipy import stats

    a, b = np.ravel(a), np.ravel(b)
    return float(stats.mannwhitneyu(a, b, method="asymptotic").statistic / (a.size * b.size))


def pearson(x: ArrayLike, y: ArrayLike) -> float | None:
    """Linear correlation, or None where it is undefined (fewer than two points, or a constant)."""
    return _correlation("pearsonr", x, y)


def spearman(x: ArrayLike, y: ArrayLike) -> float | None:
    """Rank correlation, or None where it is undefined (fewer than two points, or a constant)."""
    return _correlation("spearmanr", x, y)


def _correlation(name: str, x: ArrayLike, y: ArrayLike) -> float | None:
    x, y = np.ravel(x), np.ravel(y)
    if x.size < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    from scipy import stats

    return float(getattr(stats, name)(x, y).statistic)


def mean_distance(x: NDArray, y: NDArray) -> float:
    """E‖X − Y‖ of independent points of two clouds [n, D] and [m, D]."""
    return float(_distances(x, y).mean())


def _distances(x: NDArray, y: NDArray) -> NDArray:
    from scipy.spatial.distance import cdist

    return cdist(x, y)


def energy_distance(x: NDArray, y: NDArray, masses=(1.0, 1.0), away: float = 0.0) -> float:
    """2E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖ (Székely & Rizzo 2013, eq. 5), at least 0.

    It is 0 of equal distributions only and has no bandwidth to choose. Pairs within a cloud are of different
    points, so that small clouds of one distribution are no further apart than large ones.

    Args:
      x, y: [n, D] and [m, D] samples.
      masses: in [0, 1], of x and of y; what a cloud lacks of 1 lies in one further point.
      away: distance of that point from every sample, in their unit.
    """
    a, b = masses
    across = a * b * mean_distance(x, y) + away * (a * (1 - b) + b * (1 - a))
    within = _within(x, a, away) + _within(y, b, away)
    return max(2.0 * across - within, 0.0)


def _within(x: NDArray, mass: float, away: float) -> float:
    pairs = max(len(x) * (len(x) - 1), 1)
    return mass**2 * float(_distances(x, x).sum()) / pairs + 2.0 * away * mass * (1.0 - mass)
