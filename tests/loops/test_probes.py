"""Tiny environments with known answers, one per capability, through the loops that real runs take."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.envs.registry import ENVIRONMENTS
from iqlearn_jax.ops.tabular.mdp import MDP, soft_value_iteration
from iqlearn_jax.training.evaluation import make_evaluator
from iqlearn_jax.training.problem import make_loop, make_problem
from tests.common import (
    bandit_action,
    deterministic_mdp,
    made_up_config,
    made_up_environments,
    picture_action,
    tabular,
)

LONG = {"updates": 1500, "log_every": 1500, "eval_every": 0, "checkpoint_every": 0, "seeds": 1,
        "online__num_envs": 4, "online__learning_starts": 400, "online__capacity": 10_000}  # fmt: skip

DICE = {"actor_lr": 3e-4, "critic_lr": 3e-3, "gradient_penalty": 10.0}  # ν is to be the faster one


ON_POLICY = {"updates": 150, "log_every": 150, "online__num_envs": 8, "online__rollout_steps": 32,
             "critic_lr": 3e-3, "actor_lr": 3e-3}  # fmt: skip


def trained(config):
    """The problem and its state after all updates."""
    with made_up_environments():
        problem = make_problem(config)
    loop = make_loop(problem)
    inputs = (problem.hparams, problem.seeds, problem.rows, problem.demo_indices)
    run = loop.init(*inputs)
    for _ in range(config.updates // config.log_every):
        run, _ = loop.chunk(problem.hparams, problem.rows, problem.demo_indices, run)
    return problem, jax.device_get(run.state)


def table_after(env, monkeypatch, method="rl", feed="replay", **changes):
    """Q [S, A] of soft Q-learning through the online loop, or through that of rollouts."""
    monkeypatch.setitem(ENVIRONMENTS, "walk", lambda: env)
    settings = LONG | {"critic_lr": 0.02, "batch_size": 64} | changes
    config = made_up_config(method, feed, "walk", **settings)
    problem = make_problem(config)
    loop = make_loop(problem)
    inputs = (problem.hparams, problem.seeds, None, None)
    run, _ = loop.chunk(problem.hparams, None, None, loop.init(*inputs))
    return np.asarray(jax.tree.leaves(run.state.critic["net"])[0])[0, 0]


def chain(length):
    """s -> s + 1 whatever the action; the last state has a self-loop."""
    following = np.minimum(np.arange(length) + 1, length - 1)
    transition = np.repeat(np.eye(length)[following][:, None], 2, axis=1)
    return MDP(transition, np.full(length, 1 / length), 0.9)


@pytest.mark.slow
def test_a_terminal_is_worth_nothing_and_a_reward_on_the_way_is_discounted(monkeypatch):
    """0 → 1 → end with reward 1: Q(1) = 1, Q(0) = γ(1 + τ log 2)."""
    reward = np.float32([[0, 0], [1, 1], [0, 0]])
    env = tabular(chain(3), reward, terminal=np.array([False, False, True]))
    q = table_after(env, monkeypatch, gamma=0.9, temperature=0.1)
    np.testing.assert_allclose(q[1], 1.0, atol=0.02)
    np.testing.assert_allclose(q[0], 0.9 * (1 + 0.1 * np.log(2)), atol=0.03)


@pytest.mark.slow
def test_a_time_limit_is_no_terminal(monkeypatch):
    """Reward 1 for ever, cut after 3 steps: Q = (1 + γτ log 2)/(1 − γ), far above 3."""
    env = tabular(chain(1), np.float32([[1, 1]]), limit=3)
    q = table_after(env, monkeypatch, gamma=0.8, temperature=0.1)
    np.testing.assert_allclose(q[0], (1 + 0.8 * 0.1 * np.log(2)) / 0.2, rtol=0.02)


@pytest.mark.slow
def test_the_online_loop_finds_exact_soft_values(monkeypatch):
    """With noise in the dynamics: every state is started from, exploration is the soft policy's."""
    mdp = deterministic_mdp(4, 3, 1, 0.7)
    mdp = mdp._replace(transition=0.7 * mdp.transition + 0.3 / 4)
    reward = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    env = tabular(mdp, reward)
    q = table_after(env, monkeypatch, gamma=0.7, temperature=1.0, target_network=True, target_rate=0.05)
    with jax.enable_x64(True):
        exact = soft_value_iteration(MDP(*map(jnp.asarray, mdp)), jnp.asarray(reward, jnp.float64), 1.0)
    np.testing.assert_allclose(q, exact, atol=0.25)
    assert np.ptp(np.asarray(exact)) > 2


