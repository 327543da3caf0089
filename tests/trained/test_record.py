"""`iqlearn demos record`: the episodes are those that the trained policy plays."""

from functools import partial

import jax
import numpy as np
import pytest

from iqlearn_jax.cli import main as cli
from iqlearn_jax.config.files import load_config
from iqlearn_jax.data.demos import load
from iqlearn_jax.errors import InputError
from iqlearn_jax.runs.folder import stored_config
from iqlearn_jax.trained.record import record_demos
from iqlearn_jax.training.reopen import load_run, load_snapshot
from iqlearn_jax.training.train import train
from tests.common import cartpole_demos

BACKENDS = (pytest.param("gymnax", marks=pytest.mark.slow), "gymnasium")


@pytest.fixture(scope="module", params=BACKENDS)
def workdir(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    config = load_config("cartpole:offline")
    config.demos.path = str(cartpole_demos(folder / "demos.npz"))
    config.env.backend = request.param
    config.hidden, config.seeds, config.temperature = (8,), 2, 0.5
    config.critic_lr = 0.03  # fast enough that snapshots act differently
    config.updates, config.log_every, config.snapshot_every = 100, 50, 50
    config.eval_every = config.checkpoint_every = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "iqlearn_jax.training.summary.finish", lambda *_: {}
        )  # summary and rewards cost more than training
        train(config, folder / "run")
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize(("at", "updates", "another"), [("final", 100, 50), ("50", 50, 100)])
def test_greedy_actions_are_the_policys_likeliest(workdir, at, updates, another):
    demos = record_demos(workdir, 1, 3, at=at)
    problem, _ = load_run(workdir, stored_config(workdir))

    def likeliest(number):
        kept = problem.hparams, load_snapshot(workdir, problem, number)
        own = jax.tree.map(lambda x: x[1], kept)
        return problem.method.act(*own, demos.observations, jax.random.key(0), deterministic=True)

    policy = demos.metadata["policy"]
    assert (demos.num_episodes, policy["actions"], policy["updates"]) == (3, "greedy", updates)
    np.testing.assert_array_equal(demos.actions, likeliest(updates))
    assert (demos.actions != likeliest(another)).any()


@pytest.mark.slow
def test_stochastic_actions_are_drawn_from_the_policy(workdir, tmp_path):
    out = tmp_path / "drawn.npz"
    assert (
        cli.main(["demos", "record", f"--workdir={workdir}", f"--out={out}", "--stochastic", "--episodes=20"])
        == 0
    )
    demos = load(out)
    problem, run = load_run(workdir, stored_config(workdir))
    hparams, state = jax.tree.map(lambda x: x[0], (problem.hparams, run.state))
    act = partial(problem.method.act, hparams, state, demos.observations, deterministic=False)
    draws = np.mean([act(jax.random.key(seed)) for seed in range(200)], axis=0)  # frequency of action 1
    assert demos.metadata["policy"]["actions"] == "sampled"
    assert np.mean(np.minimum(draws, 1 - draws)) > 0.02  # the policy is not greedy
    spread = np.sqrt(np.mean(draws * (1 - draws)) / len(draws))
    assert abs(np.mean(demos.actions - draws)) < 4 * spread
    again = record_demos(workdir, 0, 20, stochastic=True)
    np.testing.assert_array_equal(again.actions, demos.actions)


@pytest.mark.parametrize(("run", "episodes", "named"), [(2, 3, "--run is 2"), (0, 0, "--episodes is 0")])
def test_what_cannot_be_recorded_is_refused(workdir, run, episodes, named):
    with pytest.raises(InputError, match=named):
        record_demos(workdir, run, episodes)
