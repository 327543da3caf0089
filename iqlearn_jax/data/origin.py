"""Vectors in float64 that vary too little, so far from 0, for float32: an origin is subtracted first."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FAR = 2.0**14  # deviations from 0 beyond which float32 rounds a thousandth of a deviation off, or more
BEYOND = 2.0**49  # beyond which float64 does, too: nothing is left to be kept


def find_origin(sources: Sequence[NDArray]) -> NDArray | None:
    """What to subtract from vectors in float64, so that float32 holds how they vary; None where it does so.

    Args:
      sources: [n, D] each, that count alike.
    Returns:
      [D] float64: the mean of entries that need it, 0 of the others.
    """
    if not any(source.dtype == np.float64 for source in sources):
        return None
    mean, spread = moments(sources)
    far = (np.abs(mean) > FAR * spread) & (np.abs(mean) < BEYOND * spread)
    return np.where(far, mean, 0.0) if far.any() else None


def moments(sources: Sequence[NDArray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [D] of the mixture in which each source [n, D] has the same weight.

    In float64: a sum of float32 numbers far from 0 would be further off than they vary.
    """
    means = np.stack([obs.mean(axis=0, dtype=np.float64) for obs in sources])
    variances = np.stack([obs.var(axis=0, dtype=np.float64) for obs in sources])
    return means.mean(axis=0), np.sqrt(variances.mean(axis=0) + means.var(axis=0))
