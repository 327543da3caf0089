"""AVRIL: its bound against SciPy, its slope by differences, and where the next action comes from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.special import log_softmax
from scipy.stats import norm

from iqlearn_jax.data.demos import transitions
from iqlearn_jax.data.frames import frame_rows
from iqlearn_jax.data.sampling import DemoIndices, sample_expert
from iqlearn_jax.errors import InputError
from iqlearn_jax.ops.baselines.variational import kl_to_standard_normal, normal_log_density
from iqlearn_jax.types import Batch
from tests.common import (
    compiled,
    configure,
    demos_of,
    deterministic_mdp,
    hyper,
    random_rows,
    spec_of,
    table_spec,
)

STATES, ACTIONS, GAMMA, BETA, WEIGHT = 4, 3, 0.8, 2.0, 0.7


def test_gaussian_terms_are_those_of_scipy():
    mean, log_std, x = np.random.default_rng(0).normal(size=(3, 5))
    actual = normal_log_density(x, mean, log_std)
    np.testing.assert_allclose(actual, norm.logpdf(x, mean, np.exp(log_std)), rtol=1e-5)

    def integrand(r, m, s):
        return norm.pdf(r, m, s) * (norm.logpdf(r, m, s) - norm.logpdf(r))

    pairs = zip(mean, np.exp(log_std), strict=True)
    exact = [quad(integrand, m - 12 * s, m + 12 * s, args=(m, s))[0] for m, s in pairs]
    np.testing.assert_allclose(kl_to_standard_normal(mean, log_std), exact, rtol=1e-4)


def setup():
    config = configure(method="avril", gamma=GAMMA, temperature=1 / BETA, reward_weight=WEIGHT)
    spec = table_spec(deterministic_mdp(STATES, ACTIONS, 0, GAMMA), ACTIONS)
    method, hparams = compiled(config, spec), hyper(config, spec)
    state = method.init(jax.random.key(0), hparams)
    rng = np.random.default_rng(1)
    q, out = rng.normal(size=(STATES, ACTIONS)), rng.normal(size=(STATES, 2 * ACTIONS))

    def put(tree, table):
        return jax.tree.map(lambda _: jnp.asarray(table, jnp.float32)[None], tree)

    critic = state.critic | {
        "net": put(state.critic["net"], q),
        "encoder": put(state.critic["encoder"], out),
    }
    rows = random_rows(spec, 30, ends=0.2)
    assert rows.terminated.any() and rows.truncated.any()
    batch = Batch(expert=rows, next_action=rng.integers(0, ACTIONS, 30).astype(np.int32))
    return method, hparams, state.replace(critic=critic), batch, q, out


def bound_by_hand(q, out, batch):
    """Bound and its three terms."""
    rows = batch.expert
    mean, std = out[rows.obs, rows.action], np.exp(5 * np.tanh(out[rows.obs, ACTIONS + rows.action] / 5))
    likelihood = log_softmax(BETA * q, axis=1)[rows.obs, rows.action].mean()
    divergence = (0.5 * (std**2 + mean**2 - 1) - np.log(std)).mean()
    next_q = np.where(rows.terminated, 0.0, q[rows.next_obs, batch.next_action])
    density = norm.logpdf(q[rows.obs, rows.action] - GAMMA * next_q, mean, std)
    density = density[~(rows.truncated & ~rows.terminated)].mean()
    return likelihood - divergence + WEIGHT * density, likelihood, divergence, density


def test_the_bound_and_its_slope_are_those_of_the_paper():
    method, hparams, state, batch, q, out = setup()
    after, metrics = method.update(hparams, state, batch, jax.random.key(0))
    names = ("bound", "log_likelihood", "kl", "log_density")
    actual = [metrics[f"avril/{name}"] for name in names]
    np.testing.assert_allclose(actual, bound_by_hand(q, out, batch), rtol=1e-4)

    def whole(x):
        return bound_by_hand(x[: q.size].reshape(q.shape), x[q.size :].reshape(out.shape), batch)[0]

    slope = approx_fprime(np.r_[q.ravel(), out.ravel()], whole, 1e-7)
    moments = [jax.tree.leaves(after.critic_opt.mu[name])[0] for name in ("net", "encoder")]  # 0.1 ∇loss
    np.testing.assert_allclose(np.concatenate([m.ravel() for m in moments]) / 0.1, -slope, atol=1e-4)
    rows = batch.expert
    np.testing.assert_allclose(
        method.reward(hparams, state, rows, None), out[rows.obs, rows.action], rtol=1e-5
    )


def test_a_next_action_counts_where_the_episode_went_on_and_nowhere_else():
    method, hparams, state, batch, *_ = setup()
    update, ended = method.update, batch.expert.terminated | batch.expert.truncated
    before = update(hparams, state, batch, jax.random.key(0))[1]["avril/log_density"]
    other = (batch.next_action + 1) % ACTIONS
    behind_ends = batch.replace(next_action=np.where(ended, other, batch.next_action))
    on_the_way = batch.replace(next_action=np.where(ended, batch.next_action, other))
    assert update(hparams, state, behind_ends, jax.random.key(0))[1]["avril/log_density"] == before
    assert update(hparams, state, on_the_way, jax.random.key(0))[1]["avril/log_density"] != before


@pytest.mark.parametrize("form", ["rows", "frames"])
def test_the_next_action_is_that_of_the_demonstration(form):
    """Also where only every third step is kept: it is read from the whole episode."""
    demos = demos_of("picture")
    rows = jax.tree.map(jnp.asarray, transitions(demos) if form == "rows" else frame_rows(demos, 1))
    kept = np.arange(0, len(demos), 3)
    indices = DemoIndices(
        indices=jnp.asarray(kept), count=jnp.int32(len(kept)), initial=jnp.asarray(kept[:1])
    )
    batch = sample_expert(rows, indices, jax.random.key(0), 64)
    ended = np.flatnonzero(demos.terminals | demos.truncations)
    for obs, actual in zip(np.asarray(batch.expert.obs), np.asarray(batch.next_action), strict=True):
        (number,) = np.flatnonzero((demos.observations == obs).all(axis=(1, 2, 3)))
        assert number in kept
        assert number in ended or actual == demos.actions[number + 1]
    assert len(set(np.asarray(batch.next_action).tolist())) == 2


def test_continuous_actions_are_refused():
    with pytest.raises(InputError, match=r"avril.*discrete actions.*softmax over all actions.*--config"):
        compiled(configure(method="avril"), spec_of())


def test_ensembles_are_refused():
    with pytest.raises(InputError, match=r"config.critics is 2"):
        compiled(configure(method="avril", critics=2), spec_of(num_actions=3))
