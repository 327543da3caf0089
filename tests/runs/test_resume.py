"""Stopped and resumed equals uninterrupted, bit for bit: state, replay, simulators, metrics, summary."""

import json
from contextlib import contextmanager

import jax
import numpy as np
import pytest

from iqlearn_jax.errors import InputError
from iqlearn_jax.loops.loop import RunState
from iqlearn_jax.methods import METHODS
from iqlearn_jax.runs.provenance import check_same_config
from iqlearn_jax.training import evaluation, session
from iqlearn_jax.training import train as session_lib
from iqlearn_jax.training.problem import concrete, make_loop, make_problem
from iqlearn_jax.training.reopen import load_run, load_snapshot
from iqlearn_jax.training.session import Stopped
from iqlearn_jax.training.train import claimed, train
from tests.common import cartpole_demos, configure, made_once, made_up_config, made_up_environments
from tests.runs.comparing import assert_no_gap, assert_same_state, lines, summary

ROLLOUT = {"online__rollout_steps": 4, "minibatches": 2}
ONLINE = ("iq", "replay", "walk", {"terminal": "absorbing", "online__updates_per_step": 2})
CASES = [
    ONLINE,
    ("iq", "demos", "walk", {"terminal": "absorbing", "target_network": True}),
    (
        "iq",
        "replay",
        "bandit",
        {"learn_temperature": True, "critics": 2, "target_network": True, "average_rate": 0.1},
    ),
    ("rl", "replay", "picture", {}),
    ("iq", "replay", "picture", {}),
    ("bc", "demos", "bandit", {}),
    ("adril", "replay", "walk", {"round_updates": 5}),
    ("pwil", "replay", "walk", {}),
    ("dac", "replay", "walk", {"terminal": "absorbing", "gradient_penalty": 10.0}),
    ("max_entropy_deep", "replay", "walk", {"terminal": "absorbing"}),
    ("ppo", "rollout", "bandit", ROLLOUT),
    ("pqn", "rollout", "walk", ROLLOUT),
    ("iq", "rollout", "walk", ROLLOUT),
    ("gail", "rollout", "walk", ROLLOUT | {"terminal": "absorbing"}),
    ("airl", "rollout", "walk", ROLLOUT),
    ("asaf", "rollout", "walk", ROLLOUT),
    ("max_margin", "demos", "rooms", {}),
    ("lstd_mu", "demos", "walk", {"features": 12}),
    ("dsfn", "demos", "walk", {"round_updates": 3, "target_network": True}),
    ("max_likelihood", "demos", "rooms", {}),
    ("rl", "replay", "walk", {"target_network": True, "target_period": 3}),
    ("sqil", "replay", "walk", {"terminal": "absorbing"}),
    ("regularized_bc", "demos", "walk", {}),
    ("value_dice", "demos", "bandit", {"gradient_penalty": 10.0}),
    ("avril", "demos", "walk", {}),
    ("max_entropy", "demos", "rooms", {}),
    ("max_entropy_dynamics", "demos", "rooms", {}),
    ("edm", "demos", "walk", {"chain_count": 16, "chain_steps": 2}),
]
FAST = ("bc", "demos", "bandit")
MARKED = [
    pytest.param(case, id="-".join(case[:3]), marks=[] if case[:3] == FAST else pytest.mark.slow)
    for case in CASES
]


def interrupted(monkeypatch, chunks, call):
    """Runs `call` with Ctrl-C pressed while chunk number `chunks` runs; it must stop and save everything."""
    done = []

    @contextmanager
    def pressed():
        yield lambda: len(done) >= chunks

    def report(*arguments, original=session_lib.record):
        done.append(1)
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(session_lib, "interruptible", pressed)
        patch.setattr(session_lib, "record", report)
        with pytest.raises(Stopped):
            call()


def final_state(workdir, config) -> RunState:
    return load_run(workdir, config)[1]


def compare(config, tmp_path, monkeypatch, chunks=(1, 1)):
    """Metrics, state, order of lines. Summaries cost more than training: test_cli.py compares them.

    Args:
      chunks: after how many chunks each life is stopped.
    """
    monkeypatch.setattr("iqlearn_jax.training.summary.finish", lambda *_: {})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(config, whole)
    interrupted(monkeypatch, chunks[0], lambda: train(config, parts))
    for more in chunks[1:]:
        interrupted(monkeypatch, more, lambda: train(config, parts, resume=True))
    train(config, parts, resume=True)
    assert_same_state(final_state(whole, config), final_state(parts, config))
    assert lines(whole) == lines(parts)
    assert_no_gap(parts, config)
    walls = [json.loads(line)["wall_seconds"] for line in (parts / "metrics.jsonl").read_text().splitlines()]
    assert walls == sorted(walls)


