"""ValueDICE on finite processes: the minimum over ν is −KL(ρ_π‖ρ_E), x there the log-ratio."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from iqlearn_jax.errors import InputError
from iqlearn_jax.methods.offline.value_dice import Game, make_players, objective, recovered, smoothness
from iqlearn_jax.ops.tabular.mdp import MDP, occupancy
from iqlearn_jax.types import Batch, Transition
from tests.common import compiled, configure, deterministic_mdp, hyper, random_rows, spec_of, table_spec

STATES, ACTIONS, GAMMA, SHARE = 4, 3, 0.8, 0.3
RNG = np.random.default_rng(0)
COUNTS, REPLAYED = RNG.integers(1, 9, (2, STATES, ACTIONS))
LOGITS = RNG.normal(size=(STATES, ACTIONS))
FOLLOWING = deterministic_mdp(STATES, ACTIONS, 3, GAMMA).transition.argmax(axis=-1)
OCCUPANCY = jax.jit(occupancy)
ENDS = np.arange(STATES * ACTIONS).reshape(STATES, ACTIONS) % 5 == 2  # transitions that end the task


def process(ends):
    """The process with one state more, the absorbing one, where `ends` [S, A] leads."""
    after = FOLLOWING.copy()
    after[ends] = STATES
    after = np.vstack([after, np.full((1, ACTIONS), STATES)])
    return MDP(np.eye(STATES + 1)[after], np.r_[np.full(STATES, 1 / STATES), 0.0], GAMMA)


def counted(counts, ends):
    """Every (s, a) as often as `counts` says."""
    s, a = (np.repeat(x.ravel(), counts.ravel()) for x in np.indices(counts.shape))
    blank = jnp.zeros(len(s))
    return Transition(
        obs=jnp.asarray(s, jnp.int32), action=jnp.asarray(a, jnp.int32), reward=blank,
        next_obs=jnp.asarray(FOLLOWING[s, a], jnp.int32), terminated=jnp.asarray(ends[s, a]),
        truncated=blank > 0,
    )  # fmt: skip


def distribution(counts, ends):
    """[S·A + 1] what `counted` rows stand for: the last entry is the absorbing state's."""
    loop = GAMMA / (1 - GAMMA) * counts[ends].sum()
    whole = np.r_[counts.ravel(), loop]
    return whole / whole.sum()


def exact_occupancy(logits, ends):
    """[S·A + 1] of the policy softmax(logits)."""
    policy = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    policy = np.vstack([policy, np.full((1, ACTIONS), 1 / ACTIONS)])
    rho = np.asarray(OCCUPANCY(process(ends), policy))
    return np.r_[rho[:-1].ravel(), rho[-1].sum()]


def kl(p, q):
    seen = p > 0
    return np.sum(p[seen] * np.log(p[seen] / q[seen]))


def setup(**changes):
    config = configure(
        method="value_dice", gamma=GAMMA, replay_share=SHARE, value_term="v0", hidden=(), **changes
    )
    spec = table_spec(deterministic_mdp(STATES, ACTIONS, 3, GAMMA), ACTIONS)
    method, hparams = compiled(config, spec), hyper(config, spec, jnp.float64)
    state = method.init(jax.random.key(0), hparams)
    state = state.replace(actor=jax.tree.map(lambda _: jnp.asarray(LOGITS)[None], state.actor))
    return config, method, make_players(config, spec), hparams, state


def holding(state, values):
    """The state with ν from a flat vector, the last entry θ of the absorbing state."""
    table = jnp.asarray(values[:-1]).reshape(1, STATES, ACTIONS)
    net = jax.tree.map(lambda _: table, state.critic["net"])
    return state.replace(critic={"net": net, "absorbing": jnp.asarray(values[-1])})


def whole_batch(feed, ends):
    policy = counted(REPLAYED, ends) if feed == "replay" else None
    return Batch(expert=counted(COUNTS, ends), policy=policy, initial=jnp.arange(STATES))


