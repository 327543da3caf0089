"""EDM: Langevin chains against known densities and exact marginals, its loss and slope in NumPy, its chains
move by move."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp
from scipy.stats import kstest, norm

from iqlearn_jax.errors import InputError
from iqlearn_jax.ops.baselines.langevin import langevin
from iqlearn_jax.types import Batch
from tests.common import compiled, configure, deterministic_mdp, hyper, random_rows, spec_of, table_spec

CENTRES, SPREADS = np.array([-1.2, 1.0]), np.array([0.8, 0.5])


def energy(x):
    """E(s) = −log Σ_a exp f(s)_a [B], with f quadratic in s [B, 1]: exp(−E) is a mixture of two Gaussians."""
    f = -0.5 * ((x - CENTRES) / SPREADS) ** 2 - np.log(SPREADS)
    return -jax.nn.logsumexp(f, axis=-1)


def test_chains_have_the_density_of_their_energy():
    """4000 chains from far away, small steps, noise √(2·step): Kolmogorov-Smirnov against the mixture."""
    step, start = 0.01, jnp.linspace(-3, 3, 4000)[:, None]
    slope = jax.grad(lambda x: jnp.sum(energy(x)))
    walk = jax.jit(lambda x, key: langevin(slope, x, key, step, np.sqrt(2 * step), 2000))
    drawn = np.asarray(walk(start, jax.random.key(0)))[:, 0]

    def mixture(x):
        return np.mean([norm.cdf(x, c, s) for c, s in zip(CENTRES, SPREADS, strict=True)], axis=0)

    assert kstest(drawn, mixture).statistic < 0.03  # 0.026 is the 1 % point for 4000 draws
    assert kstest(np.asarray(start)[:, 0], mixture).statistic > 0.1


def test_without_noise_a_chain_descends():
    actual = langevin(lambda x: 2 * x, jnp.ones((1, 1)), jax.random.key(0), 0.1, 0.0, 3)
    assert float(actual[0, 0]) == pytest.approx(0.8**3)


# A network of ReLUs on the plane whose exp(−E) = Σ_a exp f(s)_a falls off on all sides.
INNER = np.array([[1.0, -1.0, 0.0, 0.0, 0.8, -0.8], [0.0, 0.0, 1.0, -1.0, 0.8, -0.8]])
INNER_BIAS = np.array([0.3, 0.5, 0.2, -0.4, 0.1, 0.6])
OUTER = -np.array(
    [[3.2, 1.2, 2.4], [1.3, 3.6, 1.7], [2.6, 1.5, 4.0], [1.4, 3.2, 1.6], [0.7, 1.0, 0.9], [1.2, 0.6, 1.0]]
)
OUTER_BIAS = np.array([0.4, 0.0, 0.8])
EDGES = np.array([-0.8, -0.3, 0.1, 0.5])  # five bins to an axis, 25 in all
CHAINS = 8192


def exact_shares(reach=8.0, points=800):
    """[25] probabilities of the bins under p ∝ exp(−E): a sum over the cells of a fine grid of [−8, 8]²."""
    line = (np.arange(points) + 0.5) / points * 2 * reach - reach
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    f = np.maximum(grid @ INNER + INNER_BIAS, 0) @ OUTER + OUTER_BIAS
    p = np.exp(f).sum(axis=1)
    far = (np.abs(grid) > reach - 1).any(axis=1)
    assert p[far].sum() < 1e-4 * p.sum()
    return shares(grid, p)


def shares(points, weights=None):
    """[25] of the points' weight."""
    cell = np.digitize(points, EDGES) @ [5, 1]
    actual = np.bincount(cell, weights, minlength=25)
    return actual / actual.sum()


@pytest.fixture(scope="module")
def sampled():
    """(step size, noise) -> [25] shares of the bins among EDM's chains after 3,000 moves, by its own updates.

    The network stands still (rate 0). Step size and noise are traced: all callers share one program.
    """
    config = configure(
        method="edm", hidden=(6,), critic_lr=0.0, weight_decay=0.0, batch_size=CHAINS, chain_count=CHAINS,
        chain_steps=500, chain_restart=0.0,
    )  # fmt: skip
    spec = spec_of(obs_shape=(2,), num_actions=3)
    method, hparams = compiled(config, spec), hyper(config, spec)
    batch, update = Batch(expert=random_rows(spec, CHAINS)), method.update
    layers = (
        {"kernel": INNER[None], "bias": INNER_BIAS[None]},
        {"kernel": OUTER[None], "bias": OUTER_BIAS[None]},
    )
    net = {"params": {"MLP_0": {"Dense_0": layers[0]}, "Dense_0": layers[1]}}

    def run(step_size, noise):
        state = method.init(jax.random.key(0), hparams)
        forced = jax.tree.map(lambda old, new: jnp.asarray(new, old.dtype), state.critic["net"], net)
        state = state.replace(critic=state.critic | {"net": forced})
        for number in range(6):
            given = hparams | {"chain_step_size": step_size, "chain_noise": noise}
            state, _ = update(given, state, batch, jax.random.key(number))
        assert jax.tree.all(jax.tree.map(np.array_equal, state.critic["net"], forced))
        return shares(np.asarray(state.chains))

    return run


def monte_carlo_bound(p, draws):
    """At most once in 1,000 the total variation between p and the shares of independent draws is larger.

    Its mean is at most Σ √(p(1 − p)/draws)/2, and one draw moves it by 1/draws at most (McDiarmid 1989).
    """
    return 0.5 * np.sqrt(p * (1 - p) / draws).sum() + np.sqrt(np.log(1000) / (2 * draws))


def total_variation(p, q):
    return 0.5 * np.abs(p - q).sum()


