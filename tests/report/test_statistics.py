import json

import numpy as np
import pytest

from iqlearn_jax.statistics import (
    bootstrap_ci,
    iqm,
    iqm_and_ci,
    normalize,
    pearson,
    probability_of_improvement,
    spearman,
)


def test_iqm_cuts_a_quarter_from_either_end():
    assert iqm([100, 1, 2, 3, 4, 5, 6, 7]) == 4.5  # (3 + 4 + 5 + 6) / 4
    assert iqm([3, 1, 2]) == 2  # nothing to cut below four values
    np.testing.assert_array_equal(iqm([[1, 10], [2, 20], [3, 30], [50, 900]]), [2.5, 25])


def test_bootstrap_interval_is_that_of_all_resamples():
    """All 5^5 resamples of five values can be listed; the interval's ends are their percentiles."""
    x = np.array([0.0, 1.0, 3.0, 7.0, 20.0])
    every = np.stack(np.meshgrid(*[x] * 5), -1).reshape(-1, 5)
    expected = np.percentile(np.sort(every, 1)[:, 1:4].mean(1), [2.5, 97.5])
    np.testing.assert_allclose(bootstrap_ci(x, n=40_000), expected, atol=0.35)


def test_bootstrap_is_repeatable_and_vectorised():
    x = np.random.default_rng(0).normal(size=(8, 3))
    np.testing.assert_array_equal(bootstrap_ci(x), bootstrap_ci(x))
    assert bootstrap_ci(x).shape == (2, 3)
    assert (bootstrap_ci(x, n=500)[0] < iqm(x)).all() and (iqm(x) < bootstrap_ci(x, n=500)[1]).all()


def test_no_interval_below_five_values():
    assert bootstrap_ci([1.0, 2.0, 3.0, 4.0]) is None
    np.testing.assert_array_equal(bootstrap_ci([7.0] * 5), [7, 7])


def test_iqm_and_interval_as_files_hold_them():
    x = np.random.default_rng(0).normal(size=8)
    assert json.loads(json.dumps(iqm_and_ci(x))) == [iqm(x), bootstrap_ci(x).tolist()]
    assert iqm_and_ci([1.0, 2.0, 6.0]) == (3.0, None)


def test_normalize():
    np.testing.assert_allclose(normalize([20, 500, 740, -100], 500, 20), [0, 1, 1.5, -0.25])
    assert np.isnan(normalize([1.0, 2.0], 3.0, 3.0)).all()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [([1, 2], [0, 1], 0.875), ([5, 6], [1, 2], 1.0), ([1, 1], [1, 1], 0.5), ([0], [1, 2, -1], 1 / 3)],
)
def test_probability_of_improvement(a, b, expected):
    assert probability_of_improvement(a, b) == pytest.approx(expected)


def test_correlations():
    x, y = [1, 2, 3, 4], [1, 4, 9, 16]
    assert pearson(x, y) == pytest.approx(25 / np.sqrt(5 * 129))
    assert spearman(x, y) == pytest.approx(1)
    assert spearman(x, [1, 2, 4, 3]) == pytest.approx(0.8)  # 1 − 6·2/(4·15)


@pytest.mark.parametrize("correlation", [pearson, spearman])
def test_undefined_correlation_is_none(correlation):
    assert correlation([1, 1, 1], [1, 2, 3]) is None
    assert correlation([1], [2]) is None
