from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from iqlearn_jax.errors import InputError
from iqlearn_jax.ops.iq.divergences import DIVERGENCES, domain_penalty, guarded_phi
from tests.ops.ops_oracles import GENERATORS, LOWER, SLOPES, conjugate

ALPHAS = (0.3, 1.0, 2.5)
X = np.concatenate([np.linspace(-4, 6, 81), [-9.7, 1e-3, 15.2]])  # r/α
FAR = np.array([0.0, 1e-30, 1e-3, 0.5, 1, 3, 20, 89, 1e3, 1e6, 1e17])
csiszar = pytest.mark.parametrize("name", sorted(GENERATORS))
every = pytest.mark.parametrize("name", sorted(DIVERGENCES))


@pytest.fixture(autouse=True, scope="module")
def _x64():
    with jax.enable_x64(True):
        yield


def inside(name):
    return X[LOWER.get(name, -np.inf) + 1e-9 < X]


def slope(function, r):
    return jax.jit(jax.vmap(jax.grad(function)))(jnp.asarray(r))


def test_catalogue_is_the_table():
    assert set(DIVERGENCES) == {*SLOPES} == {*GENERATORS, "w1"}
    assert all(name == record.name for name, record in DIVERGENCES.items())


@pytest.mark.parametrize("alpha", ALPHAS)
@csiszar
def test_phi_is_the_concave_conjugate_of_f(name, alpha):
    x = inside(name)
    expected = [conjugate(name, alpha * each, alpha) for each in x]
    actual = DIVERGENCES[name].phi(jnp.asarray(alpha * x), alpha)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted(LOWER))
def test_phi_is_minus_infinity_below_the_domain_as_the_conjugate_is(name):
    alpha, x = 2.0, LOWER[name] - 0.1
    assert conjugate(name, alpha * x, alpha) < -1e6
    phi = lambda r: DIVERGENCES[name].phi(r, alpha)  # noqa: E731
    assert phi(alpha * x) == -np.inf
    assert jax.grad(phi)(alpha * x) == 0
    if name != "tv":  # its end belongs to the domain; the others' slope is infinite there
        assert phi(alpha * LOWER[name]) == -np.inf
        assert jax.grad(phi)(alpha * LOWER[name]) == 0


@pytest.mark.parametrize("alpha", ALPHAS)
@every
def test_slope_from_autodiff_is_the_closed_form(name, alpha):
    x = inside(name)
    x = x[~np.isclose(x, 1.0)] if name == "tv" else x  # a kink
    actual = slope(lambda r: DIVERGENCES[name].phi(r, alpha), alpha * x)
    np.testing.assert_allclose(actual, SLOPES[name](x), rtol=1e-9, atol=1e-12)


@csiszar
def test_generator_matches(name):
    t = np.array([1e-6, 0.2, 1.0, 1.7, 40.0])
    np.testing.assert_allclose(DIVERGENCES[name].generator(t, 2.5), 2.5 * GENERATORS[name](t), atol=1e-12)
    at_zero = DIVERGENCES[name].generator(0.0, 1.0)
    assert at_zero == np.inf if name == "forward_kl" else np.isfinite(at_zero)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(DIVERGENCES)), st.floats(-5, 5), st.floats(0, 20), st.floats(0.2, 5))
def test_fenchel_young(name, x, t, alpha):
    record, r = DIVERGENCES[name], alpha * x
    assume(x > record.lower)
    assert float(record.phi(r, alpha)) <= t * r + float(record.generator(t, alpha)) + 1e-9


@csiszar
def test_optimal_reward_solves_slope_equals_ratio(name):
    w, alpha = np.array([0.05, 0.6, 0.99, 1.3, 8.0]), 1.7
    r = np.asarray(DIVERGENCES[name].optimal_reward(w, alpha))
    if name == "tv":
        np.testing.assert_array_equal(r, alpha * np.sign(w - 1))
        return
    np.testing.assert_allclose(SLOPES[name](r / alpha), 1 / w, rtol=1e-12)


def test_wasserstein_has_no_pointwise_optimum():
    assert DIVERGENCES["w1"].optimal_reward is None


@every
def test_monotone_flag_and_domain_tell_the_truth(name):
    record = DIVERGENCES[name]
    slopes = SLOPES[name](inside(name))
    assert record.monotone == bool((slopes >= 0).all())
    lower, upper = record.domain(2.0)
    assert lower == 2 * LOWER.get(name, -np.inf)
    assert upper == (2.0 if name == "tv" else np.inf)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every
