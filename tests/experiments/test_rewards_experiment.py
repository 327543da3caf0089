"""The table of rewards: known answers of its measures, changed dynamics, its page."""

import json

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies import changed, reward_measures, reward_pages, rewards
from iqlearn_jax.config.files import load_config
from iqlearn_jax.config.values import assign, base_config
from iqlearn_jax.data.demos import load
from iqlearn_jax.envs.registry import open_by_name
from iqlearn_jax.errors import InputError
from iqlearn_jax.rewards import RecoveredReward
from iqlearn_jax.types import Transition
from tests.common import ROOT, spec_of

GAMMA = 0.9
SPEC = spec_of(obs_shape=(2,), num_actions=3)


def potential(obs):
    return 3 * obs[..., 0] - 2 * obs[..., 1]


def true_reward(obs, action, next_obs):
    return obs[..., 1] + 0.5 * (action == 2)


def made(sign, shaped, wrong=0.0):
    def rule(hparams, state, rows, key):
        reward = sign * true_reward(rows.obs, rows.action, rows.next_obs) + wrong * jnp.cos(
            4 * rows.obs[:, 0]
        )
        behind = jnp.where(rows.terminated, 0.0, GAMMA * potential(rows.next_obs))
        return reward + shaped * (behind - potential(rows.obs))

    return RecoveredReward(SPEC, {}, rule, None, {"gamma": jnp.float32(GAMMA)}, None, sampled=False)


@pytest.fixture(scope="module")
def played():
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(1200, 2)).astype(np.float32)
    action = rng.integers(0, 3, 1200).astype(np.int32)
    next_obs = obs @ np.float32([[0.9, 0.1], [-0.1, 0.9]]) + 0.2 * (action[:, None] - 1).astype(np.float32)
    terminated = np.arange(1200) % 40 == 39
    rows = Transition(
        obs=obs, action=action, reward=true_reward(obs, action, next_obs), next_obs=next_obs,
        terminated=terminated, truncated=np.zeros(1200, bool),
    )  # fmt: skip
    return rows, np.arange(1200) // 40


@pytest.mark.slow
def test_measures_of_rewards_whose_distance_is_known(played, monkeypatch):
    monkeypatch.setattr(reward_measures, "ROWS", 300)
    same, wrong, opposite = (
        reward_measures.measures(made(*kind), *played) for kind in ((2, 3), (1, 1, 3.0), (-1, 1))
    )
    assert same["pearson"] < 0.9  # shaping hides it from correlation
    for name in ("starc", "epic", "dard"):
        assert same[name] < 0.1 < 0.3 < wrong[name] < 0.9 < 0.95 < opposite[name], name
    assert same["r2_reward"] > 0.9 and same["r2_model"] > 0.9


def test_the_known_reward_of_acrobot_is_that_of_its_demonstrations():
    demos = load(ROOT / "iqlearn_jax/data/bundled/Acrobot-v1.npz")
    known = reward_measures.KNOWN["Acrobot-v1"]
    np.testing.assert_array_equal(known.ends(demos.next_observations), demos.terminals)
    recomputed = known.reward(demos.observations, demos.actions, demos.next_observations)
    np.testing.assert_array_equal(recomputed, demos.rewards)
    assert demos.terminals.any() and not demos.terminals.all()


@pytest.mark.slow
def test_the_known_reward_of_the_double_pendulum_is_that_of_the_environment():
    """128 random rollouts of 40 steps, on past the fall; where observations clip a velocity they say less."""
    env = open_by_name("inverted_double_pendulum", "generalized").device
    reset, draw, step = jax.random.split(jax.random.key(0), 3)
    state = jax.vmap(env.reset)(jax.random.split(reset, 128))[0]
    actions = jax.random.uniform(draw, (40, 128, 1), minval=-1.0)

    def act(state, action):
        out = jax.vmap(env.step, (0, 0, None))(state, action, step)
        return out.state, (out.obs, out.reward, out.terminated)

    rows = jax.jit(lambda s: jax.lax.scan(act, s, actions)[1])(state)
    next_obs, reward, terminated = (np.asarray(x).reshape(-1, *x.shape[2:]) for x in rows)
    known = reward_measures.KNOWN["inverted_double_pendulum"]
    free = np.abs(next_obs[:, 6:]).max(axis=1) < 10
    assert free.mean() > 0.5 and terminated[free].any() and not terminated[free].all()
    np.testing.assert_array_equal(known.ends(next_obs), terminated)
    known_reward = np.asarray(known.reward(None, None, next_obs))
    np.testing.assert_allclose(known_reward[free], reward[free], rtol=1e-5, atol=1e-4)
    assert (known_reward[~free] >= reward[~free] - 1e-4).all()


