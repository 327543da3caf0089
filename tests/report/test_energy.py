"""Energy distance against closed forms."""

import numpy as np
import pytest

from iqlearn_jax.statistics import energy_distance


def test_two_points_at_a_distance():
    """2·5 − 0 − 0."""
    assert energy_distance(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])) == pytest.approx(10.0)


def test_two_normal_distributions():
    """N(0,1) and N(d,1): 2E|Z√2 + d| − 2·2/√π, by the mean of a folded normal."""
    from scipy import stats

    rng, d = np.random.default_rng(0), 1.5
    x, y = rng.normal(size=(2000, 1)), d + rng.normal(size=(2000, 1))
    across = stats.foldnorm(d / np.sqrt(2), scale=np.sqrt(2)).mean()
    assert energy_distance(x, y) == pytest.approx(2 * across - 4 / np.sqrt(np.pi), abs=0.06)


def test_small_samples_of_one_distribution_are_not_apart_on_average():
    """Without the correction the mean would be E‖X − X'‖·(1/5 + 1/5) = 0.45; clipping at 0 leaves some."""
    rng = np.random.default_rng(1)
    distances = [energy_distance(rng.normal(size=(5, 1)), rng.normal(size=(5, 1))) for _ in range(500)]
    assert np.mean(distances) < 0.25


def test_the_further_point_holds_what_is_missing():
    """One place, masses 0.8 and 0.3, the rest 2 away: 2·2·(0.8·0.7 + 0.2·0.3) − 2·2·0.8·0.2 − 2·2·0.3·0.7."""
    x = np.zeros((3, 2))
    assert energy_distance(x, x, (0.8, 0.3), away=2.0) == pytest.approx(2 * 2 * (0.8 - 0.3) ** 2)
    assert energy_distance(x, x, (0.8, 0.8), away=2.0) == 0.0
