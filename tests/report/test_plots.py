import io

import numpy as np
from matplotlib import image

from iqlearn_jax.report import plots, reward_plots
from iqlearn_jax.report.read import read_run
from tests.report.synthetic import maps, rewards, write_run


def pixels(png):
    assert png.startswith(b"\x89PNG")
    return image.imread(io.BytesIO(png))


def test_learning_curves_draw_one_colour_per_method(tmp_path):
    one, two = (read_run(write_run(tmp_path / name, name)) for name in ("iq", "bc"))
    picture = pixels(plots.learning_curves([one, two]))[..., :3]
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (np.abs(picture * 255 - colour).max(-1) < 2).sum() > 100
    assert plots.learning_curves([one]) == plots.learning_curves([one])  # the same bytes again


def test_figures_without_data_are_left_out(tmp_path):
    run = read_run(write_run(tmp_path / "run", full=False))
    assert plots.learning_curves([run]) is None
    assert plots.diagnostics(run) is None
    assert reward_plots.recovered_reward(run.rewards) is None
    assert reward_plots.gridworld_maps(run.maps) is None
    pixels(plots.returns_per_seed([run]))  # the summary is enough


def test_a_mean_over_no_rows_is_not_drawn(tmp_path):
    """Older versions logged the learner's reward offline, too: 0 in each line."""
    pictures = []
    for name, more in (("old", ', "iq/reward_policy": 0.0'), ("new", "")):
        folder = write_run(tmp_path / name, full=False)
        lines = [f'{{"update": {i}, "seed": 1, "iq/reward_expert": -1.0{more}}}\n' for i in (1, 2)]
        (folder / "metrics.jsonl").write_text("".join(lines))
        pictures.append(plots.diagnostics(read_run(folder)))
    assert pictures[0] == pictures[1]


def test_figures_with_one_seed_one_point_and_no_references(tmp_path):
    folder = write_run(tmp_path / "run", returns=(3.0,), full=False, expert_return=None, random_return=None)
    (folder / "metrics.jsonl").write_text('{"update": 1, "seed": 5000, "eval/return": 3, "iq/loss": 1}\n')
    run = read_run(folder)
    for png in (plots.learning_curves([run]), plots.returns_per_seed([run]), plots.diagnostics(run)):
        pixels(png)


def test_episode_sums():
    data = {
        "true": np.array([1, 2, 3, 4, 5], np.float32),
        "recovered": np.array([10, 20, 30, 40, 50], np.float32),
        "episode": np.array([0, 0, 1, 0, 0], np.int32),
        "source": np.array(["expert", "expert", "expert", "policy", "policy"]),
    }
    true, recovered, source = reward_plots.episode_sums(data)
    sums = sorted(zip(source, true, recovered, strict=True))
    assert sums == [("expert", 3, 30), ("expert", 3, 30), ("policy", 9, 90)]


def test_reward_figures_with_constant_and_varying_truth():
    constant, varying = (reward_plots.recovered_reward(rewards(constant)) for constant in (True, False))
    assert pixels(constant).shape == pixels(varying).shape
    assert constant != varying


def test_maps_with_all_arrays_some_and_none():
    full = pixels(reward_plots.gridworld_maps(maps()))
    two = pixels(reward_plots.gridworld_maps({key: maps()[key] for key in ("value", "exact_value")}))
    assert full.shape[1] > two.shape[1]
    pixels(reward_plots.gridworld_maps({"value": np.full((3, 3), np.nan)}))


def test_steps_and_updates_on_one_axis_are_said(tmp_path):
    online = read_run(write_run(tmp_path / "online", "iq", setting="online"))
    offline = read_run(write_run(tmp_path / "offline", "bc"))
    assert plots.steps_label([online, offline]) == "env steps (offline: updates)"
    assert plots.steps_label([online]) == "env steps" and plots.steps_label([offline]) == "updates"
