"""IQ-Learn on finite processes: the exact maximiser, the absorbing state made explicit, truncation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.agents.common import Learner
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.methods.iq.loss import critic_loss
from iqlearn_jax.ops.iq.divergences import DIVERGENCES
from iqlearn_jax.ops.iq.soft import soft_policy
from iqlearn_jax.ops.tabular.mdp import MDP, occupancy, reward_from_q, soft_value_iteration
from iqlearn_jax.ops.tabular.solve import solve
from iqlearn_jax.types import Batch, RoundTransition, Transition
from tests.common import compiled, configure, deterministic_mdp, hyper, random_rows, table_spec

STATES, ACTIONS, GAMMA, TAU, ALPHA = 4, 3, 0.8, 0.4, 0.5
FAST = ("forward_kl", "js", "chi2")
SMOOTH = ["forward_kl", "reverse_kl", "reverse_kl_unbiased", "hellinger", "js", "chi2", "chi2_monotone"]


def connected():
    """A deterministic process in which every state can be left and reached."""
    mdp = deterministic_mdp(STATES, ACTIONS, 3, GAMMA)
    following = mdp.transition.argmax(axis=-1)
    following[:, 0] = (np.arange(STATES) + 1) % STATES
    return mdp._replace(transition=np.eye(STATES)[following])


def counted(mdp, counts):
    """Every (s, a, s') of a deterministic process, repeated `counts` [S, A] times."""
    s, a = (x.ravel() for x in np.indices(counts.shape))
    s, a = np.repeat(s, counts.ravel()), np.repeat(a, counts.ravel())
    after = mdp.transition.argmax(axis=-1)[s, a]
    blank = np.zeros(len(s))
    return Transition(
        obs=jnp.asarray(s, jnp.int32),
        action=jnp.asarray(a, jnp.int32),
        reward=jnp.asarray(blank),
        next_obs=jnp.asarray(after, jnp.int32),
        terminated=jnp.asarray(blank > 0),
        truncated=jnp.asarray(blank > 0),
    )


def setup(**changes):
    config = configure(
        temperature=TAU, gamma=GAMMA, alpha=ALPHA, normalize_obs=False, **{"critic_lr": 0.05} | changes
    )
    mdp = connected()
    spec = table_spec(mdp, ACTIONS)
    dtype = jnp.float64 if jax.config.jax_enable_x64 else jnp.float32
    agent, hparams = make_agent(config, spec), hyper(config, spec, dtype)
    state = agent.init(jax.random.key(0), hparams)
    return config, mdp, spec, agent, hparams, state


def holding(state, table):
    net = jax.tree.map(lambda _: jnp.asarray(table)[None], state.critic["net"])
    return state.replace(critic={"net": net, "absorbing": jnp.zeros(())})


def slope_at(config, agent, hparams, state, batch):
    learner = Learner(config, agent, hparams, state)
    fn = lambda c, rows: critic_loss(learner, c, rows, jax.random.key(0))[0]  # noqa: E731
    (actual,) = jax.tree.leaves(jax.jit(jax.grad(fn))(state.critic, batch)["net"])
    return np.asarray(actual)


COUNTS = np.random.default_rng(0).integers(1, 9, (STATES, ACTIONS))  # the expert's frequencies


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in SMOOTH]
)
def test_the_exact_maximiser_is_where_the_loss_is_flat(name):
    """∇critic_loss vanishes at Q* of `tabular_solve`, and only there (v0, all of ρ_E in one batch)."""
    with jax.enable_x64(True):
        config, mdp, _, agent, hparams, state = setup(divergence=name, value_term="v0")
        model = MDP(*(jnp.asarray(x) for x in mdp))
        exact = solve(model, jnp.asarray(COUNTS / COUNTS.sum()), DIVERGENCES[name], ALPHA, TAU)
        assert exact.residual < 1e-10
        state = state.replace(log_temperature=jnp.log(jnp.asarray(TAU)))
        batch = Batch(expert=counted(mdp, COUNTS), initial=jnp.arange(STATES, dtype=jnp.int32))
        here = slope_at(config, agent, hparams, holding(state, exact.q), batch)
        there = slope_at(config, agent, hparams, holding(state, exact.q.at[0, 0].add(0.01)), batch)
    assert np.abs(here).max() < 1e-9
    assert np.abs(there).max() > 1e-5


