"""From the command line to the configuration that is trained."""

import json

import pytest

from iqlearn_jax.cli import main as cli
from iqlearn_jax.cli import train as train_cli
from iqlearn_jax.config.values import as_plain
from iqlearn_jax.errors import InputError
from iqlearn_jax.training import train as train_lib
from iqlearn_jax.training.problem import concrete
from tests.cli.small import CARTPOLE, SMALL


@pytest.fixture
def seen(monkeypatch):
    """What `train` and `check_keys` are called with; nothing is trained."""
    calls = {}

    def train(config, workdir, resume, force, named):
        calls.update(config=as_plain(config), made=config, workdir=workdir, resume=resume, force=force)
        raise InputError("far enough")

    monkeypatch.setattr(train_lib, "train", train)
    monkeypatch.setattr(
        "iqlearn_jax.methods.check_keys", lambda config, names: calls.update(names=names), raising=False
    )
    return calls


def given(*arguments):
    assert cli.main(["train", CARTPOLE, "--workdir=new", *arguments]) == 2


def test_paths_are_kept_absolute(seen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given("--demos=a.npz", "--init-from=runs/one", "--config.reward_path=r.npz")
    config = as_plain(concrete(seen["made"]))  # as training writes it
    stored = {key: config[key] for key in ("demos.path", "init_from", "reward_path")}
    assert stored == {
        "demos.path": f"{tmp_path}/a.npz",
        "init_from": f"{tmp_path}/runs/one",
        "reward_path": f"{tmp_path}/r.npz",
    }
    given("--config.demos.path=b.npz", "--config.init_from=two")
    config = as_plain(concrete(seen["made"]))
    assert (config["demos.path"], config["init_from"]) == (f"{tmp_path}/b.npz", f"{tmp_path}/two")
    given("--demos=bundled:CartPole-v1")
    assert concrete(seen["made"]).demos.path == "bundled:CartPole-v1"


def test_an_option_is_the_same_as_its_key(seen, demos, trained):
    """`trained` gave --demos; the same path as a config key makes the same configuration."""
    given(f"--config.demos.path={demos}", *SMALL)
    folder = json.loads((trained.folder / "config.json").read_text())
    decided = {"env.backend"}  # by training
    assert {k: v for k, v in seen["config"].items() if k not in decided} == {
        k: v for k, v in folder.items() if k not in decided
    }


def test_keys_that_were_set_on_purpose_are_checked(seen, demos):
    given(f"--demos={demos}", "--config.gamma=0.9", "--config.grid.alpha=(0.1,0.5)")
    assert seen["names"] == ["demos.path", "gamma", "grid.alpha"]
    assert seen["config"]["grid.alpha"] == [0.1, 0.5]


def test_modules_are_imported_first_and_remembered(seen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_to_train.py").write_text("SEEN = True\n")
    given("--import=mine_to_train", "--import=json", "--import=mine_to_train")
    assert seen["config"]["imports"] == [f"{tmp_path}/mine_to_train.py", "json"]


def test_more_updates_of_a_stopped_run_reach_training(seen, trained):
    assert (
        cli.main(["train", f"--workdir={trained.folder}", "--resume", "--force", "--config.updates=120"]) == 2
    )
    assert (seen["config"]["updates"], seen["resume"], seen["force"]) == (120, True, True)
    assert seen["names"] == ["updates"]


def test_the_parser_is_made_anew_and_its_parent_once():
    """Parsers share the group of several hosts; a second one must not find its options taken."""
    from iqlearn_jax.cli import sweep
    from iqlearn_jax.cli.common import several_hosts

    assert several_hosts() is several_hosts()
    for make in (train_cli.make_parser, train_cli.make_parser, sweep.make_parser):
        assert "--coordinator" in make().format_help()
