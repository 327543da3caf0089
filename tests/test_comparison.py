"""Comparisons of methods (`experiments.comparison`) against SciPy and by hand."""

import numpy as np
import pytest
from scipy import stats

from experiments.comparison import compare, compare_table, difference_interval, verdict


def row(method, normalized):
    x = np.sort(normalized)
    cut = len(x) // 4
    return {"method": method, "normalized": list(normalized), "normalized_iqm": float(np.mean(x[cut:-cut]))}


def test_difference_and_its_interval_are_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.8, 0.1, 12), rng.normal(0.5, 0.2, 12)
    found, (low, high) = difference_interval(a, b)
    iqm = lambda x, axis=-1: stats.trim_mean(x, 0.25, axis=axis)  # noqa: E731
    assert found == pytest.approx(iqm(a) - iqm(b))
    other = stats.bootstrap(
        (a, b), lambda x, y, axis: iqm(x, axis) - iqm(y, axis), method="percentile", n_resamples=10_000, rng=1
    ).confidence_interval
    np.testing.assert_allclose([low, high], [other.low, other.high], atol=0.01)


@pytest.mark.parametrize(
    ("ours", "other", "interval", "expected"),
    [
        (0.99, 1.0, (-0.02, -0.005), "tie"),
        (0.97, 1.0, (-0.04, -0.01), "worse"),
        (0.9, 0.5, (0.1, 0.7), "better"),
        (0.9, 0.85, (-0.1, 0.2), "open"),
    ],
)
def test_verdicts(ours, other, interval, expected):
    assert verdict(ours, other, interval) == expected


def test_rows_meet_their_twins_and_the_beaten_ones_stand_first():
    done = {
        "cartpole_full_iq_1": row("iq", [0.5] * 8),
        "cartpole_full_bc_1": row("bc", [0.2] * 8),
        "cartpole_full_edm_1": row("edm", [0.9] * 8),
        "cartpole_full_edm_3": row("edm", [0.9] * 8),  # IQ-Learn has not been run there
        "gridworld_offline": row("iq", [1.0] * 8),
        "gridworld_max_margin": row("max_margin", [1.1] * 8),
    }
    pairs = compare(done)
    found = {(p.where, p.method): (p.verdict, p.probability) for p in pairs}
    assert found == {
        ("cartpole full 1", "bc"): ("better", 1.0),
        ("cartpole full 1", "edm"): ("worse", 0.0),
        ("gridworld", "max_margin"): ("tie", 0.0),
    }
    page = compare_table(pairs)
    assert "beaten in 1 of 3" in page
    lines = [line for line in page.splitlines() if line.startswith("| cartpole")]
    assert "edm" in lines[0] and "-0.400" in lines[0] and "bc" in lines[1]