def trained(name, rates):
    """(table, exact solution, loss of a table) after Adam on the whole of ρ_E from a table of zeros."""
    config, mdp, spec, agent, hparams, blank = setup(divergence=name, value_term="v0")
    method = compiled(config, spec)
    batch = Batch(expert=counted(mdp, COUNTS), initial=jnp.arange(STATES, dtype=jnp.int32))
    if name == "tv":  # its box must hold at every (s, a), not only where the expert often is
        batch = batch.replace(policy=counted(mdp, np.ones_like(COUNTS)))

    @jax.jit
    def train(state, rates):
        def step(state, rate):
            return method.update(hparams | {"critic_lr": rate}, state, batch, jax.random.key(0))[0], None

        return jax.lax.scan(step, state, rates)[0]

    state = train(method.init(jax.random.key(0), hparams), rates.astype(np.float32))
    (table,) = jax.tree.leaves(state.critic["net"])
    with jax.enable_x64(True):
        model = MDP(*(jnp.asarray(x) for x in mdp))
        exact = solve(model, jnp.asarray(COUNTS / COUNTS.sum()), DIVERGENCES[name], ALPHA, TAU)
        exact = exact._replace(q=np.asarray(exact.q, np.float32))

    def loss(q):
        state = holding(blank, q)
        learner = Learner(config, agent, hparams, state)
        return critic_loss(learner, state.critic, batch, jax.random.key(0))[0]

    return table[0], exact.q, jax.jit(loss)


@pytest.mark.parametrize("name", ["chi2", "hellinger"])
def test_training_finds_the_exact_policy(name):
    table, exact, _ = trained(name, np.geomspace(0.02, 1e-5, 12_000))
    wanted = np.asarray(soft_policy(exact, TAU))
    assert np.abs(wanted - 1 / ACTIONS).max() > 0.05
    np.testing.assert_allclose(soft_policy(table, TAU), wanted, atol=1e-3)


def test_training_finds_the_exact_policy_of_total_variation():
    """Its objective has kinks, along which Adam creeps: the loss within 5e-4, the policy within 0.03."""
    table, exact, loss = trained("tv", np.geomspace(0.1, 1e-5, 12_000))
    assert -1e-5 < float(loss(table) - loss(exact)) < 5e-4
    assert float(loss(jnp.zeros_like(table)) - loss(exact)) > 0.01
    np.testing.assert_allclose(soft_policy(table, TAU), soft_policy(exact, TAU), atol=0.03)


@pytest.mark.parametrize(
    "value_term", ["expert", *(pytest.param(term, marks=pytest.mark.slow) for term in ("mixture", "policy"))]
)
def test_value_terms_agree_with_v0_on_exact_occupancies(value_term):
    """The expert term on ρ_E, the mixture on ρ_E and any other occupancy, and the policy term on the
    learner's own have v0's gradient.

    Occupancies are rounded to 1 in 400 000 rows, hence the tolerance.
    """
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        mdp = connected()
        model = MDP(*(jnp.asarray(x) for x in mdp))
        table = rng.normal(size=(STATES, ACTIONS))
        other = soft_policy(jnp.asarray(table), TAU) if value_term == "policy" else draw_policy(rng)
        counts = [
            np.rint(4e5 * np.asarray(occupancy(model, jnp.asarray(policy)))).astype(int)
            for policy in (draw_policy(rng), other)
        ]
        expert, policy = (counted(mdp, c) for c in counts)
        actual = []
        for term in ("v0", value_term):
            config, _, _, agent, hparams, state = setup(value_term=term, feed="replay")
            state = state.replace(log_temperature=jnp.log(jnp.asarray(TAU)))
            batch = Batch(policy=policy, expert=expert, initial=jnp.arange(STATES, dtype=jnp.int32))
            actual.append(slope_at(config, agent, hparams, holding(state, table), batch))
    np.testing.assert_allclose(actual[0], actual[1], atol=2e-5)
    assert np.abs(actual[0]).max() > 1e-2


def draw_policy(rng):
    return rng.dirichlet(np.ones(ACTIONS), STATES)


SLOPES = {  # φ'(r/α) by hand; with χ² over both the square stands for it, and φ is the identity
    "chi2": lambda x: 1.0,
    "reverse_kl_unbiased": lambda x: np.exp(-x),
    "hellinger": lambda x: (1 + x) ** -2,
    "js": lambda x: np.exp(-x) / (2 - np.exp(-x)),
}


