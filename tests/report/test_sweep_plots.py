"""Heat maps: every cell is the mean of its points, and says what the best of them reached."""

import numpy as np

from iqlearn_jax.report.sweep_plots import cells, heat_maps, varying

POINTS = [
    ({"alpha": a, "hidden": h, "method": "iq", "gamma": g}, a + 10 * i + g)
    for a in (0.5, 0.1)
    for i, h in enumerate(([64, 64], [8]))
    for g in (0.9, 0.99)
]


def test_only_what_varies_has_a_panel():
    assert varying(POINTS) == ["alpha", "hidden", "gamma"]
    assert varying([]) == []
    assert heat_maps(POINTS[:1]) is None
    assert heat_maps(POINTS).startswith(b"\x89PNG")


def test_cells_hold_the_scores_of_their_points():
    alphas, hidden, table = cells(POINTS, ("alpha", "hidden"))
    assert alphas == [0.1, 0.5]  # numbers in order
    assert hidden == [[64, 64], [8]]
    assert table.shape == (2, 2, 2)
    np.testing.assert_allclose(sorted(table[1, 1]), [0.5 + 10 + 0.9, 0.5 + 10 + 0.99])


def test_a_point_that_is_missing_is_no_number():
    _, _, table = cells(POINTS[:-2], ("alpha", "hidden"))
    assert np.isnan(table[0, 1]).all()
    assert np.isfinite(table[0, 0]).all()
    assert heat_maps(POINTS[:-2]) is not None
