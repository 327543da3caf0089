"""DAC: discriminator against exact log-ratios, penalty against finite differences, the RL step's rewards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.agents.common import make_preprocess
from iqlearn_jax.methods.imitation.discriminator import end_point, make_discriminator, with_ends
from iqlearn_jax.ops.baselines.adversarial import REWARD_SHAPES, logistic_loss, shaped_reward
from iqlearn_jax.types import Batch
from tests.common import configure, hyper, random_rows, spec_of
from tests.methods.densities import drawn_from, every_pair, two_occupancies
from tests.methods.soft_rl_reference import STATES, check_update, setup, uneven_batch

CLOSED = {
    "log_odds": lambda d: np.log(d) - np.log(1 - d),
    "positive": lambda d: -np.log(1 - d),
    "negative": lambda d: np.log(d),
}


@pytest.mark.parametrize("shape", REWARD_SHAPES)
def test_reward_shapes_have_their_closed_forms(shape):
    logit = np.linspace(-6, 6, 25)
    with jax.enable_x64(True):
        actual = shaped_reward(jnp.asarray(logit), shape)
        far = shaped_reward(jnp.asarray([-800.0, 800.0]), shape)
    np.testing.assert_allclose(actual, CLOSED[shape](1 / (1 + np.exp(-logit))), atol=1e-12)
    assert np.isfinite(far).all()


def test_the_log_odds_are_the_sum_of_the_signed_rewards():
    logit = jnp.linspace(-6, 6, 25)
    signed = [shaped_reward(logit, shape) for shape in ("positive", "negative")]
    assert (signed[0] > 0).all() and (signed[1] < 0).all()
    np.testing.assert_allclose(signed[0] + signed[1], shaped_reward(logit, "log_odds"), atol=1e-5)


def test_logistic_loss_is_cross_entropy():
    logit = np.linspace(-6, 6, 25)
    d = 1 / (1 + np.exp(-logit))
    np.testing.assert_allclose(logistic_loss(jnp.asarray(logit), True), -np.log(d), rtol=1e-4)
    np.testing.assert_allclose(logistic_loss(jnp.asarray(logit), False), -np.log(1 - d), rtol=1e-4)


def test_trained_log_odds_are_the_log_ratio_of_occupancies():
    """Of every (s, a), and of the absorbing state: log of the shares of ends. The reward is the logit."""
    densities = two_occupancies()
    (expert, p), (policy, q) = drawn_from(densities[0], 1000, 30), drawn_from(densities[1], 1000, 120)
    np.testing.assert_allclose([p, q], densities, atol=1e-3)
    _, made, hparams, state, _ = setup("dac", terminal="absorbing", hidden=(32,))
    batch = Batch(policy=policy, expert=expert)

    @jax.jit
    def train(state):
        def step(state, rate):
            rates = {"discriminator_lr": rate, "critic_lr": rate}
            return made.update(hparams | rates, state, batch, jax.random.key(0))[0], None

        return jax.lax.scan(step, state, jnp.geomspace(0.02, 1e-4, 1500))[0]

    state = train(state)
    actual = made.reward(hparams, state, every_pair(), jax.random.key(0))
    wanted = np.log(p / q).ravel()
    np.testing.assert_allclose(actual, wanted, atol=0.03)
    assert np.abs(wanted).max() > 0.5
    share = np.log((30 / expert.obs.size) / (120 / policy.obs.size))
    assert float(made.end_reward(hparams, state)) == pytest.approx(share, abs=0.05)


CONTINUOUS = spec_of(obs_shape=(3,))


def judge_of(spec, **changes):
    config = configure(method="dac", feed="replay", gradient_penalty=10.0, **changes)
    return make_discriminator(config, spec, make_preprocess(spec)), hyper(config, spec)


def penalty_of(judge, hparams, params, expert, policy):
    batch = Batch(expert=expert, policy=policy)
    metrics = jax.jit(judge.loss)(hparams, params, batch, jax.random.key(1))[1]
    return float(metrics["discriminator/penalty"])


@pytest.mark.parametrize("treatment", ["zero", "absorbing"])
@pytest.mark.parametrize("spec", [CONTINUOUS, spec_of(num_actions=3)], ids=["continuous", "discrete"])
def test_gradient_penalty_of_a_linear_discriminator(spec, treatment):
    """Its gradient is its weights, wherever the interpolates lie: 10·(‖w‖ − 1)²."""
    judge, hparams = judge_of(spec, hidden=(), terminal=treatment)
    params = judge.init(jax.random.key(0))
    kernel = 3 * np.asarray(params["params"]["Dense_0"]["kernel"])
    params = {"params": {"Dense_0": {"kernel": jnp.asarray(kernel), "bias": jnp.zeros(1)}}}
    actual = penalty_of(judge, hparams, params, random_rows(spec, 6, 0), random_rows(spec, 6, 1))
    assert kernel.shape[0] == (3 + 2 + 1 if not spec.discrete else 3 + 3 + 1)
    assert actual == pytest.approx(10 * (np.linalg.norm(kernel) - 1) ** 2, rel=1e-4)


def test_gradient_penalty_is_that_of_finite_differences():
    """Both sides are the same rows, so every interpolate is one; a NumPy network at shifted inputs."""
    judge, hparams = judge_of(CONTINUOUS, hidden=(16,))
    params, rows = judge.init(jax.random.key(0)), random_rows(CONTINUOUS, 8)
    hidden, last = params["params"]["MLP_0"]["Dense_0"], params["params"]["Dense_0"]

    def logit(x):
        x = np.maximum(x @ np.float64(hidden["kernel"]) + np.float64(hidden["bias"]), 0)
        return (x @ np.float64(last["kernel"]) + np.float64(last["bias"]))[:, 0]

    low, high = CONTINUOUS.action_low, CONTINUOUS.action_high
    unit = 2 * (np.float64(rows.action) - low) / (high - low) - 1
    x = np.concatenate([np.float64(rows.obs), unit, np.zeros((8, 1))], axis=1)
    np.testing.assert_allclose(judge.logit(hparams, params, rows), logit(x), atol=1e-5)
    slopes = [(logit(x + 1e-6 * e) - logit(x - 1e-6 * e)) / 2e-6 for e in np.eye(x.shape[1])]
    wanted = 10 * np.mean((np.linalg.norm(slopes, axis=0) - 1) ** 2)
    assert penalty_of(judge, hparams, params, rows, rows) == pytest.approx(wanted, rel=1e-3)
    assert wanted > 0.01


def test_half_of_the_terminal_rows_are_the_absorbing_state_in_the_penalty():
    rows = random_rows(CONTINUOUS, 2000, ends=0.5)
    point = jnp.asarray(rows.obs), jnp.pad(jnp.asarray(rows.action), ((0, 0), (0, 1)))
    x, extra = with_ends(CONTINUOUS, point, rows, jax.random.key(0))
    ended = np.asarray(extra[:, -1]) == 1
    assert not ended[~rows.terminated].any()
    assert ended[rows.terminated].mean() == pytest.approx(0.5, abs=0.05)
    assert (np.asarray(x)[ended] == 0).all() and (np.asarray(extra)[ended, :-1] == 0).all()
    np.testing.assert_array_equal(np.asarray(x)[~ended], rows.obs[~ended])
    assert jax.tree.map(jnp.shape, end_point(CONTINUOUS)) == ((1, 3), (1, 3))


@pytest.mark.parametrize("treatment", [pytest.param("zero", marks=pytest.mark.slow), "absorbing"])
@pytest.mark.parametrize(
    "shape",
    [pytest.param(name, marks=pytest.mark.slow if name == "negative" else []) for name in REWARD_SHAPES],
)
def test_the_critic_learns_from_the_learners_rows_and_the_discriminators_reward(shape, treatment):
    """A linear discriminator that stands still: log-odds of (s, a) are a sum of three known weights."""
    with jax.enable_x64(True):
        spec, made, hparams, state, table = setup(
            "dac", terminal=treatment, reward_shape=shape, hidden=(), discriminator_lr=0.0
        )
        batch = uneven_batch(spec)
        dense = state.discriminator["params"]["Dense_0"]
        weights, bias = np.float64(dense["kernel"])[:, 0], float(dense["bias"][0])
        odds = lambda logit: CLOSED[shape](1 / (1 + np.exp(-logit)))  # noqa: E731
        rows = batch.policy
        here = odds(weights[rows.obs] + weights[STATES + np.asarray(rows.action)] + bias)
        end = odds(weights[-1] + bias)
        after = check_update(
            made, hparams, state, table, batch, {"policy": here}, {"policy": end}, treatment == "absorbing"
        )
    assert jax.tree.all(jax.tree.map(np.array_equal, after.discriminator, state.discriminator))