def ls_iq_point(name="chi2", spread=0.8):
    """(reward, Q, batch): φ'(r)ρ_E − ρ = r(ρ_E + ρ)/4α, for χ² r = 4α(ρ_E − ρ)/(ρ_E + ρ), of a policy with
    occupancy ρ.

    The policy's reward is chosen first; ρ_E follows from it. Occupancies in 400 000 rows each.
    """
    rng = np.random.default_rng(2)
    mdp = connected()
    model = MDP(*(jnp.asarray(x) for x in mdp))
    reward = rng.uniform(-spread, spread, (STATES, ACTIONS))
    policy = soft_policy(soft_value_iteration(model, jnp.asarray(reward), TAU), TAU)
    learner = np.asarray(occupancy(model, policy))
    slope = SLOPES[name]
    ratio = lambda r: (1 + r / (4 * ALPHA)) / (slope(r / ALPHA) - r / (4 * ALPHA))  # noqa: E731
    low, high = (
        -1.125 * spread,
        1.125 * spread,
    )  # a constant shift leaves the policy alone: the one where ρ_E sums to 1
    for _ in range(60):
        shift = 0.5 * (low + high)
        low, high = (shift, high) if (learner * ratio(reward + shift)).sum() < 1 else (low, shift)
    reward = reward + shift
    q = soft_value_iteration(model, jnp.asarray(reward), TAU)
    np.testing.assert_allclose(reward_from_q(model, q, TAU), reward, atol=1e-9)
    expert, replay = (counted(mdp, np.rint(4e5 * x).astype(int)) for x in (learner * ratio(reward), learner))
    return reward, q, Batch(policy=replay, expert=expert, initial=jnp.arange(STATES, dtype=jnp.int32))


@pytest.mark.parametrize(
    ("name", "value_term", "spread"),
    [
        ("chi2", "v0", 0.8),
        ("chi2", "policy", 0.8),
        pytest.param("reverse_kl_unbiased", "policy", 0.2, marks=pytest.mark.slow),
        pytest.param("hellinger", "policy", 0.1, marks=pytest.mark.slow),
        ("js", "policy", 0.1),
    ],
)
def test_the_square_over_both_samples_has_its_fixed_point(name, value_term, spread):
    """There the gradient vanishes, when the replay is the policy's own occupancy."""
    with jax.enable_x64(True):
        reward, q, batch = ls_iq_point(name, spread)
        config, _, _, agent, hparams, state = setup(
            divergence=name, value_term=value_term, regularize="both", feed="replay"
        )
        state = state.replace(log_temperature=jnp.log(jnp.asarray(TAU)))
        here = slope_at(config, agent, hparams, holding(state, q), batch)
        there = slope_at(config, agent, hparams, holding(state, q.at[0, 0].add(0.1)), batch)
    assert np.abs(reward).max() < 4 * ALPHA
    assert np.abs(here).max() < 2e-5
    assert np.abs(there).max() > 1e-3


@pytest.mark.parametrize(("value_term", "fixed"), [("policy", True), ("mixture", False)])
def test_with_a_target_network_only_the_policy_term_keeps_the_fixed_point(value_term, fixed):
    """The target cuts the gradient through V(s'): "mixture" pushes V(s) down, and nothing pushes back."""
    with jax.enable_x64(True):
        _, q, batch = ls_iq_point()
        config, _, _, agent, hparams, state = setup(
            value_term=value_term, regularize="both", feed="replay", target_network=True
        )
        state = holding(state.replace(log_temperature=jnp.log(jnp.asarray(TAU))), q)
        slope = slope_at(config, agent, hparams, state.replace(target_critic=state.critic), batch)
    assert (np.abs(slope).max() < 2e-5) == fixed
    assert fixed or np.abs(slope).max() > 1e-2