def minimised(config, players, hparams, state, batch):
    """ν at the minimum of J for a fixed policy, found by L-BFGS."""

    @jax.jit
    @jax.value_and_grad
    def value(flat):
        held = holding(state, flat)
        game = Game(config, players, hparams, held)
        return objective(game, held.critic, held.actor, batch, jax.random.key(0))[0]

    actual = minimize(
        lambda x: [np.asarray(y, float) for y in value(jnp.asarray(x))], np.zeros(STATES * ACTIONS + 1),
        jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000},
    )  # fmt: skip
    return actual.fun, holding(state, actual.x)


@pytest.fixture(autouse=True)
def _x64():
    with jax.enable_x64(True):
        yield


CASES = [
    ("demos", "zero", False), ("demos", "zero", True), ("demos", "absorbing", True),
    ("replay", "absorbing", True),
]  # fmt: skip


@pytest.mark.parametrize(("feed", "treatment", "ending"), CASES)
def test_the_minimum_is_the_divergence_and_the_reward_the_log_ratio(feed, treatment, ending):
    """With a replay both distributions hold a share of it (eq. 15)."""
    ends = ENDS & ending
    config, _, players, hparams, state = setup(feed=feed, terminal=treatment)
    batch = whole_batch(feed, ends)
    learner, expert = exact_occupancy(LOGITS, ends), distribution(COUNTS, ends)
    if feed == "replay":
        other = distribution(REPLAYED, ends)
        learner, expert = ((1 - SHARE) * part + SHARE * other for part in (learner, expert))
    value, state = minimised(config, players, hparams, state, batch)
    assert kl(learner, expert) > 0.1
    assert value == pytest.approx(-kl(learner, expert), abs=1e-6)
    rows = counted(np.ones_like(COUNTS), ends)
    reward = jax.jit(partial(recovered, config, players))(hparams, state, rows, jax.random.key(0))
    exact = np.log(expert[:-1] / learner[:-1])
    np.testing.assert_allclose(reward - reward.mean(), exact - exact.mean(), atol=1e-3)


@pytest.mark.parametrize("ending", [False, True])
def test_the_policy_climbs_the_divergences_exact_slope(ending):
    """At the best ν the slope of J by the policy is that of −KL(ρ_π‖ρ_E) (envelope theorem)."""
    ends = ENDS & ending
    config, method, players, hparams, state = setup(terminal="absorbing")
    batch = whole_batch("demos", ends)
    _, state = minimised(config, players, hparams, state, batch)
    state = method.update(hparams, state, batch, jax.random.key(0))[0]
    (moment,) = jax.tree.leaves(state.actor_opt.mu)  # 0.1 times the slope of the actor's loss
    expert, exact, step = distribution(COUNTS, ends), np.zeros_like(LOGITS), 1e-5
    for place in np.ndindex(LOGITS.shape):
        bump = np.zeros_like(LOGITS)
        bump[place] = step
        up, down = (kl(exact_occupancy(x, ends), expert) for x in (LOGITS + bump, LOGITS - bump))
        exact[place] = (up - down) / (2 * step)
    assert np.abs(exact).max() > 0.02
    np.testing.assert_allclose(moment[0] / 0.1, exact, atol=1e-5)


def samples(nu, v, theta, row):
    """(x, weight, drop of E_π[ν]) of a transition, and of the self-loop after it where it ends the task."""
    s, a, after, end = row
    after_end = theta / (1 - GAMMA) if end else v[after]
    row = (nu[s, a] - GAMMA * after_end, 1.0, v[s] - GAMMA * after_end)
    return [row, (theta, GAMMA / (1 - GAMMA), theta)] if end else [row]


def objective_by_hand(nu, theta, batch, term, treatment):
    """J by loops over rows."""
    policy = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    v, theta = (policy * nu).sum(axis=1), theta if treatment == "absorbing" else 0.0

    def columns(rows):
        each = zip(*map(np.asarray, (rows.obs, rows.action, rows.next_obs, rows.terminated)), strict=True)
        x, weight, drop = np.array([x for row in each for x in samples(nu, v, theta, row)]).T
        return x, weight / weight.sum(), drop

    (x, w, drop), (other, u, _) = columns(batch.expert), columns(batch.policy)
    linear = {
        "v0": (1 - GAMMA) * v[np.asarray(batch.initial)].mean(),
        "v0_all": (1 - GAMMA) * v[np.asarray(batch.expert.obs)].mean(),
        "expert": w @ drop,
    }[term]
    curved = np.log((1 - SHARE) * w @ np.exp(x) + SHARE * u @ np.exp(other))
    return curved - (1 - SHARE) * linear - SHARE * u @ other