def made_up(method, feed, env, changes):
    return made_up_config(method, feed, env, seeds=2, updates=12, checkpoint_every=0, **changes)


@pytest.mark.slow
def test_resumed_equals_uninterrupted(tmp_path, monkeypatch):
    with made_up_environments():
        compare(made_up(*ONLINE), tmp_path, monkeypatch, chunks=(1,))


def share_programs(monkeypatch):
    """Every life of one configuration runs the programs that the first compiled; its state is the disk's."""
    for module, name in ((session, "make_loop"), (evaluation, "make_evaluator")):
        monkeypatch.setattr(module, name, made_once(getattr(module, name), lambda problem: None))


def test_no_method_is_left_out():
    assert {case[0] for case in CASES} == set(METHODS)


@pytest.mark.parametrize("case", MARKED)
def test_stopped_twice_equals_uninterrupted(case, tmp_path, monkeypatch):
    share_programs(monkeypatch)
    with made_up_environments():
        compare(made_up(*case), tmp_path, monkeypatch)


def host_config(tmp_path, **changes):
    return configure(
        env__id="CartPole-v1", env__backend="gymnasium", feed="replay", seeds=2, hidden=(8,), batch_size=8,
        log_every=20, eval_every=20, checkpoint_every=0, updates=60, online__num_envs=2,
        online__learning_starts=10, online__capacity=100, demos__path=str(cartpole_demos(tmp_path / "d.npz")),
        **changes,
    )  # fmt: skip


@pytest.mark.slow
def test_resumed_equals_uninterrupted_on_the_host(tmp_path, monkeypatch):
    compare(host_config(tmp_path), tmp_path, monkeypatch, chunks=(1,))


