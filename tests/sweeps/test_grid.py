"""The plan of a sweep, and the runs that a configuration stands for."""

import numpy as np
import pytest

from iqlearn_jax.config.values import base_config, number_of_runs
from iqlearn_jax.errors import InputError
from iqlearn_jax.loops.loop import runs_of
from iqlearn_jax.sweeps.grid import parse_grid, parts_of, plan


def config_of(**changes):
    config = base_config()
    config.seeds, config.first_seed = 3, 7
    with config.unlocked():
        config.update(changes)
    return config


def test_runs_are_the_points_of_the_grid_times_the_seeds():
    config = config_of()
    config.grid.temperature, config.grid.alpha = (0.1, 1.0), (2.0, 3.0)
    runs = runs_of(config)
    seen = set(
        zip(runs.seeds.tolist(), *(runs.values[k].tolist() for k in ("temperature", "alpha")), strict=True)
    )
    assert seen == {(s, t, a) for s in (7, 8, 9) for t in (0.1, 1.0) for a in (2.0, 3.0)}
    assert len(runs.seeds) == number_of_runs(config) == 12
    assert runs.seeds[:4].tolist() == [7, 8, 9, 7]  # seed by seed within a point


def test_without_a_grid_runs_are_seeds():
    runs = runs_of(config_of())
    assert runs.seeds.tolist() == [7, 8, 9]
    assert runs.values == {}


def test_parts_cover_all_runs_once_and_in_order():
    config = config_of()
    config.grid.gamma = (0.9, 0.95, 0.99)
    (program,) = plan(config, {})
    whole = runs_of(config)
    parts = parts_of(program, 4)
    assert [part.name for part in parts] == [f"program-0-part-{k}" for k in range(3)]
    part_runs = [runs_of(part.config) for part in parts]
    assert max(len(part.seeds) for part in part_runs) <= 4
    np.testing.assert_array_equal(np.concatenate([part.seeds for part in part_runs]), whole.seeds)
    gammas = np.concatenate([part.values["gamma"] for part in part_runs])
    np.testing.assert_array_equal(gammas, whole.values["gamma"])
    assert parts_of(program, 9) == [program]


def test_traced_keys_share_a_program_static_ones_do_not():
    grid = parse_grid(["temperature=0.01,0.1", "hidden=(64,64),(8,)", "critics=1,2", "alpha=1,2,3"])
    assert grid == {
        "temperature": (0.01, 0.1), "hidden": ((64, 64), (8,)), "critics": (1, 2), "alpha": (1, 2, 3)
    }  # fmt: skip
    programs = plan(config_of(), grid)
    assert [p.static for p in programs] == [
        {"hidden": h, "critics": c} for h in ((64, 64), (8,)) for c in (1, 2)
    ]
    assert {p.config.hidden for p in programs} == {(64, 64), (8,)}
    assert all(p.config.grid.temperature == (0.01, 0.1) and p.runs == 18 for p in programs)


def test_words_are_values_too():
    assert parse_grid(["method=iq, bc", "target_network=True,False"]) == {
        "method": ("iq", "bc"), "target_network": (True, False)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["alpha"], ("--grid=alpha", "KEY=VALUE")),
        (["alpha="], ("--grid=alpha=", "KEY=VALUE")),
        (["alpha=1,1"], ("alpha=1,1", "twice")),
        (["alpha=1", "alpha=2"], ("alpha", "twice")),
    ],
)
def test_grids_that_cannot_be_read_are_refused(arguments, words):
    with pytest.raises(InputError) as caught:
        parse_grid(arguments)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"temperatur": (1.0,)}, ("temperatur", "temperature")),
        ({"hidden": (64, 32)}, ("config.hidden", "64")),
        ({"temperature": (0.1, -1.0)}, ("config.grid.temperature", "-1.0")),
        ({"gamma": (0.9, 1.0)}, ("config.grid.gamma", "1.0")),
        ({"alpha": ("big",)}, ("config.grid.alpha", "big")),
        ({"alpha": (True,)}, ("config.grid.alpha", "True")),
        ({"log_every": (7,)}, ("log_every",)),
    ],
)
def test_plans_without_meaning_are_refused(grid, words):
    with pytest.raises(InputError) as caught:
        plan(config_of(), grid)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("part", [(1, 1), (-1, 2), (0, 4), (0,), (0, 1.0)])
def test_parts_that_name_no_runs_are_refused(part):
    config = config_of()
    config.part = part
    with pytest.raises(InputError, match=r"config.part"):
        plan(config, {})