@pytest.mark.parametrize("treatment", ["zero", "absorbing"])
@pytest.mark.parametrize("term", ["v0", "v0_all", "expert"])
def test_the_objective_is_that_of_the_paper(term, treatment):
    config, _, players, hparams, state = setup(feed="replay", terminal=treatment)
    config.value_term = term
    flat = np.random.default_rng(5).normal(size=STATES * ACTIONS + 1)
    state, batch = holding(state, flat), whole_batch("replay", ENDS)
    batch = batch.replace(initial=jnp.array([0, 2]))
    whole = jax.jit(partial(objective, Game(config, players, hparams, state)))
    actual, _ = whole(state.critic, state.actor, batch, jax.random.key(0))
    nu = flat[:-1].reshape(STATES, ACTIONS)
    assert float(actual) == pytest.approx(objective_by_hand(nu, flat[-1], batch, term, treatment), abs=1e-9)


@pytest.mark.slow
def test_nu_descends_and_the_policy_ascends():
    """One small step of one player at a time, on the continuous actor's reparametrised gradient."""
    spec = spec_of(obs_shape=(2,))
    config = configure(method="value_dice", hidden=(8,), value_term="v0", orthogonal=0.0)
    method, hparams = compiled(config, spec), hyper(config, spec, jnp.float64)
    state = method.init(jax.random.key(0), hparams)
    rows = jax.tree.map(jnp.asarray, random_rows(spec, 64))
    batch, update = Batch(expert=rows, initial=rows.obs[:8]), method.update

    def stepped(**rates):  # the metric is J before the step, with draws that the key fixes
        after = update(hparams | rates, state, batch, jax.random.key(1))[0]
        return update(hparams, after, batch, jax.random.key(1))[1]["dice/objective"]

    before = stepped(critic_lr=0.0, actor_lr=0.0)
    assert stepped(critic_lr=1e-4, actor_lr=0.0) < before - 1e-7
    assert stepped(critic_lr=0.0, actor_lr=1e-4) > before + 1e-7


@pytest.mark.parametrize(
    "num_actions", [pytest.param(None, marks=pytest.mark.slow), 3], ids=["continuous", "discrete"]
)
def test_the_penalty_of_a_linear_network_is_known(num_actions):
    """(‖w‖ − 1)², by observation and action together, or by observation at the taken action."""
    spec = spec_of(obs_shape=(2,), num_actions=num_actions)
    config = configure(method="value_dice", hidden=(), gradient_penalty=10.0)
    method, hparams = compiled(config, spec), hyper(config, spec)
    state = method.init(jax.random.key(0), hparams)
    kernel = np.array(state.critic["net"]["params"]["Dense_0"]["kernel"])[0]
    if num_actions is None:
        kernel = kernel[:, 0] / np.r_[1, 1, 0.5 * (spec.action_high - spec.action_low)]
    else:  # the same column for all actions, so that it does not matter which are drawn
        kernel = kernel[:, 0]
        same = jnp.asarray(np.repeat(kernel[None, :, None], 3, axis=2))
        state.critic["net"]["params"]["Dense_0"]["kernel"] = same
    for policy in (None, random_rows(spec, 6, 1)):
        batch = Batch(expert=random_rows(spec, 6), policy=policy)
        game = Game(config, make_players(config, spec), hparams, state)
        actual = jax.jit(partial(smoothness, game))(state.critic, batch, jax.random.key(1))
        assert float(actual) == pytest.approx((np.linalg.norm(kernel) - 1) ** 2, rel=1e-4)