def test_guard_is_finite_and_concave_everywhere(name, dtype):
    r = jnp.asarray(np.sort(np.concatenate([-FAR, FAR, X])), dtype)
    guarded = lambda r, a: guarded_phi(DIVERGENCES[name], r, a)  # noqa: E731
    both = jax.vmap(jax.vmap(jax.value_and_grad(guarded, (0, 1)), (0, None)), (None, 0))
    values, (by_r, by_alpha) = jax.jit(both)(r, jnp.asarray(ALPHAS, dtype))
    assert values.dtype == by_r.dtype == dtype
    assert np.isfinite(values).all() and np.isfinite(by_r).all() and np.isfinite(by_alpha).all()
    by_r = np.asarray(by_r, np.float64)
    assert (np.diff(by_r) <= 1e-5 * np.abs(by_r[:, 1:]) + 1e-9).all(), "the slope must not grow with r"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every
def test_guard_is_phi_inside(name, dtype):
    alpha, record = dtype(1.5), DIVERGENCES[name]
    x = inside(name)
    r = jnp.asarray(1.5 * x[SLOPES[name](x) < 99], dtype)
    assert len(r) > 40
    np.testing.assert_allclose(
        guarded_phi(record, r, alpha), record.phi(r, alpha), rtol=4 * np.finfo(dtype).eps
    )
    exact = slope(lambda x: record.phi(x, alpha), r)
    np.testing.assert_allclose(slope(lambda x: guarded_phi(record, x, alpha), r), exact, rtol=1e-6)
    everywhere = jnp.asarray(1.5 * x[x > LOWER.get(name, -np.inf) + 1e-3], dtype)
    np.testing.assert_allclose(
        guarded_phi(record, everywhere, alpha, steepest=1e8),
        record.phi(everywhere, alpha),
        rtol=4 * np.finfo(dtype).eps,
    )


@pytest.mark.parametrize(("name", "push"), [("forward_kl", 40), ("hellinger", 40), ("js", 40), ("tv", 10)])
def test_guard_pushes_back_into_the_domain(name, push):
    record, alpha = DIVERGENCES[name], 0.5
    outside = alpha * (LOWER[name] - np.array([1e-6, 1.0, 1e9]))
    measured = slope(lambda r: guarded_phi(record, r, alpha, steepest=40.0), outside)
    np.testing.assert_allclose(measured, push, rtol=1e-12)


KNOTS = {  # where φ' = 40, solved by hand
    "forward_kl": 0.025,
    "hellinger": 40**-0.5 - 1,
    "js": np.log(41 / 80),
    "reverse_kl": -np.log(40) - 1,
    "reverse_kl_unbiased": -np.log(40),
}


@pytest.mark.parametrize("name", KNOTS)
def test_guard_is_once_differentiable_at_its_knot(name):
    record, alpha = DIVERGENCES[name], 0.7
    ends = alpha * KNOTS[name] + jnp.array([-1e-7, 0.0, 1e-7])
    guarded = lambda r: guarded_phi(record, r, alpha, steepest=40.0)  # noqa: E731
    values, slopes = guarded(ends), slope(guarded, ends)
    np.testing.assert_allclose(slopes, 40.0, rtol=1e-4)
    np.testing.assert_allclose(np.diff(values), 1e-7 * slopes[:2], rtol=1e-3)


def test_only_what_has_no_bounded_slope_is_capped():
    slopes = {
        name: float(jax.grad(partial(guarded_phi, DIVERGENCES[name], alpha=1.0))(-1e3))
        for name in DIVERGENCES
    }
    assert {name for name, measured in slopes.items() if measured == 100} == set(KNOTS)
    assert slopes["chi2"] == 501 and slopes["w1"] == 1


def test_barrier_of_total_variation_is_configurable():
    guarded = lambda r: guarded_phi(DIVERGENCES["tv"], r, 2.0, barrier=25.0)  # noqa: E731
    np.testing.assert_allclose(slope(guarded, [-2.1, -1.9, 1.9, 2.1]), [25.0, 1.0, 1.0, 0.0])
    np.testing.assert_allclose(guarded(jnp.array([-3.0, -2.0, 5.0])), [-27.0, -2.0, 2.0])


@every
def test_domain_penalty_is_the_distance_from_the_box(name):
    r = jnp.array([-3.0, -2.0, 0.0, 2.0, 5.0])
    expected = [1.0, 0, 0, 0, 3.0] if name == "tv" else np.zeros(5)
    np.testing.assert_array_equal(domain_penalty(DIVERGENCES[name], r, 2.0), expected)


@every
def test_alpha_may_be_traced(name):
    alphas, r = jnp.array(ALPHAS), jnp.array([-0.1, 0.4, 3.0])
    batched = jax.jit(jax.vmap(lambda a: guarded_phi(DIVERGENCES[name], r, a)))(alphas)
    np.testing.assert_allclose(batched, [guarded_phi(DIVERGENCES[name], r, a) for a in ALPHAS], rtol=1e-12)


def test_unknown_names_are_errors_that_help():
    assert DIVERGENCES["js"].name == "js"
    with pytest.raises(InputError, match=r"unknown divergence 'chi'.*chi2"):
        DIVERGENCES["chi"]
