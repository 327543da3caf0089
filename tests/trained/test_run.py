"""The front door: `train`, `load`, `Run` and `make_method`, from Python and beside the command line."""

from typing import NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import iqlearn_jax as iq
from iqlearn_jax.cli.main import main
from iqlearn_jax.data.demos import transitions
from iqlearn_jax.doctor.doctor import Doctor
from iqlearn_jax.training.problem import make_problem
from iqlearn_jax.training.reopen import load_run
from iqlearn_jax.training.session import Session, begin
from iqlearn_jax.training.summary import demo_facts
from iqlearn_jax.training.train import train
from tests.common import cartpole_demos, demos_of, made_up_config, made_up_environments, walk
from tests.runs.comparing import assert_same_state, lines, summary

SMALL = {
    "seeds": 2, "hidden": (8,), "batch_size": 8, "log_every": 4, "eval_every": 4, "eval_episodes": 2,
    "checkpoint_every": 4, "demos__trajectories": 2,
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def environments():
    with made_up_environments():
        yield


class Watched(NamedTuple):
    """A run, what its callback was given, the updates that the doctor knew each time, files left behind."""

    run: iq.Run
    called: list
    judged: list
    written: list


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Trained once, in an empty folder."""
    called, judged, see = [], [], Doctor.see

    def seen(self, update, metrics):
        see(self, update, metrics)
        judged.append(self._history.updates[: self._chunks].tolist())

    settings = SMALL | {"updates": 8, "temperature": 0.1}
    folder = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Doctor, "see", seen)
        patch.chdir(folder)
        run = iq.train(
            "walk", demos_of("walk"), callback=lambda *x: called.append(x), progress=False, **settings
        )
    return Watched(run, called, judged, list(folder.iterdir()))


@pytest.fixture(scope="module")
def run(watched):
    return watched.run


def test_all_demonstrations_are_counted():
    facts = demo_facts(
        make_problem(made_up_config("bc", "demos", "walk", demos__trajectories=0, demos__subsample=1))
    )
    assert facts["demo_trajectories"] == demos_of("walk").num_episodes
    assert facts["demo_transitions"] == len(demos_of("walk"))


def test_what_one_holds_is_said_in_a_line(run):
    assert repr(run) == "Run(iq on walk, 2 runs, 8 updates)"
    assert repr(run.policy(seed=1)) == "Policy(iq on made-up, seed 5001, 8 updates)"
    assert repr(run.reward(seed=0)) == "RecoveredReward(iq on made-up, seed 5000, 8 updates)"
    assert repr(demos_of("walk")) == "Demos(20 transitions, 6 episodes, environment made-up)"


def test_what_one_holds_has_the_axis_of_runs(run):
    assert run.seeds.tolist() == [5000, 5001]
    assert run.returns.shape == (2,)
    assert run.history["update"].tolist() == [4, 8]
    assert run.history["iq/loss"].shape == run.history["eval/return"].shape == (2, 2)
    assert run.summary["method"] == "iq" and run.summary["updates"] == 8
    assert not list(run.summary["failed"])


def test_a_policy_takes_one_observation_or_many_and_a_reward_one_transition_or_many(run):
    policy, reward = run.policy(seed=1), run.reward(seed=1)
    obs = demos_of("walk").observations[:6]
    actions = policy(obs)
    assert actions.shape == (6,) and policy(obs[0]) == actions[0]
    np.testing.assert_array_equal(policy(obs.reshape(2, 3, -1)), actions.reshape(2, 3))
    one = reward(obs[0], actions[0], obs[1], False)
    assert one.shape == () and np.isfinite(one)
    with pytest.raises(iq.InputError, match="seed is 2; expected the number of a run, 0 to 1"):
        run.policy(seed=2)


@pytest.mark.slow
def test_a_reward_in_memory_is_saved_as_a_policy_is(run, tmp_path):
    obs = demos_of("walk").observations[:6]
    asked = (obs[:5], np.array([0, 1, 2, 0, 1], np.int32), obs[1:], np.zeros(5, bool))
    reward = run.reward(seed=1)
    reward.save(tmp_path / "reward.npz")
    again = iq.load_reward(tmp_path / "reward.npz")
    np.testing.assert_array_equal(again(*asked), reward(*asked))
    again.save(tmp_path / "copy.npz")
    copy = iq.load_reward(tmp_path / "copy.npz")
    assert copy.metadata == again.metadata and copy.metadata["run"]["seed"] == 5001


def test_the_same_folder_as_the_command_line_writes_bit_for_bit(tmp_path, capsys):
    """In memory and saved, with a workdir, and by `iqlearn train`: one program, one result."""
    demos = demos_of("walk").save(tmp_path / "walk.npz")
    settings = SMALL | {"updates": 8, "temperature": 0.1}
    iq.train("walk", demos, progress=False, **settings).save(tmp_path / "saved")
    iq.train("walk", tmp_path / "walk.npz", workdir=tmp_path / "written", progress=False, **settings)
    keys = [f"--config.{name.replace('__', '.')}={value}" for name, value in settings.items()]
    (tmp_path / "base.py").write_text(
        "from iqlearn_jax.config import base_config\nCONFIGS = {'base': base_config}\n"
    )
    command = ["train", f"--config={tmp_path}/base.py:base", f"--workdir={tmp_path}/line"]
    assert main([*command, f"--demos={tmp_path}/walk.npz", "--config.env.id=walk", *keys]) == 0
    folders = [tmp_path / name for name in ("line", "written", "saved")]
    files = [{path.name for path in folder.iterdir()} - {"report.html", "lock"} for folder in folders]
    assert files[0] >= files[1] and files[2] - {"demos.npz"} == files[1]
    states = [load_run(folder, iq.load(folder).config)[1] for folder in folders]
    for folder, state in zip(folders[1:], states[1:], strict=True):
        assert_same_state(states[0], state)
        assert lines(folder) == lines(folders[0])
        ours, theirs = summary(folder), summary(folders[0])
        assert ours | {"demos": None} == theirs | {"demos": None}
    capsys.readouterr()


def test_loaded_runs_are_the_saved_ones(run, tmp_path):
    run.save(tmp_path / "run")
    loaded = iq.load(tmp_path / "run")
    obs = demos_of("walk").observations
    np.testing.assert_array_equal(loaded.policy(0)(obs), run.policy(0)(obs))
    np.testing.assert_array_equal(loaded.returns, run.returns)
    for name, column in run.history.items():
        np.testing.assert_array_equal(loaded.history[name], column, err_msg=name)
    with pytest.raises(iq.InputError, match="already holds a run"):
        run.save(tmp_path / "run")
    run.save(tmp_path / "again")  # with its demonstrations, not with the first folder's
    assert iq.load(tmp_path / "again").config.demos.path == str(tmp_path / "again" / "demos.npz")
    assert run.config.demos.path == ""


def test_a_callback_sees_every_chunk(watched):
    assert [update for update, _ in watched.called] == [4, 8]
    assert all(metrics["iq/loss"].shape == (2,) for _, metrics in watched.called)


def test_nothing_is_written_without_a_workdir(watched):
    assert watched.written == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temprature": 0.5}, "unknown config key 'temprature'; did you mean temperature"),
        ({"clip_range": 0.9}, r"clip_range.*method 'iq'"),
        ({"online__capacity": 10}, r"online\.capacity"),
        ({"gamma": 1.5}, r"config\.gamma is 1\.5; expected a number in \[0"),
        ({"method": "iql"}, "unknown method 'iql'; did you mean"),
        ({"state_only": True}, r"set feed=replay, or infer_actions=True with data .* \(data__path\)$"),
    ],
)
def test_settings_that_mean_nothing_are_refused_in_one_line(settings, words):
    with pytest.raises(iq.InputError, match=words) as error:
        iq.train("walk", demos_of("walk"), progress=False, **settings)
    assert "\n" not in str(error.value)


def test_the_doctor_sees_each_chunk_once(watched):
    """While training as afterwards: what it judges is the metrics that were logged."""
    assert watched.judged == [[4], [4, 8]]


@pytest.mark.slow
def test_what_cannot_be_copied_is_made_as_its_spec_says():
    class Stubborn(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, (2,))
        action_space = gymnasium.spaces.Discrete(3)

        def __deepcopy__(self, memo):
            raise TypeError("cannot pickle 'SwigPyObject' object")

    with pytest.raises(iq.InputError, match="expected a function that makes one"):
        iq.train(Stubborn(), demos_of("walk"), updates=8, **SMALL)


@pytest.mark.slow
def test_intervals_follow_the_number_of_updates():
    run = iq.train("walk", demos_of("walk"), updates=30, seeds=1, hidden=(8,), progress=False)
    assert run.config.log_every == 30
    assert run.history["update"].tolist() == [30]


def make_cartpole():
    return gymnasium.make("CartPole-v1", max_episode_steps=30)


@pytest.mark.slow
@pytest.mark.parametrize(
    "env", [make_cartpole, make_cartpole(), "CartPole-v1"], ids=["factory", "instance", "name"]
)
def test_environments_of_gymnasium_in_each_form(env, tmp_path):
    demos = iq.load_demos(cartpole_demos(tmp_path / "demos.npz"))
    backend = {"env__backend": "gymnasium"} if isinstance(env, str) else {}
    run = iq.train(env, demos, updates=8, progress=False, **SMALL, **backend)
    assert run.returns.shape == (2,)
    assert run.policy(0)(np.zeros(4, np.float32)) in (0, 1)


@pytest.mark.slow
def test_an_environment_of_ones_own_in_jax():
    run = iq.train(walk(limit=5), demos_of("walk"), updates=8, progress=False, **SMALL)
    assert run.returns.shape == (2,)


def test_without_a_simulator_scores_are_not_known(tmp_path):
    spaces = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32), gymnasium.spaces.Discrete(3)
    demos = demos_of("walk")
    run = iq.train(None, demos, spaces=spaces, updates=8, progress=False, **SMALL)
    assert run.returns is None and run.summary["normalized_iqm"] is None
    assert all(0 <= share <= 1 for share in run.summary["agreement"])
    run.save(tmp_path / "run")
    loaded = iq.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.policy(0)(demos.observations), run.policy(0)(demos.observations))
    assert main(["report", str(tmp_path / "run"), f"--out={tmp_path / 'page'}"]) == 0
    assert "not known" in (tmp_path / "page" / "report.html").read_text()
    with pytest.raises(iq.InputError, match="no simulator"):
        iq.train(None, demos, method="dac", spaces=spaces, updates=8, progress=False, **SMALL)
    with pytest.raises(iq.InputError, match="expected spaces"):
        iq.train(None, demos)


@pytest.mark.slow
def test_demonstrations_without_rewards_give_no_score():
    demos = demos_of("walk")
    bare = iq.Demos(
        observations=demos.observations,
        actions=demos.actions,
        next_observations=demos.next_observations,
        terminals=demos.terminals,
        truncations=demos.truncations,
    )
    run = iq.train("walk", bare, updates=8, progress=False, **SMALL)
    unknown = ("expert_return", "normalized_iqm", "pearson", "spearman")
    assert all(run.summary[name] is None for name in unknown) and np.isfinite(run.returns).all()


@pytest.mark.slow
def test_all_demonstrations_can_be_asked_for():
    run = iq.train(
        "walk", demos_of("walk"), updates=8, progress=False, **SMALL | {"demos__trajectories": "all"}
    )
    assert run.summary["demo_trajectories"] == demos_of("walk").num_episodes
    assert run.summary["demo_transitions"] == len(demos_of("walk"))


@pytest.mark.slow
def test_networks_of_another_run_are_taken_and_everything_else_is_new(tmp_path):
    """Cloning, then IQ-Learn from its network: before the first update the policies are the same."""
    cloned = made_up_config("bc", "demos", "walk", seeds=2, demos__trajectories=2)
    train(cloned, tmp_path / "bc")
    config = made_up_config("iq", "demos", "walk", seeds=3, init_from=str(tmp_path / "bc"))
    problem = make_problem(config)
    fresh = begin(Session(problem)).state
    source, before = load_run(tmp_path / "bc", cloned)
    for run, origin in ((0, 0), (1, 1), (2, 0)):  # over again where the other folder has fewer
        for ours, target, theirs in zip(
            jax.tree.leaves(fresh.critic),
            jax.tree.leaves(fresh.target_critic),
            jax.tree.leaves(before.state.critic),
            strict=True,
        ):
            np.testing.assert_array_equal(ours[run], theirs[origin])
            np.testing.assert_array_equal(target[run], theirs[origin])
        for name in ("obs_mean", "obs_std"):  # networks mean nothing without the statistics they saw
            np.testing.assert_array_equal(problem.hparams[name][run], source.hparams[name][origin])
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(fresh.critic_opt))
    with pytest.raises(iq.InputError, match="has other arrays"):
        iq.train("walk", demos_of("walk"), init_from=str(tmp_path / "bc"), hidden=(9,), progress=False)


def test_a_method_alone_trains_in_a_loop_of_ones_own():
    """init, update and act with `hparams()`, mapped over seeds and temperatures in one program."""
    spec, demos = walk().spec, demos_of("walk")
    method = iq.make_method("iq", spec, hidden=(8,), temperature=0.1)
    rows = jax.tree.map(jnp.asarray, transitions(demos))

    def train(seed, temperature):
        hparams = method.hparams(temperature=temperature)
        state = method.init(jax.random.key(seed), hparams)

        def step(state, key):
            index = jax.random.randint(key, (8,), 0, len(demos))
            batch = iq.Batch(expert=jax.tree.map(lambda x: x[index], rows))
            return method.update(hparams, state, batch, jax.random.fold_in(key, 1))

        return jax.lax.scan(step, state, jax.random.split(jax.random.key(seed + 1), 4))

    seeds, temperatures = jnp.arange(2), jnp.array([0.1, 1.0, 10.0])
    grid = jax.jit(jax.vmap(jax.vmap(train, (None, 0)), (0, None)))
    with jax.debug_key_reuse(False):  # the loop's own keys are this test's business
        state, metrics = grid(seeds, temperatures)
    assert metrics["iq/loss"].shape == (2, 3, 4)
    assert np.isfinite(metrics["iq/loss"]).all()
    np.testing.assert_allclose(np.exp(state.log_temperature[0]), temperatures, rtol=1e-6)
    with pytest.raises(iq.InputError, match="temprature"):
        method.hparams(temprature=1.0)


def test_public_names_are_those_that_are_listed():
    import iqlearn_jax

    assert set(iqlearn_jax._PUBLIC) == set(iqlearn_jax.__all__)
    for name in iqlearn_jax.__all__:
        thing = getattr(iqlearn_jax, name)
        assert thing.__doc__, name
    with pytest.raises(AttributeError, match="public are"):
        iqlearn_jax.fit  # noqa: B018
