"""Statistics that standardise vector observations, measured for each run."""

import numpy as np

from iqlearn_jax.errors import InputError

NORMALIZATION = ("obs_mean", "obs_std", "obs_turn")  # the last one with `config.whiten` only
MIN_STD = 1e-3  # an observation entry that varies less is left unscaled


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
    `whiten` also the matrix [R, D, D] that leaves standardised observations uncorrelated."""
    mean, spread = (np.stack(columns) for columns in zip(*map(moments, seen), strict=True))
    std = np.where(spread > MIN_STD, spread, 1.0)
    statistics = {"obs_mean": mean, "obs_std": std}
    if whiten:
        scaled = [[(x - m) / s for x in sources] for sources, m, s in zip(seen, mean, std, strict=True)]
        statistics["obs_turn"] = np.stack([whitening_matrix(sources) for sources in scaled])
    return {name: values.astype(np.float32) for name, values in statistics.items()}


def whitening_matrix(sources: list[np.ndarray]) -> np.ndarray:
    """The matrix W [D, D] with which x @ W has covariance 1, for x from sources that count alike.

    Directions in which they vary less than MIN_STD keep their scale.
    """
    doubles = [x.astype(np.float64) for x in sources]
    covariance = np.mean([x.T @ x / len(x) for x in doubles], axis=0)  # x is centred over all sources
    variance, directions = np.linalg.eigh(covariance)
    return directions / np.where(variance > MIN_STD**2, np.sqrt(np.maximum(variance, 0)), 1.0)


def moments(sources: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [D] of the mixture in which each source [n, D] has the same weight."""
    means = np.stack([obs.mean(axis=0) for obs in sources])
    variances = np.stack([obs.var(axis=0) for obs in sources])
    return means.mean(axis=0), np.sqrt(variances.mean(axis=0) + means.var(axis=0))


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