@pytest.mark.slow
@pytest.mark.parametrize("gae_lambda", [0.0, 0.65, 1.0])
def test_rollouts_find_exact_soft_values_whatever_lambda(monkeypatch, gae_lambda):
    """A return that forgets the entropy of later steps would be off by up to γλτ log A / (1 − γλ)."""
    mdp = deterministic_mdp(4, 3, 1, 0.7)
    mdp = mdp._replace(transition=0.7 * mdp.transition + 0.3 / 4)
    reward = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    sizes = {"updates": 300, "log_every": 300, "online__num_envs": 32, "online__rollout_steps": 32}
    rates = {"critic_lr": 0.02, "lr_decay": 1.0, "gae_lambda": gae_lambda, "epochs": 2, "minibatches": 4}
    q = table_after(
        tabular(mdp, reward), monkeypatch, "pqn", "rollout", gamma=0.7, temperature=1.0, **sizes | rates
    )
    with jax.enable_x64(True):
        exact = soft_value_iteration(MDP(*map(jnp.asarray, mdp)), jnp.asarray(reward, jnp.float64), 1.0)
    np.testing.assert_allclose(q, exact, atol=0.15)


@pytest.mark.parametrize(
    ("method", "feed", "changes"),
    [
        pytest.param("bc", "demos", {"critic_lr": 3e-3}, id="bc", marks=pytest.mark.slow),
        pytest.param("iq", "demos", {"critic_lr": 3e-3}, id="iq offline", marks=pytest.mark.slow),
        pytest.param(
            "iq",
            "replay",
            {"actor_lr": 3e-3, "critic_lr": 3e-3, "value_term": "mixture", "regularize": "both"},
            id="iq online",
            marks=pytest.mark.slow,
        ),
        pytest.param("rl", "replay", {"actor_lr": 3e-3, "critic_lr": 3e-3}, id="rl", marks=pytest.mark.slow),
        pytest.param("ppo", "rollout", ON_POLICY, id="ppo", marks=pytest.mark.slow),
        pytest.param("gail", "rollout", ON_POLICY, id="gail", marks=pytest.mark.slow),
        pytest.param("airl", "rollout", ON_POLICY, id="airl", marks=pytest.mark.slow),
        pytest.param("asaf", "rollout", ON_POLICY, id="asaf", marks=pytest.mark.slow),
        pytest.param(
            "sqil", "replay", {"actor_lr": 3e-3, "critic_lr": 3e-3}, id="sqil", marks=pytest.mark.slow
        ),
        pytest.param(
            "pwil", "replay", {"actor_lr": 3e-3, "critic_lr": 3e-3}, id="pwil", marks=pytest.mark.slow
        ),
        pytest.param(
            "adril",
            "replay",
            {"actor_lr": 3e-3, "critic_lr": 3e-3, "round_updates": 300},
            id="adril",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "dac",
            "replay",
            {"actor_lr": 3e-3, "critic_lr": 3e-3, "gradient_penalty": 1.0},
            id="dac",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "max_entropy_deep",
            "replay",
            {"actor_lr": 3e-3, "critic_lr": 3e-3},
            id="max_entropy_deep",
            marks=pytest.mark.slow,
        ),
        pytest.param("value_dice", "demos", DICE, id="value_dice offline", marks=pytest.mark.slow),
        pytest.param("value_dice", "replay", DICE, id="value_dice online", marks=pytest.mark.slow),
    ],
)
def test_action_gradient_finds_the_linear_expert(method, feed, changes):
    """Actions in a box that is not ±1; the expert's is linear in the observation.

    Random actions are off by 0.9 per dimension (root mean square), the best constant one by 0.4.
    """
    config = made_up_config(
        method, feed, "bandit", hidden=(32,), gamma=0.5, temperature=0.02, demos__trajectories=6,
        demos__subsample=1, **LONG | {"batch_size": 32} | changes,
    )  # fmt: skip
    problem, state = trained(config)
    obs = np.random.default_rng(0).uniform(-1, 1, (500, 2)).astype(np.float32)
    hparams, own = jax.tree.map(lambda x: x[0], (problem.hparams, state))
    action = problem.method.act(hparams, own, obs, jax.random.key(0), True)
    error = np.sqrt(np.mean((np.asarray(action) - bandit_action(obs)) ** 2))
    assert error < 0.3


