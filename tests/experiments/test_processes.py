"""Chains on random processes (`studies.processes`): their rows are those of the exact occupancies."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.lib.stated import NO_TABLE, PROPERTIES, STATED
from experiments.studies import processes, properties_page
from experiments.studies.processes import Walkers, demonstrate, learn, random_worlds, remembered, shuffled
from experiments.studies.properties import targets, total_variation
from experiments.studies.properties_page import KINDS, PANELS, contradictions, lines, remarks
from iqlearn_jax.methods import FORWARD_RL, METHODS
from iqlearn_jax.ops.tabular.mdp import occupancy

STATES, ACTIONS = processes.STATES, processes.ACTIONS


def one(worlds):
    return jax.tree.map(lambda x: x[0], worlds)


@pytest.mark.slow
def test_rows_have_the_discounted_occupancy_and_the_successors_that_are_shown():
    world, steps, chains = one(shuffled(random_worlds(1, deterministic=False))), 400, 512
    start = Walkers(*[jnp.zeros(chains, jnp.int32)] * 3)
    keys = jax.random.split(jax.random.key(0), steps)
    _, rows = jax.lax.scan(lambda walkers, key: demonstrate(world, walkers, key), start, keys)
    s, a, after = (np.asarray(x[100:]).ravel() for x in (rows.obs, rows.action, rows.next_obs))
    counts = np.zeros((STATES, ACTIONS, STATES))
    np.add.at(counts, (s, a, after), 1)
    visits = counts.sum(axis=-1)
    np.testing.assert_allclose(visits / visits.sum(), occupancy(world.true, world.expert), atol=0.004)
    np.testing.assert_allclose(counts / visits[..., None], world.seen.transition, atol=0.03)
    assert np.abs(world.seen.transition - world.true.transition).max() > 0.2


def test_memory_gives_back_rows_as_they_were_kept():
    numbers = np.arange(processes.KEPT)[:, None] * processes.CHAINS + np.arange(processes.CHAINS)
    memory = jnp.asarray(np.stack([numbers + k * 10**6 for k in range(4)]))
    blank = jnp.zeros(processes.CHAINS, jnp.int32)
    last = 3 * processes.KEPT - 1
    rows = remembered(Walkers(blank, blank, memory), last, True, jax.random.key(0))
    for k, column in enumerate((rows.obs, rows.action, rows.next_obs, rows.round)):
        np.testing.assert_array_equal(column - k * 10**6, rows.obs)
    assert len(set(np.asarray(rows.obs) // processes.CHAINS)) > processes.KEPT // 3
    np.testing.assert_array_equal(np.asarray(rows.obs) % processes.CHAINS, np.arange(processes.CHAINS))


@pytest.mark.slow
def test_rollouts_are_in_order_and_cut_where_a_chain_starts_anew():
    world = one(random_worlds(1, deterministic=True))
    start = Walkers(*[jnp.zeros(4096, jnp.int32)] * 3)
    walkers, rows = processes.perform(
        lambda obs, key: jax.random.randint(key, obs.shape, 0, ACTIONS), world, start, jax.random.key(0)
    )
    on = ~np.asarray(rows.truncated[:-1])
    np.testing.assert_array_equal(rows.next_obs[:-1][on], rows.obs[1:][on])
    goes_to = np.argmax(world.true.transition, axis=-1)
    np.testing.assert_array_equal(rows.next_obs, goes_to[rows.obs, rows.action])
    assert np.mean(rows.truncated) == pytest.approx(1 - processes.GAMMA, abs=0.01)
    assert walkers.own.shape == (4096,) and not rows.terminated.any()


def test_every_method_has_its_stated_properties_and_is_measured_or_has_no_table():
    assert STATED.keys() == METHODS.keys() - set(FORWARD_RL)
    assert {name.split(",")[0] for name in processes.METHODS} | NO_TABLE.keys() == STATED.keys()
    assert {name for names in PANELS.values() for name in names} == processes.METHODS.keys()


def test_the_page_and_its_figure_are_written_from_the_rows(monkeypatch, tmp_path):
    for target in ("RESULTS", "IMAGES"):
        monkeypatch.setattr(f"experiments.studies.properties_page.{target}", tmp_path)
    curve = {kind: [(0.2, [0.1, 0.3]), (0.02, [0.01, 0.03])] for kind in KINDS}
    row = {"method": "bc", "updates": [10, 100], "shuffled": (0.0, [0.0, 0.0]), "wall_seconds": 360.0} | curve
    properties_page.write([row], 100, "")
    page = (tmp_path / "properties.md").read_text()
    [bc] = [line for line in page.splitlines() if line.startswith("| bc |")]
    assert bc == "| bc | ✗ | ✓ | ✓ | ✗ | ✓ | 0.020 [0.010, 0.030] | 0.000 [0.000, 0.000] |"
    assert "100 updates" in page and "0.1 hours" in page and (tmp_path / "properties_distance.png").exists()
    kept = json.loads((tmp_path / "properties.json").read_text())
    assert kept["rows"][0]["method"] == "bc" and "dynamics-aware" in kept["stated"]["edm"]["remarks"]


def test_ticks_that_measurements_do_not_bear_out_are_named():
    assert all(len(entry.ticks) in (0, len(PROPERTIES)) for entry in STATED.values())

    def row(method, moved, end):
        return {"method": method, "updates": [9], "shuffled": (moved, None)} | {
            kind: [(end, None)] for kind in KINDS
        }

    assert contradictions([row("sqil", 0.1, 0.2)], "sqil") == {}  # ✓ dynamics-aware, ✗ convergence
    assert set(contradictions([row("sqil", 0.0, 0.01)], "sqil")) == {"dynamics-aware", "convergence"}
    assert set(contradictions([row("bc", 0.1, 0.2)], "bc")) == {"dynamics-aware", "convergence"}
    rows = [row("bc", 0.0, 0.2), row("iq, online", 0.1, 0.01)]
    ticks = {name: cells for name, *cells in lines(rows)}
    assert ticks["bc"][:3] == ["✗", "✓", "✓*"] and ticks["iq"][:3] == ["✓", "✓", "✓"]
    assert any(remark.startswith("bc, convergence ✓: after 9 updates") for remark in remarks(rows))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bc", "iq"])
def test_learning_nears_its_target_and_only_cloning_ignores_transitions(name):
    worlds, seeds = random_worlds(4, deterministic=True), jnp.arange(4)
    train = jax.jit(jax.vmap(lambda world, seed: learn(name, (5, 300), 0, world, seed)))
    policies = train(worlds, seeds)
    visits = jax.vmap(jax.vmap(occupancy, (None, 0)))(worlds.true, policies)
    early, late = total_variation(visits, targets(name, worlds)[:, None]).mean(axis=0)
    assert late < 0.03 < 2 * 0.03 < early
    moved = total_variation(policies[:, -1], train(shuffled(worlds), seeds)[:, -1]).max()
    assert moved == 0 if name == "bc" else moved > 0