@pytest.mark.parametrize("target_network", [False, True])
def test_offline_it_is_cloning_and_the_square_whose_successor_a_target_network_cuts(target_network):
    """docs/research/02-why-offline-values-sank.md, row by row in NumPy."""
    rng = np.random.default_rng(1)
    q = rng.normal(size=(STATES, ACTIONS))
    with jax.enable_x64(True):
        config, mdp, _, agent, hparams, state = setup(
            value_term="expert", regularize="expert", feed="demos", target_network=target_network
        )
        rows = counted(mdp, COUNTS)
        state = holding(state.replace(log_temperature=jnp.log(jnp.asarray(TAU))), q)
        state = state.replace(target_critic=state.critic)
        slope = slope_at(config, agent, hparams, state, Batch(expert=rows, initial=rows.obs))
    policy = np.exp(q / TAU) / np.exp(q / TAU).sum(axis=-1, keepdims=True)
    v = TAU * np.log(np.exp(q / TAU).sum(axis=-1))
    expected = np.zeros_like(q)
    for s, a, after in zip(
        np.asarray(rows.obs), np.asarray(rows.action), np.asarray(rows.next_obs), strict=True
    ):
        pull = (q[s, a] - GAMMA * v[after]) / (2 * ALPHA)
        expected[s] += policy[s]
        expected[s, a] += pull - 1
        expected[after] -= 0 if target_network else GAMMA * pull * policy[after]
    np.testing.assert_allclose(slope[0], expected / len(rows.obs), atol=1e-7)


@pytest.mark.parametrize(
    ("value_term", "regularize"),
    [
        ("expert", "expert"),
        ("mixture", "both"),
        pytest.param("expert", "both", marks=pytest.mark.slow),
        pytest.param("mixture", "expert", marks=pytest.mark.slow),
    ],
)
def test_absorbing_state_is_an_explicit_state_with_a_repeated_self_loop(value_term, regularize):
    """terminal="absorbing" with entropy = a process with one more state whose γ/(1−γ) = 4 self-loops per
    terminal row are in the data; Q(absorbing, ·) = θ + γ(θ + τ log|A|)/(1−γ)."""
    repeats, theta = round(GAMMA / (1 - GAMMA)), 0.37
    assert repeats == 4
    with jax.enable_x64(True):
        rng = np.random.default_rng(4)
        config, _, spec, agent, hparams, state = setup(
            value_term=value_term, regularize=regularize, terminal="absorbing", absorbing_entropy=True
        )
        state = state.replace(log_temperature=jnp.log(jnp.asarray(TAU)))
        table = rng.normal(size=(STATES, ACTIONS))
        ours = holding(state, table).critic | {"absorbing": jnp.asarray(theta)}
        # the same number of rows and of ends on both sides, so that means have the same denominators
        sides = [random_rows(spec, 10, seed) for seed in (0, 1)]
        sides = [r.replace(terminated=np.arange(10) < 3, truncated=np.arange(10) > 7) for r in sides]
        batch = Batch(expert=jax.tree.map(jnp.asarray, sides[0]), policy=jax.tree.map(jnp.asarray, sides[1]))
        actual, _ = critic_loss(Learner(config, agent, hparams, state), ours, batch, jax.random.key(0))

        bigger = MDP(np.zeros((STATES + 1, ACTIONS, STATES + 1)), np.zeros(STATES + 1), GAMMA)
        plain = configure(
            temperature=TAU, gamma=GAMMA, alpha=ALPHA, value_term=value_term, regularize=regularize
        )
        big_agent = make_agent(plain, table_spec(bigger, ACTIONS))
        end_value = (theta + TAU * np.log(ACTIONS)) / (1 - GAMMA)
        extended = np.vstack([table, np.full((1, ACTIONS), theta + GAMMA * end_value)])

        def spelled_out(rows):
            after = np.where(rows.terminated, STATES, rows.next_obs)
            loops = np.full(3 * repeats, STATES)
            return Transition(
                obs=jnp.asarray(np.append(rows.obs, loops), jnp.int32),
                action=jnp.asarray(np.append(rows.action, loops * 0), jnp.int32),
                reward=jnp.zeros(10 + len(loops)),
                next_obs=jnp.asarray(np.append(after, loops), jnp.int32),
                terminated=jnp.zeros(10 + len(loops), bool),
                truncated=jnp.zeros(10 + len(loops), bool),
            )

        other = Batch(expert=spelled_out(sides[0]), policy=spelled_out(sides[1]))
        critic = holding(state, extended).critic
        wanted, _ = critic_loss(Learner(plain, big_agent, hparams, state), critic, other, jax.random.key(0))
    assert 10 * float(actual) == pytest.approx((10 + 3 * repeats) * float(wanted), rel=1e-9)


