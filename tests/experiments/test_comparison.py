"""Comparisons of methods (`lib.comparison`) against SciPy and by hand."""

import numpy as np
import pytest
from scipy import stats

from experiments.lib.comparison import compare, counts, difference_interval, verdict, verdicts


def row(method, normalized):
    x = np.sort(normalized)
    cut = len(x) // 4
    middle = x[cut : len(x) - cut]
    return {"method": method, "normalized": list(normalized), "normalized_iqm": float(np.mean(middle))}


def test_difference_and_its_interval_are_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.8, 0.1, 12), rng.normal(0.5, 0.2, 12)
    difference, (low, high) = difference_interval(a, b)
    iqm = lambda x, axis=-1: stats.trim_mean(x, 0.25, axis=axis)  # noqa: E731
    assert difference == pytest.approx(iqm(a) - iqm(b))
    other = stats.bootstrap(
        (a, b), lambda x, y, axis: iqm(x, axis) - iqm(y, axis), method="percentile", n_resamples=10_000, rng=1
    ).confidence_interval
    np.testing.assert_allclose([low, high], [other.low, other.high], atol=0.01)


@pytest.mark.parametrize(
    ("ours", "other", "interval", "expected"),
    [
        (0.99, 1.0, (-0.02, -0.005), "equal"),
        (0.97, 1.0, (-0.04, -0.01), "worse"),
        (0.9, 0.5, (0.1, 0.7), "better"),
        (0.9, 0.85, (-0.1, 0.2), "open"),
        (0.9, 0.5, None, "none"),
        (0.99, 1.0, None, "none"),
    ],
)
def test_verdicts(ours, other, interval, expected):
    assert verdict(ours, other, interval) == expected


def test_rows_meet_their_twins_and_the_beaten_ones_are_named():
    done = {
        "cartpole_full_iq_1": row("iq", [0.5] * 8),
        "cartpole_full_bc_1": row("bc", [0.2] * 8),
        "cartpole_full_edm_1": row("edm", [0.9] * 8),
        "cartpole_full_edm_3": row("edm", [0.9] * 8),  # IQ-Learn has not been run there
        "cartpole_full_iq_w1_1": row("iq_w1", [0.9] * 8),  # no other method
        "gridworld_offline": row("iq", [1.0] * 8),
        "gridworld_max_margin": row("max_margin", [1.1] * 8),
    }
    pairs = compare(done)
    found = {(p.where, p.method): (p.verdict, p.probability) for p in pairs}
    assert found == {
        ("cartpole full 1", "bc"): ("better", 1.0),
        ("cartpole full 1", "edm"): ("worse", 0.0),
        ("gridworld", "max_margin"): ("equal", 0.0),
    }
    words = verdicts(pairs)
    assert "beaten in 1 of 3" in words and "better in 1, equal (both ≥ 0.98) in 1" in words
    assert "Not counted" not in words
    assert words.endswith("It is beaten by EDM on CartPole, whole, 1: -0.400 [-0.400, -0.400].\n")
    assert counts(pairs, "edm") == "0, 0, 0, 1" and counts(pairs, "bc") == "1, 0, 0, 0"
    assert counts(pairs, "gail") == "–" and verdicts([]) == ""


@pytest.mark.parametrize(("ours", "other"), [(2, 2), (10, 4), (4, 10)])
def test_few_seeds_on_a_side_give_a_difference_and_no_verdict(ours, other):
    done = {
        "hopper_online_iq": row("iq", [0.5] * ours),
        "hopper_online_dac": row("dac", [0.4] * other),
        "acrobot_online_iq": row("iq", [0.5] * 5),
        "acrobot_online_dac": row("dac", [0.4] * 5),
    }
    pairs = compare(done)
    words = verdicts(pairs)
    assert "beaten in 0 of 1 comparisons**, better in 1, equal" in words
    assert "Not counted: 1 with fewer than 5 seeds" in words and "beaten by" not in words
    by_task = {pair.where: pair for pair in pairs}
    assert by_task["hopper online"].verdict == "none" and by_task["hopper online"].interval is None
    assert by_task["hopper online"].seeds == min(ours, other)
    assert by_task["acrobot online"].verdict == "better"
