"""What the curves of a table are drawn over."""

import numpy as np

from experiments.lib.figures import series_over_steps


def row(steps, returns):
    curve = {"updates": [10, 20], "env_steps": steps, "returns": returns}
    return {"curve": curve, "random_return": 0.0, "expert_return": 10.0}


def test_who_does_not_act_is_level_beside_those_who_do():
    axis, (acts, offline) = series_over_steps([row([100, 200], [[1], [2]]), row([0, 0], [[3], [4]])])
    assert axis == "env steps"
    np.testing.assert_allclose(np.asarray(acts[0]), [100, 200])
    np.testing.assert_allclose(np.asarray(offline[0]), [100, 200])
    np.testing.assert_allclose(np.asarray(offline[1]), [[0.4, 0.4]])


def test_where_nobody_acts_it_is_updates():
    axis, (curve,) = series_over_steps([row([0, 0], [[3], [4]])])
    assert axis == "updates"
    np.testing.assert_allclose(np.asarray(curve[0]), [10, 20])
    np.testing.assert_allclose(np.asarray(curve[1]), [[0.3, 0.4]])


def test_rows_that_know_their_last_step_alone_are_spread_evenly():
    old = row(None, [[1], [2]]) | {"env_steps": 200}
    del old["curve"]["env_steps"]
    axis, (curve,) = series_over_steps([old])
    assert axis == "env steps"
    np.testing.assert_allclose(np.asarray(curve[0]), [100, 200])
