"""`tables.gridworld`: numbers against rewards whose identifiable part is known, and the command."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.lib import figures, table
from experiments.tables import gridworld
from iqlearn_jax.envs.gridworld import gridworld_reward
from iqlearn_jax.envs.registry import open_by_name
from iqlearn_jax.ops.iq.soft import log_policy
from iqlearn_jax.ops.tabular.mdp import soft_value_iteration
from tests.common import ROOT

ENV, TAU = "Gridworld-3x4", 0.5


@pytest.fixture
def world():
    """The model in float64 and the true reward [S, A]."""
    with jax.enable_x64(True):
        yield (
            jax.tree.map(jnp.asarray, open_by_name(ENV, "gridworld").spec.mdp),
            gridworld_reward(ENV).astype(float),
        )


def shaping(mdp, potential):
    """γE[Φ(s')|s,a] − Φ(s), one entry after the other."""
    states, actions = mdp.transition.shape[:2]
    return np.array(
        [
            [mdp.gamma * sum(mdp.transition[s, a] * potential) - potential[s] for a in range(actions)]
            for s in range(states)
        ]
    )


def everywhere(reward):
    return np.ones(reward.shape, bool)


@pytest.mark.slow
def test_the_experts_log_probabilities_are_the_true_reward_but_for_shaping(world):
    """τ log π = r + γE[V(s')] − V(s) of the soft-optimal policy: the reward that imitation can know."""
    mdp, true = world
    log_expert = TAU * np.asarray(log_policy(soft_value_iteration(mdp, jnp.asarray(true), TAU), TAU))
    metrics = gridworld.compared(mdp, log_expert, true, everywhere(true))
    assert metrics["projected"] == pytest.approx(1)
    assert metrics["gap"] == metrics["gap_everywhere"] == pytest.approx(0, abs=1e-8)
    assert metrics["epic"] < 0.9  # its canonical form keeps the shaping
    np.testing.assert_allclose(gridworld.nearest(mdp, log_expert, true), true, atol=1e-8)


@pytest.mark.slow
def test_the_gap_is_the_length_of_what_no_shaping_explains(world):
    mdp, true = world
    rng = np.random.default_rng(0)
    ways = [shaping(mdp, unit).ravel() for unit in np.eye(len(true))] + [np.ones(true.size)]
    left, values, _ = np.linalg.svd(np.array(ways).T)
    outside = left[:, (values > 1e-9).sum() :]  # an orthonormal basis of what shapings leave
    wrong = (outside @ rng.normal(size=outside.shape[1])).reshape(true.shape)
    shaped = true + wrong + shaping(mdp, rng.normal(size=len(true))) + 3
    metrics = gridworld.compared(mdp, shaped, true, everywhere(true))
    length = np.linalg.norm(outside.T @ true.ravel())
    assert metrics["gap"] == pytest.approx(np.linalg.norm(wrong) / length)
    ours, theirs = (outside.T @ r.ravel() for r in (true + wrong, true))
    cosine = ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs)  # their means are 0
    assert metrics["projected"] == metrics["projected_everywhere"] == pytest.approx(cosine)
    np.testing.assert_allclose(gridworld.nearest(mdp, shaped, true), true + wrong, atol=1e-8)
    assert gridworld.gap(mdp, np.zeros_like(true), true, everywhere(true)) == pytest.approx(1)


def test_only_visited_pairs_count_where_the_table_says_so(world):
    mdp, true = world
    seen = everywhere(true)
    seen[3, 2] = False
    off = true.copy()
    off[3, 2] += 5
    metrics = gridworld.compared(mdp, off, true, seen)
    assert metrics["gap"] == pytest.approx(0, abs=1e-8)
    assert metrics["gap_everywhere"] > 1


@pytest.mark.slow
def test_the_command_lists_trains_writes_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(table, "RUNS", tmp_path / "runs")
    for module, name in ((gridworld, "RESULTS"), (gridworld, "IMAGES"), (figures, "IMAGES")):
        monkeypatch.setattr(module, name, tmp_path / "written")
    short = {"updates": 40, "log_every": 20, "eval_every": 0, "seeds": 2, "checkpoint_every": 0}
    for name, source in gridworld.RUNS.items():
        row = source.rows[name]
        cut = source._replace(rows={name: row._replace(changes={**row.changes, **short})})
        monkeypatch.setitem(gridworld.RUNS, name, cut)
    monkeypatch.setattr("sys.argv", ["gridworld", "--list"])
    gridworld.main()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(gridworld.RUNS)
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr("sys.argv", ["gridworld"])
    gridworld.main()
    written = tmp_path / "written"
    content = json.loads((written / "gridworld.json").read_text())
    exact, *learned = content["rows"]
    assert exact["projected"] > 0.999 and exact["gap_everywhere"] < 0.05
    assert [row["reward"] for row in learned] == ["learned, seed 6000", "learned, seed 6001"]
    text = (written / "gridworld.md").read_text()
    for picture in ("gridworld.png", "gridworld_states.png"):
        assert f"(../images/{picture})" in text
        assert (written / picture).stat().st_size > 50_000