@pytest.mark.slow
def test_a_constant_true_reward_has_no_correlation_and_no_epic(played):
    rows, episode = played
    metrics = reward_measures.measures(made(1, 0), rows.replace(reward=np.ones(1200, np.float32)), episode)
    assert metrics["pearson"] is None and metrics["epic"] is None and metrics["dard"] is None


@pytest.mark.parametrize(
    ("name", "package"), [("Acrobot-v1", "gymnasium"), ("LunarLander-v3", "Box2D"), ("Hopper-v5", "imageio")]
)
def test_changed_dynamics_move_differently_from_like_starts_and_fit_the_same_reward(name, package):
    pytest.importorskip(package)  # gymnasium's MuJoCo wants imageio, too
    changed.register()
    changed.register()
    plain, other = gymnasium.make(name), gymnasium.make(changed.HEAVY[name.split("-")[0]])
    assert plain.spec.max_episode_steps == other.spec.max_episode_steps
    assert plain.observation_space == other.observation_space and plain.action_space == other.action_space
    first = [env.reset(seed=0)[0] for env in (plain, other)]
    plain.action_space.seed(0)
    for action in [plain.action_space.sample() for _ in range(5)]:
        after = [env.step(action)[0] for env in (plain, other)]
    gaps = [np.abs(pair[0] - pair[1]).max() for pair in (first, after)]  # LunarLander's reset is a step
    assert gaps[1] > 3 * gaps[0] + 1e-4 and gaps[0] < 0.02
    assert set(changed.DYNAMICS) == set(changed.HEAVY.values())


def test_policies_are_chosen_by_what_they_returned_and_correlated_with_their_own_rewards(
    tmp_path, monkeypatch, played
):
    """Nearest of the snapshots of all seeds: 0.3 of the first and 0.5 of the second; 0.24 was not kept."""
    (tmp_path / "summary.json").write_text(
        json.dumps(
            {
                "method": "iq",
                "env": "x",
                "seeds": [1, 2],
                "returns": [1, 1],
                "random_return": 10,
                "expert_return": 110,
            }
        )
    )
    scores = [(10, 0, 0.24), (20, 0, 0.3), (30, 0, 0.45), (30, 1, 0.5), (40, 0, 0.95)]
    lines = [{"update": n, "run": run, "eval/return": 10 + 100 * score} for n, run, score in scores]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for updates in (20, 30, 40):
        (tmp_path / "snapshots" / str(updates)).mkdir(parents=True)
    monkeypatch.setattr(rewards, "load_snapshot", lambda source, problem, updates: updates)
    monkeypatch.setattr(rewards, "record", lambda problem, state, run, episodes: (state, run))
    assert rewards.levels_of(tmp_path, None) == {
        "at 25 % (seed 1, 20 updates)": (20, 0), "at 50 % (seed 2, 30 updates)": (30, 1)
    }  # fmt: skip

    rows = [jax.tree.map(lambda x, i=i: x[40 * i : 40 * i + 40], played[0]) for i in range(10)]
    groups = {
        label: rows[2 * i : 2 * i + 2] for i, label in enumerate(("random", "policy", "expert", "a", "b"))
    }
    levels = {label: groups.pop(label) for label in "ab"}
    correlations = rewards.by_level(made(-1, 0), groups | {"after 25 %": []}, levels)
    assert correlations["pearson"] == pytest.approx(-1) and correlations["spearman"] == pytest.approx(-1)
    assert correlations["returns"] == {
        label: np.mean([x.reward.sum() for x in levels[label]]) for label in "ab"
    }
    assert rewards.by_level(made(-1, 0), groups, {"a": rows[:2]}) is None


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], ("recovered", "true", "recovered_changed", "true_changed")),
        (["--measure"], ()),
        (["--kinds=true*,recovered"], ("recovered", "true", "true_changed")),
    ],
)
def test_only_the_kinds_that_are_named_are_trained(tmp_path, monkeypatch, options, wanted):
    asked = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", ["rewards", "--only=lunarlander", *options])
    monkeypatch.setattr(rewards, "RUNS", tmp_path)
    monkeypatch.setattr(rewards, "RESULTS", tmp_path)
    monkeypatch.setattr(rewards, "measure", lambda *about: {"measures": {}})
    monkeypatch.setattr(rewards, "trained", lambda folder, name, task, kind, run: asked.update({kind: run}))
    monkeypatch.setattr(rewards, "page", lambda rows: "")
    source = tmp_path / rewards.TASKS["lunarlander"].source
    source.mkdir(parents=True)
    (source / "summary.json").write_text("{}")
    rewards.main()
    assert asked == {kind: kind in wanted for kind in rewards.KINDS}
    rows = json.loads((tmp_path / "rewards.json").read_text())["rows"]
    policies = next(row["policies"] for row in rows if row["name"] == "lunarlander")
    assert policies == {}  # none was trained here