@pytest.mark.slow
def test_orthogonal_regularisation_bends_the_actor_alone():
    spec = spec_of(obs_shape=(2,))
    config = configure(method="value_dice", hidden=(8,))
    method, hparams = compiled(config, spec), hyper(config, spec)
    state = method.init(jax.random.key(0), hparams)
    batch = Batch(expert=random_rows(spec, 8), initial=jnp.zeros((3, 2)))
    update = method.update
    plain, bent = (
        update(hparams | {"orthogonal": weight}, state, batch, jax.random.key(1))[0] for weight in (0.0, 2.0)
    )
    assert all(map(np.array_equal, jax.tree.leaves(plain.critic), jax.tree.leaves(bent.critic)))
    slope = jax.tree.map(lambda a, b: np.asarray(b - a) / 0.1 / 2.0, plain.actor_opt.mu, bent.actor_opt.mu)
    kernel = np.asarray(state.actor["params"]["MLP_0"]["Dense_0"]["kernel"])
    gram = kernel.T @ kernel
    expected = 4 * kernel @ (gram - np.diag(np.diag(gram)))
    np.testing.assert_allclose(slope["params"]["MLP_0"]["Dense_0"]["kernel"], expected, atol=1e-4)
    assert not slope["params"]["MLP_0"]["Dense_0"]["bias"].any()


@pytest.mark.parametrize(
    "num_actions", [pytest.param(None, marks=pytest.mark.slow), 3], ids=["continuous", "discrete"]
)
def test_the_free_constant_of_nu_stays_where_it_is(num_actions):
    """J does not depend on it: Adam may not make steps of its slope's rounding error."""
    spec = spec_of(obs_shape=(2,), num_actions=num_actions)
    config = configure(method="value_dice", hidden=(8,), critic_lr=0.1)
    method, hparams = compiled(config, spec), hyper(config, spec)
    state = method.init(jax.random.key(0), hparams)
    batch = Batch(expert=random_rows(spec, 16), initial=jnp.zeros((3, 2)))
    after = method.update(hparams, state, batch, jax.random.key(1))[0]
    slope = np.asarray(after.critic_opt.mu["net"]["params"]["Dense_0"]["bias"])
    assert np.abs(slope.sum()) < 1e-9
    assert np.abs(slope).max() > 1e-4 or num_actions is None
    kernel = after.critic["net"]["params"]["Dense_0"]["kernel"]
    assert np.abs(kernel - state.critic["net"]["params"]["Dense_0"]["kernel"]).max() > 0.05


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"terminal": "bounded"}, "config.terminal is 'bounded'.*--config.terminal=absorbing"),
        ({"value_term": "policy"}, "config.value_term is 'policy'.*v0_all.*--config.value_term=v0"),
        ({"critics": 2}, "config.critics is 2.*--config.critics=1"),
        ({"target_network": True}, "config.target_network is True"),
    ],
)
def test_combinations_without_meaning_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        compiled(configure(method="value_dice", **changes), spec_of(num_actions=3))


def test_a_gradient_penalty_over_integer_states_is_refused():
    spec = table_spec(deterministic_mdp(STATES, ACTIONS, 3), ACTIONS)
    with pytest.raises(InputError, match=r"config.gradient_penalty is 10.0.*integer states"):
        compiled(configure(method="value_dice", gradient_penalty=10.0), spec)


@pytest.mark.parametrize(("term", "slope"), [("v0", -GAMMA), ("v0_all", -GAMMA), ("expert", 0.0)])
def test_thinned_rows_have_a_minimum_in_the_telescoped_form_only(term, slope):
    """No successor is itself a row's state: ν there is free, and J falls without end as it rises, whatever
    the policy; E_π[ν(s)] − γE_π[ν(s')] takes the same mass off both of J's terms."""
    config, _, players, hparams, state = setup()
    config.value_term = term
    blank = jnp.zeros(2)
    rows = Transition(
        obs=jnp.arange(2), action=jnp.asarray([0, 2]), reward=blank, next_obs=jnp.asarray([2, 3]),
        terminated=blank > 0, truncated=blank > 0,
    )  # fmt: skip
    batch = Batch(expert=rows, initial=jnp.arange(2))
    nu = np.random.default_rng(1).normal(size=(STATES, ACTIONS))

    def value(raised):
        held = holding(state, np.r_[(nu + raised * (np.arange(STATES) > 1)[:, None]).ravel(), 0.0])
        game = Game(config, players, hparams, held)
        return float(objective(game, held.critic, held.actor, batch, jax.random.key(0))[0])

    assert value(100.0) - value(0.0) == pytest.approx(100.0 * slope, abs=1e-6)