@pytest.mark.slow
def test_a_host_run_does_not_depend_on_its_neighbours(tmp_path, monkeypatch):
    monkeypatch.setattr("iqlearn_jax.training.summary.finish", lambda *_: {})
    pair = host_config(tmp_path)
    alone = host_config(tmp_path)
    alone.seeds, alone.first_seed = 1, pair.first_seed + 1
    train(pair, tmp_path / "pair")
    train(alone, tmp_path / "alone")
    cut = jax.tree.map(lambda x: x[1:], final_state(tmp_path / "pair", pair))
    own = final_state(tmp_path / "alone", alone)
    np.testing.assert_array_equal(cut.replay.experience.action, own.replay.experience.action)
    for a, b in zip(jax.tree.leaves(cut.state), jax.tree.leaves(own.state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_host_exploration_and_learning_use_different_keys(tmp_path, monkeypatch):
    """fold_in(key, 1) is split(key)[1]: exploration may not draw from what later acts and learns."""
    from iqlearn_jax.loops import host as host_lib

    used, original = [], host_lib.random_actions

    def spy(spec, key, size):
        jax.debug.callback(lambda data: used.append(data.tolist()), jax.random.key_data(key))
        return original(spec, key, size)

    monkeypatch.setattr(host_lib, "random_actions", spy)
    problem = make_problem(host_config(tmp_path))
    run = make_loop(problem).init(problem.hparams, problem.seeds, problem.rows, problem.demo_indices)
    jax.effects_barrier()
    data = jax.random.key_data(run.key)
    folded = [jax.random.fold_in(jax.random.wrap_key_data(own), n) for own in data for n in range(5)]
    later = [jax.random.key_data(key).tolist() for key in folded]
    assert used
    assert not [key for key in later if key in used]


@pytest.mark.slow
def test_a_line_cut_off_by_a_crash_and_lines_after_the_checkpoint_are_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr("iqlearn_jax.training.summary.finish", lambda *_: {})
    config = made_up_config("bc", "demos", "walk", seeds=2, updates=12, checkpoint_every=0)
    with made_up_environments():
        train(config, tmp_path / "whole")
        interrupted(monkeypatch, 1, lambda: train(config, tmp_path / "parts"))
        path = tmp_path / "parts" / "metrics.jsonl"
        late = json.dumps({"update": 8, "env_steps": 0, "seed": 5000, "wall_seconds": 1e6})
        path.write_text(path.read_text() + late + '\n{"update": 12, "env_')
        train(config, tmp_path / "parts", resume=True)
    assert lines(tmp_path / "whole") == lines(tmp_path / "parts")
    assert json.loads(path.read_text().splitlines()[-1])["wall_seconds"] < 1e5


@pytest.mark.slow
def test_resuming_a_finished_run_changes_nothing(tmp_path):
    config = made_up_config("bc", "demos", "walk", seeds=2)
    with made_up_environments():
        train(config, tmp_path)
        before = summary(tmp_path), lines(tmp_path)
        train(config, tmp_path, resume=True)
    assert before == (summary(tmp_path), lines(tmp_path))


@pytest.mark.slow
def test_resuming_before_the_first_checkpoint_starts_anew(tmp_path, monkeypatch):
    """Killed before anything was saved: the folder has its config and nothing else."""
    monkeypatch.setattr("iqlearn_jax.training.summary.finish", lambda *_: {})
    config = made_up_config("bc", "demos", "walk", seeds=2)
    with made_up_environments():
        train(config, tmp_path / "whole")
        with claimed(make_problem(config), tmp_path / "parts"):
            pass
        train(config, tmp_path / "parts", resume=True)
    assert lines(tmp_path / "whole") == lines(tmp_path / "parts")


@pytest.mark.slow
@pytest.mark.parametrize(("method", "feed"), [("bc", "demos"), ("pwil", "replay")])
def test_snapshots_are_the_states_that_were_passed_and_survive_resuming(tmp_path, monkeypatch, method, feed):
    """A run stopped behind a snapshot comes by it again; each snapshot equals a shorter run's end."""
    monkeypatch.setattr("iqlearn_jax.training.summary.finish", lambda *_: {})
    changes = {"seeds": 2, "updates": 12, "checkpoint_every": 12, "snapshot_every": 4}
    config = made_up_config(method, feed, "walk", **changes)
    shorter = made_up_config(method, feed, "walk", **changes | {"updates": 4, "checkpoint_every": 4})
    with made_up_environments():
        train(shorter, tmp_path / "short")
        train(config, tmp_path / "whole")
        (tmp_path / "whole" / "checkpoints").rename(tmp_path / "lost")
        (tmp_path / "whole" / "checkpoints").mkdir()  # as before the first was saved
        train(config, tmp_path / "whole", resume=True)
        problem, run = load_run(tmp_path / "whole", config)
        assert_same_state(
            load_snapshot(tmp_path / "whole", problem, 4), final_state(tmp_path / "short", shorter).state
        )
        assert_same_state(load_snapshot(tmp_path / "whole", problem, 12), run.state)
        with pytest.raises(InputError, match="after 5 updates; there are 4, 8, 12"):
            load_snapshot(tmp_path / "whole", problem, 5)


def test_a_key_that_came_after_a_folder_was_made_has_its_default(tmp_path):
    config = made_up_config("bc", "demos", "walk", seeds=2)
    with made_up_environments():
        config = concrete(config)
        with claimed(make_problem(config), tmp_path):
            pass
    kept = json.loads((tmp_path / "config.json").read_text())
    del kept["snapshot_every"]
    (tmp_path / "config.json").write_text(json.dumps(kept))
    (tmp_path / "provenance.json").write_text("{}")  # early versions stated no digests
    check_same_config(tmp_path, config)
    config.snapshot_every = 4
    with pytest.raises(InputError, match="snapshot_every: 0 before, 4 now"):
        check_same_config(tmp_path, config)


@pytest.mark.slow
@pytest.mark.parametrize(("env", "capacity"), [("walk", 64), ("picture", 64), ("walk", 20), ("walk", 50)])
def test_a_replay_grows_when_a_finished_run_goes_on_for_more_updates(tmp_path, monkeypatch, env, capacity):
    """The longer run's state is that of one life.

    The shorter one's replay had room for its 34 steps (capacity 64, 50), or for less and was written over.
    """
    monkeypatch.setattr("iqlearn_jax.training.summary.finish", lambda *_: {})
    short, long = (
        made_up_config(
            "iq", "replay", env, seeds=2, updates=updates, checkpoint_every=0, online__capacity=capacity
        )
        for updates in (12, 24)
    )
    with made_up_environments():
        train(long, tmp_path / "long")
        train(short, tmp_path / "parts")
        train(long, tmp_path / "parts", resume=True)
        assert_same_state(final_state(tmp_path / "long", long), final_state(tmp_path / "parts", long))
    assert lines(tmp_path / "long") == lines(tmp_path / "parts")
