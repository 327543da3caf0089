"""A divergence of one's own: it trains IQ-Learn, and checks and doctor know its bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.doctor import rules
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods.iq.bounds import reward_bounds
from iqlearn_jax.ops.iq.divergences import DIVERGENCES, Divergence, register_divergence
from iqlearn_jax.types import Batch
from tests.common import compiled, configure, random_rows, spec_of

SPEC = spec_of(obs_shape=(2,), num_actions=3)
WIDE = Divergence(  # 2χ²: φ(x) = x − x²/8 falls above 4
    "wide",
    lambda x: x - x**2 / 8,
    lambda t: 2 * (t - 1) ** 2,
    lambda w: 4 * (1 - 1 / w),
    largest=4.0,
    monotone=False,
)


@pytest.fixture
def wide():
    known = dict(DIVERGENCES)
    register_divergence(WIDE)
    yield WIDE
    DIVERGENCES.clear()
    DIVERGENCES.update(known)


def updated(**changes):
    config = configure(hidden=(4,), critic_lr=0.01, **changes)
    method, rows = compiled(config, SPEC), jax.tree.map(jnp.asarray, random_rows(SPEC, 8))
    batch = Batch(expert=rows, initial=rows.obs)
    state, metrics = method.update({}, method.init(jax.random.key(0), {}), batch, jax.random.key(1))
    return state.critic["net"], float(metrics["iq/loss"])


def test_it_trains_as_the_same_divergence_by_another_name(wide):
    """2χ² at α is χ² at 2α."""
    (net, loss), (other, value) = updated(divergence="wide", alpha=0.3), updated(alpha=0.6)
    assert loss == pytest.approx(value, rel=1e-6)
    for a, b in zip(jax.tree.leaves(net), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert loss != pytest.approx(updated(alpha=0.3)[1], rel=1e-3)


def test_its_bounds_are_known(wide):
    config = configure(divergence="wide", alpha=0.5)
    assert reward_bounds(config, 0.5) == (-np.inf, 2.0)
    config.regularize = "both"
    assert reward_bounds(config, 0.5) == (-2.0, 2.0)
    compiled(configure(divergence="wide", regularize="both", terminal="bounded"), SPEC)
    with pytest.raises(InputError, match="bounded on both sides; those of divergence 'wide'"):
        compiled(configure(divergence="wide", terminal="bounded"), SPEC)


@pytest.mark.parametrize(("reward", "sick"), [(2.5, False), (3.5, True)])
def test_the_doctor_judges_by_its_bounds(wide, reward, sick):
    """The bound 4α = 2 and half of it as slack; χ²'s would be 1.5."""
    case = rules.make_case(configure(divergence="wide", alpha=0.5), SPEC)
    steps = 2 * rules.RECENT
    metrics = {name: np.zeros((steps, 4)) for name in rules.WATCHED}
    metrics["iq/reward_expert"] += reward
    history = rules.History(np.arange(1, steps + 1), metrics)
    by_metric = {symptom.metric: symptom for symptom in rules.rewards_out_of_bounds(case, history)}
    assert by_metric["iq/reward_expert"].sick.all() == sick
    assert "iq/reward_max" in by_metric  # φ falls, so single rewards are watched offline
    online = case._replace(config=configure(divergence="wide", feed="replay"))
    assert rules.unbounded_rewards(online, history)


def test_the_librarys_own_cannot_be_replaced_and_domains_need_an_end(wide):
    register_divergence(WIDE._replace(largest=3.0))
    assert DIVERGENCES["wide"].largest == 3.0
    with pytest.raises(InputError, match="'chi2' is one of the library's own"):
        register_divergence(WIDE._replace(name="chi2"))
    with pytest.raises(InputError, match=r"'open' ends at -1.0 with neither `steep` nor `barrier`"):
        register_divergence(WIDE._replace(name="open", lower=-1.0))