def test_a_row_whose_run_is_not_there_stays_as_it_was(tmp_path, monkeypatch, capsys):
    rows = [{"name": next(iter(rewards.TASKS)), "measures": {}, "note": "measured elsewhere"}]
    (tmp_path / "rewards.json").write_text(json.dumps({"rows": rows}))
    monkeypatch.setattr(rewards, "RUNS", tmp_path)
    monkeypatch.setattr(rewards, "RESULTS", tmp_path)
    monkeypatch.setattr(rewards, "page", lambda rows: "")
    rewards.write(list(rewards.TASKS)[:2], ())
    assert json.loads((tmp_path / "rewards.json").read_text())["rows"] == rows
    assert rewards.TASKS[rows[0]["name"]].command in capsys.readouterr().err


def test_an_unknown_kind_is_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr("sys.argv", ["rewards", "--kinds=ture"])
    with pytest.raises(InputError, match=r"--kinds.*ture.*true"):
        rewards.main()


def test_every_tasks_configuration_takes_its_changes(monkeypatch):
    monkeypatch.chdir(ROOT)
    for task in rewards.TASKS.values():
        config = load_config(task.config) if task.config else base_config()
        for key, value in {**task.changes, **task.changed}.items():
            assign(config, key, value)
        assert not task.config or config.method == "rl"


def test_the_page_shares_returns_by_the_right_yardsticks():
    def policy(*returns, random=None):
        return {
            "returns": list(returns), "random_return": random, "seeds": [1, 2], "env_steps": 10,
            "learner": "soft Q-learning", "provenance": {"commit": "c" * 40},
        }  # fmt: skip

    row = {
        "name": "acrobot", "task": "Acrobot-v1 (gymnax)", "dynamics": "heavier", "seed": 1, "updates": 10,
        "episodes": 30, "steps": 99, "policy_return": -80.0, "expert_return": -80.0, "random_return": -500.0,
        "measures": {"pearson_episodes": 0.25, "starc": 0.125, "epic": None, "dard": 0.375},
        "groups": {"random": {"mean_return": -500.0, "pearson": 0.5, "spearman": None}},
        "levels": {"pearson": 0.875, "spearman": 0.5, "returns": {"at 25 % of the return": -395.0}},
        "provenance": {"commit": "a" * 40, "hardware": "a machine"},
        "policies": {
            "recovered": policy(-185.0, -185.0),
            "recovered_changed": policy(-300.0, random=-400.0), "true_changed": policy(-200.0, random=-400.0),
        },
    }  # fmt: skip
    assert reward_pages.share(row, "recovered") == pytest.approx(0.75)
    assert reward_pages.share(row, "recovered_changed") == pytest.approx(0.5)
    assert reward_pages.share(row, "true") is None  # was not run
    text = reward_pages.page([row])
    expected = "| Acrobot-v1 (gymnax) | 1 | 10 | 0.250 | 0.875 | 0.125 | – | 0.375 | 0.750, – | 0.500 |"
    assert expected in text and "[acrobot](../images/rewards_acrobot.png)" in text
    assert reward_pages.line(row | {"at": "likeness"})[2] == "10, like the demonstrations"
