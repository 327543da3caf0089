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
    from iqlearn_jax.data.sampling import (
        moments,  # here, as sampling stands on demonstrations, which need this
    )

    mean, spread = moments(list(sources))
    far = (np.abs(mean) > FAR * spread) & (np.abs(mean) < BEYOND * spread)
    return np.where(far, mean, 0.0) if far.any() else None