@pytest.mark.parametrize("entropy", [True, False])
def test_value_behind_a_terminal_is_the_fixed_point(entropy):
    """(r_abs + τ log|A|)/(1−γ) with the entropy bonus, r_abs/(1−γ) without."""
    config, _, spec, _, hparams, state = setup(terminal="absorbing", absorbing_entropy=entropy)
    method = compiled(config, spec)
    critic = state.critic | {"absorbing": jnp.asarray(0.3)}
    row = random_rows(spec, 1).replace(terminated=np.array([True]))
    actual = method.reward(hparams, state.replace(critic=critic), row, jax.random.key(0))
    after_end = (0.3 + entropy * TAU * np.log(ACTIONS)) / (1 - GAMMA)
    assert float(actual[0]) == pytest.approx(0.0 - GAMMA * after_end, rel=1e-5)


@pytest.mark.parametrize("terminal", ["zero", "absorbing", "bounded"])
@pytest.mark.parametrize("feed", ["demos", "replay"])
def test_truncation_always_bootstraps(terminal, feed):
    """`truncated` alone changes nothing: loss, update and recovered reward; `terminated` does."""
    config, _, spec, _, hparams, state = setup(
        terminal=terminal, feed=feed, divergence="tv", value_term="mixture", learn_temperature=True
    )
    method = compiled(config, spec)
    state = holding(state, np.random.default_rng(0).normal(size=(STATES, ACTIONS)).astype(np.float32))
    policy, expert = (jax.tree.map(jnp.asarray, random_rows(spec, 8, seed, ends=0.0)) for seed in (0, 1))
    update, recovered = method.update, method.reward

    def run(field):
        changed = {"truncated": jnp.zeros(8, bool), "terminated": jnp.zeros(8, bool)}
        changed = changed | ({} if field is None else {field: jnp.ones(8, bool)})
        rows = [part.replace(**changed) for part in (policy, expert)]
        batch = Batch(policy=rows[0], expert=rows[1], initial=jnp.zeros(3, jnp.int32))
        after, metrics = update(hparams, state, batch, jax.random.key(0))
        return jax.tree.leaves((after, metrics, recovered(hparams, state, rows[1], jax.random.key(1))))

    neither, cut, ended = run(None), run("truncated"), run("terminated")
    assert all(np.array_equal(a, b) for a, b in zip(neither, cut, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(neither, ended, strict=True))


@pytest.mark.parametrize(
    "name", ["iq", "bc", "regularized_bc", "rl", "sqil", "adril", pytest.param("dac", marks=pytest.mark.slow)]
)
def test_only_forward_rl_reads_the_reward(name):
    online = name not in ("iq", "bc", "regularized_bc")
    config, _, spec, _, hparams, _ = setup(method=name, feed="replay" if online else "demos")
    method = compiled(config, spec)
    state, update = method.init(jax.random.key(0), hparams), method.update
    rows = jax.tree.map(jnp.asarray, random_rows(spec, 8))

    def run(reward):
        part = rows.replace(reward=reward)
        learner = RoundTransition(**vars(part), round=rows.obs) if name == "adril" else part
        batch = Batch(expert=None if name == "rl" else part, policy=learner if online else None,
                      initial=rows.obs)  # fmt: skip
        return jax.tree.leaves(update(hparams, state, batch, jax.random.key(0))[0])

    same = [np.array_equal(a, b) for a, b in zip(run(rows.reward), run(rows.reward + 1), strict=True)]
    assert all(same) == (name != "rl")


def test_recovered_reward_is_q_minus_discounted_value():
    config, _, spec, agent, hparams, state = setup()
    method = compiled(config, spec)
    table = np.random.default_rng(0).normal(size=(STATES, ACTIONS)).astype(np.float32)
    state, rows = holding(state, table), random_rows(spec, 20, ends=0.3)
    v = TAU * np.log(np.exp(table / TAU).sum(axis=1))
    wanted = table[rows.obs, rows.action] - GAMMA * np.where(rows.terminated, 0, v[rows.next_obs])
    actual = method.reward(hparams, state, rows, jax.random.key(0))
    np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)
    assert agent.max_entropy == pytest.approx(np.log(ACTIONS))