def test_the_methods_chains_have_the_exact_marginals_of_its_network(sampled):
    """Small moves with noise √(2·step): 25 bins of the plane against sums of exp(−E)."""
    exact = exact_shares()
    bound = monte_carlo_bound(exact, CHAINS)
    assert bound < 0.05 < total_variation(exact, np.full(25, 1 / 25))
    assert total_variation(exact, sampled(0.01, np.sqrt(0.02))) < bound


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step_size", "noise"),
    [(0.01, 0.1), (0.01, 0.2), (0.5, 1.0)],
    ids=["colder", "hotter", "long moves"],
)
def test_another_ratio_of_noise_or_long_moves_miss_the_marginals(sampled, step_size, noise):
    """Temperatures of 1/2 and 2, and the right ratio at a step that is no longer small."""
    exact = exact_shares()
    assert total_variation(exact, sampled(step_size, noise)) > 2 * monte_carlo_bound(exact, CHAINS)


def setup(**changes):
    """A linear network f = sW + b on unscaled vectors, as many chains as a batch has rows."""
    config = configure(method="edm", hidden=(), batch_size=16, chain_count=16, **changes)
    spec = spec_of(obs_shape=(2,), num_actions=3)
    method, hparams = compiled(config, spec), hyper(config, spec)
    state = method.init(jax.random.key(0), hparams)
    layer = state.critic["net"]["params"]["Dense_0"]
    kernel, bias = np.asarray(layer["kernel"])[0], np.asarray(layer["bias"])[0]
    after, metrics = method.update(hparams, state, Batch(expert=random_rows(spec, 16)), jax.random.key(1))
    return random_rows(spec, 16), kernel, bias, state, after, metrics


@pytest.mark.parametrize("square", [0.0, 0.7])
def test_loss_and_slope_are_those_of_the_paper_and_of_the_squared_gap(square):
    rows, kernel, bias, _, after, metrics = setup(gap_square=square)
    f, model = rows.obs @ kernel + bias, np.asarray(after.chains) @ kernel + bias
    cloning = -log_softmax(f, axis=1)[np.arange(16), rows.action].mean()
    expert, drawn = -logsumexp(f, axis=1).mean(), -logsumexp(model, axis=1).mean()
    assert float(metrics["edm/cloning_loss"]) == pytest.approx(cloning, rel=1e-4)
    assert float(metrics["edm/energy_chains"]) == pytest.approx(drawn, rel=1e-4)
    gap = expert - drawn
    assert float(metrics["edm/loss"]) == pytest.approx(cloning + gap + square * gap**2, rel=1e-4)
    chosen, policy, other = (np.eye(3)[rows.action], *(np.exp(log_softmax(x, axis=1)) for x in (f, model)))
    apart = np.asarray(after.chains).T @ other - rows.obs.T @ policy  # the gap's slope
    slope = (rows.obs.T @ (policy - chosen) + (1 + 2 * square * gap) * apart) / 16
    moment = after.critic_opt.mu["net"]["params"]["Dense_0"]["kernel"][0] / 0.1
    np.testing.assert_allclose(moment, slope, atol=1e-4)


def test_chains_persist_and_follow_the_networks_energy():
    _, kernel, bias, before, after, _ = setup(
        chain_steps=1, chain_noise=0.0, chain_restart=0.0, chain_step_size=0.3
    )
    x = np.asarray(before.chains)
    expected = x + 0.3 * np.exp(log_softmax(x @ kernel + bias, axis=1)) @ kernel.T
    np.testing.assert_allclose(after.chains, expected, atol=1e-5)
    assert np.abs(after.chains - x).max() > 0.05


@pytest.mark.parametrize("restart", [0.0, 0.5, 1.0])
def test_chains_start_anew_with_their_probability(restart):
    *_, before, after, _ = setup(chain_step_size=0.0, chain_noise=0.0, chain_restart=restart)
    kept = (np.asarray(before.chains) == np.asarray(after.chains)).all(axis=1).mean()
    assert kept == pytest.approx(1 - restart, abs=0.3 if restart == 0.5 else 0)


def test_only_a_block_of_the_chains_moves():
    config = configure(method="edm", hidden=(4,), batch_size=4, chain_count=10)
    spec = spec_of(obs_shape=(2,), num_actions=3)
    method, hparams = compiled(config, spec), hyper(config, spec)
    state = method.init(jax.random.key(0), hparams)
    update = method.update
    moved = np.zeros(10, bool)
    for number in range(20):
        after, _ = update(hparams, state, Batch(expert=random_rows(spec, 4)), jax.random.key(number))
        changed = (np.asarray(after.chains) != np.asarray(state.chains)).any(axis=1)
        assert changed.sum() == 4
        moved, state = moved | changed, after
    assert moved.all()


@pytest.mark.parametrize(
    ("changes", "spec", "message"),
    [
        ({}, spec_of(), r"edm.*discrete actions.*sum over all actions"),
        ({}, spec_of(obs_shape=(6, 6, 1), num_actions=2), r"shape \[6, 6, 1\].*'edm'.*--config.method=bc"),
        ({"chain_count": 8}, spec_of(num_actions=3), r"config.chain_count is 8.*--config.chain_count=32"),
        ({"critics": 2}, spec_of(num_actions=3), r"config.critics is 2"),
    ],
)
def test_what_has_no_meaning_is_refused(changes, spec, message):
    with pytest.raises(InputError, match=message):
        compiled(configure(method="edm", **changes), spec)


def test_integer_states_are_refused():
    spec = table_spec(deterministic_mdp(4, 3, 0), 3)
    with pytest.raises(InputError, match=r"shape \[\].*'edm'"):
        compiled(configure(method="edm"), spec)