@pytest.mark.parametrize(
    ("method", "feed"),
    [
        pytest.param("iq", "demos", marks=pytest.mark.slow),
        pytest.param("bc", "demos", marks=pytest.mark.slow),
        pytest.param("rl", "replay", marks=pytest.mark.slow),
        pytest.param("regularized_bc", "demos", marks=pytest.mark.slow),
        pytest.param("value_dice", "demos", marks=pytest.mark.slow),
        pytest.param("avril", "demos", marks=pytest.mark.slow),
    ],
)
def test_pictures_choose_the_action(method, feed):
    """uint8 images through the convolution: the brighter half is the answer."""
    config = made_up_config(
        method, feed, "picture", **LONG | {"updates": 300, "log_every": 300}, hidden=(16,), gamma=0.5,
        demos__trajectories=6, demos__subsample=1, critic_lr=3e-3,
    )  # fmt: skip
    problem, state = trained(config)
    rng = np.random.default_rng(1)
    bright = np.repeat(rng.integers(0, 2, 200), 36).reshape(200, 6, 6) == (np.arange(6) >= 3)
    obs = (rng.integers(0, 60, (200, 6, 6)) + 180 * bright)[..., None].astype(np.uint8)
    hparams, own = jax.tree.map(lambda x: x[0], (problem.hparams, state))
    action = problem.method.act(hparams, own, obs, jax.random.key(0), True)
    assert np.mean(np.asarray(action) == picture_action(obs)) > 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"method": "value_dice", "terminal": "absorbing", "gradient_penalty": 10.0, "actor_lr": 1e-3},
        {"method": "avril", "temperature": 1.0},
        {"method": "edm", "chain_count": 100},
        {"method": "dsfn", "target_network": True, "round_updates": 250, "gamma": 0.9, "features": 16},
        {"method": "lstd_mu", "updates": 30, "log_every": 30, "gamma": 0.9},
    ],
    ids=lambda changes: changes["method"],
)
def test_the_walk_is_learned_from_demonstrations(changes):
    """By methods whose reward, if they have one, says nothing of actions that nobody took."""
    config = made_up_config(
        feed="demos", env_name="walk", hidden=(32,), demos__trajectories=6, demos__subsample=1,
        critic_lr=1e-3, **LONG | changes,
    )  # fmt: skip
    problem, state = trained(config)
    assert make_evaluator(problem)(jax.tree.map(jnp.asarray, state), 10).returns.mean() == pytest.approx(1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "feed", "changes"),
    [
        ("iq", "demos", {}),
        ("regularized_bc", "demos", {"reward_weight": 0.1}),
        ("sqil", "replay", {"terminal": "absorbing", "gamma": 0.9}),  # with "zero" it learns to live on
        ("adril", "replay", {"round_updates": 300}),
        ("dac", "replay", {"terminal": "absorbing", "gradient_penalty": 1.0}),
        ("pwil", "replay", {}),
        ("max_entropy_deep", "replay", {"terminal": "absorbing"}),
        ("ppo", "rollout", ON_POLICY),
        ("iq", "rollout", ON_POLICY | {"value_term": "policy", "regularize": "both", "terminal": "bounded"}),
        ("sqil", "rollout", ON_POLICY | {"terminal": "absorbing"}),
        ("dac", "rollout", ON_POLICY | {"terminal": "absorbing", "gradient_penalty": 1.0}),
        ("gail", "rollout", ON_POLICY | {"terminal": "absorbing"}),
        ("airl", "rollout", ON_POLICY),
        ("asaf", "rollout", ON_POLICY | {"window": 4}),
        ("asaf", "rollout", ON_POLICY | {"window": 0}),
    ],
)
def test_the_expert_of_the_walk_is_recovered(method, feed, changes):
    """It pushes right: the return is the expert's, a recovered reward is higher there."""
    config = made_up_config(
        method, feed, "walk", hidden=(32,), demos__trajectories=6, demos__subsample=1,
        **LONG | {"critic_lr": 1e-3, "temperature": 0.05} | changes,
    )  # fmt: skip
    problem, state = trained(config)
    assert make_evaluator(problem)(jax.tree.map(jnp.asarray, state), 10).returns.mean() == pytest.approx(1.0)
    if problem.method.reward is None:
        return
    hparams, own = jax.tree.map(lambda x: x[0], (problem.hparams, state))
    rows = jax.tree.map(lambda x: x[:20], problem.rows)
    reward = [
        problem.method.reward(
            hparams, own, rows.replace(action=jnp.full(20, a, jnp.int32)), jax.random.key(0)
        )
        for a in (0, 2)
    ]
    assert (reward[1] > reward[0]).mean() > 0.9
