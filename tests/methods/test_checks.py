"""Configurations without meaning are refused when the method is made, in words that name the field."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import FEEDS, METHODS, make_method
from iqlearn_jax.methods.iq.bounds import value_bounds
from iqlearn_jax.types import Batch, discount, join
from tests.common import compiled, configure, deterministic_mdp, hyper, random_rows, spec_of, table_spec

SPEC = spec_of(obs_shape=(2,), num_actions=3)
TABLE = table_spec(deterministic_mdp(4, 3, 0), 3)
TABULAR = ("max_entropy", "max_margin", "max_likelihood", "max_entropy_dynamics")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "iqq"}, "unknown method 'iqq'; did you mean iq"),
        ({"divergence": "chi"}, "unknown divergence 'chi'; did you mean .*chi2"),
        ({"divergence": "xyzzy"}, "unknown divergence 'xyzzy'; known: .*chi2.*tv.*w1"),
        ({"value_term": "policy"}, "config.feed is 'demos'"),
        ({"state_only": True}, "config.state_only with config.feed='demos'.*--config.feed=replay"),
        ({"value_term": "v1"}, "unknown config.value_term 'v1'; did you mean v0"),
        ({"terminal": "absorb"}, "unknown config.terminal 'absorb'; did you mean absorbing"),
        ({"regularize": "all"}, "unknown config.regularize 'all'"),
        ({"terminal": "bounded"}, "config.terminal='bounded'.*'chi2'.*--config.regularize=both"),
        ({"terminal": "bounded", "divergence": "hellinger"}, "config.terminal='bounded'.*'hellinger'"),
        (
            {"terminal": "bounded", "divergence": "js", "regularize": "both"},
            "config.terminal='bounded'.*'js' with config.regularize='both'.*--config.terminal=absorbing",
        ),
        ({"divergence": "w1"}, "'w1'.*config.gradient_penalty is 0.0; set it above 0"),
        (
            {"method": "bc", "feed": "replay"},
            "config.feed is 'replay', but method 'bc' .*--config.feed=demos",
        ),
        (
            {"method": "sqil", "feed": "replay", "terminal": "bounded"},
            "config.terminal is 'bounded'.*'sqil'.*--config.terminal=absorbing",
        ),
        ({"method": "dac", "feed": "replay", "terminal": "absorb"}, "unknown config.terminal 'absorb'"),
        (
            {"method": "dac", "feed": "replay", "state_only": True},
            "config.state_only is True.*'dac'.*--config.state_only=False",
        ),
        (
            {"method": "dac", "feed": "replay", "reward_shape": "logodds"},
            "unknown config.reward_shape 'logodds'; did you mean log_odds",
        ),
        (
            {"method": "max_entropy_deep", "feed": "replay", "gradient_penalty": 10.0},
            "config.gradient_penalty is 10.0.*'max_entropy_deep'.*--config.gradient_penalty=0",
        ),
        (
            {"method": "max_entropy_deep", "feed": "replay", "reward_input": "action"},
            "unknown config.reward_input 'action'",
        ),
        (
            {"method": "max_entropy_deep", "feed": "replay", "terminal": "bounded"},
            "config.terminal is 'bounded'.*'max_entropy_deep'.*--config.terminal=absorbing",
        ),
        (
            {"method": "lstd_mu", "target_network": True},
            "config.target_network is True, but method 'lstd_mu' is defined for False only; set --config",
        ),
        (
            {"method": "dsfn", "learn_temperature": True},
            "config.learn_temperature is True, but method 'dsfn' is defined for False only; set --config",
        ),
        ({"method": "dsfn", "reward_input": "action"}, "unknown config.reward_input 'action'"),
        ({"method": "lstd_mu", "reward_input": "action"}, "unknown config.reward_input 'action'"),
        (
            {"method": "adril", "feed": "demos"},
            "config.feed is 'demos', but .*'adril' .*--config.feed=replay",
        ),
        (
            {"next_actions": True, "value_term": "v0"},
            "config.next_actions .* config.value_term is 'v0' .*--config.value_term=expert",
        ),
        ({"method": "rl", "feed": "demos"}, "config.feed is 'demos', but method 'rl' .*--config.feed=replay"),
        (
            {"method": "ppo", "feed": "replay"},
            "config.feed is 'replay', but method 'ppo' .*--config.feed=rollout",
        ),
        (
            {"method": "asaf", "feed": "rollout", "window": 3},
            "config.window is 3, which does not divide config.online.rollout_steps .128.",
        ),
        (
            {"method": "asaf", "feed": "rollout", "window": 64},
            "config.minibatches is 4, which does not divide the 2 windows of a rollout",
        ),
        (
            {"method": "asaf", "feed": "rollout", "window": 4, "demos__subsample": 5},
            "config.demos.subsample is 5, but config.window 4 .*--config.demos.subsample=1",
        ),
        (
            {"method": "gail", "feed": "rollout", "terminal": "bounded"},
            "config.terminal is 'bounded'.*'gail'.*--config.terminal=absorbing",
        ),
        (
            {"method": "gail", "feed": "rollout", "minibatches": 3},
            "config.minibatches is 3, .* a rollout of 128 steps",
        ),
        (
            {"method": "gail", "feed": "rollout", "reward_shape": "logodds"},
            "unknown config.reward_shape 'logodds'; did you mean log_odds",
        ),
        (
            {"method": "airl", "feed": "rollout", "terminal": "bounded"},
            "config.terminal is 'bounded'.*'airl'.*--config.terminal=absorbing",
        ),
        (
            {"method": "airl", "feed": "rollout", "reward_input": "action"},
            "unknown config.reward_input 'action'",
        ),
        (
            {"method": "airl", "feed": "rollout", "learn_temperature": True},
            "config.learn_temperature is True.*'airl'",
        ),
        (
            {"method": "ppo", "feed": "rollout", "minibatches": 3},
            "config.minibatches is 3, .* a rollout of 128 steps",
        ),
        (
            {"method": "ppo", "feed": "rollout", "target_network": True},
            "config.target_network is True.*'ppo'.*--config.target_network=False",
        ),
    ],
)
def test_meaningless_configurations_are_refused(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        make_method(configure(**changes), SPEC)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"terminal": "bounded", "regularize": "both"},
        {"terminal": "bounded", "divergence": "tv"},
        {"divergence": "w1", "gradient_penalty": 10.0},
        {"state_only": True, "feed": "replay"},
    ],
)
def test_meaningful_ones_are_not(changes):
    make_method(configure(**changes), SPEC)


def test_w1_on_tabular_observations_is_refused():
    """There is nothing to differentiate by: the gradient penalty needs a floating input."""
    config = configure(divergence="w1", gradient_penalty=10.0)
    with pytest.raises(InputError, match=r"w1|gradient_penalty"):
        make_method(config, table_spec(deterministic_mdp(4, 3, 0), 3))


def test_discrete_observations_without_a_model_are_refused_or_work():
    """FrozenLake and Taxi of gymnasium: integer observations, no `spec.mdp`."""
    spec = spec_of(obs_shape=(), num_actions=3, obs_dtype=np.int32)
    config = configure()
    try:
        method = make_method(config, spec)
        method.init(jax.random.key(0), hyper(config, spec))
    except InputError as error:
        assert "observation" in str(error)


def test_matrix_observations_are_refused_or_give_one_value_per_row():
    """E.g. gymnax' Catch-bsuite, (10, 5)."""
    spec, config = spec_of(obs_shape=(10, 5), num_actions=3), configure(hidden=(8,))
    try:
        method = make_method(config, spec)
        hparams = hyper(config, spec)
        state = method.init(jax.random.key(0), hparams)
        action = method.act(hparams, state, jnp.zeros((7, 10, 5)), jax.random.key(1), True)
    except InputError as error:
        assert "observation" in str(error)
    else:
        assert action.shape == (7,)


@pytest.mark.parametrize("name", METHODS)
def test_records_are_complete(name):
    online = dict.fromkeys(("rl", "sqil", "adril", "dac", "pwil", "max_entropy_deep"), "replay")
    online |= dict.fromkeys(("ppo", "pqn", "gail", "airl", "asaf"), "rollout")
    feed = online.get(name, "demos")
    method = make_method(configure(method=name, feed=feed), TABLE if name in TABULAR else SPEC)
    assert METHODS[name].feeds <= set(FEEDS)
    assert feed in METHODS[name].feeds
    without = ("bc", "rl", "ppo", "pqn", "sqil", "adril", "pwil", "edm", "asaf")
    assert (method.reward is None) == (name in without)


@pytest.mark.parametrize("name", ["lstd_mu", "dsfn"])
def test_methods_of_linear_features_refuse_continuous_actions_and_images(name):
    with pytest.raises(
        InputError, match=f"'{name}', which needs discrete actions.*values linear in features"
    ):
        make_method(configure(method=name), spec_of())
    with pytest.raises(InputError, match=rf"shape \[8, 8, 1\], but method '{name}' has features of vectors"):
        make_method(configure(method=name), spec_of(obs_shape=(8, 8, 1), num_actions=3))


@pytest.mark.parametrize("name", TABULAR)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward_input": "action"}, "unknown config.reward_input 'action'; .*state_action"),
        (
            {"critics": 2},
            "config.critics is 2, but method '{}' is defined for 1 only; set --config",
        ),
        ({"state_only": True}, "config.state_only is True, but method '{}'"),
        ({"feed": "replay"}, "config.feed is 'replay', but method '{}' learns from demos"),
    ],
)
def test_tabular_methods_refuse_what_they_do_not_read(name, changes, message):
    assert make_method(configure(method=name), TABLE)
    with pytest.raises(InputError, match=message.format(name)):
        make_method(configure(method=name, **changes), TABLE)


@pytest.mark.parametrize("name", TABULAR)
@pytest.mark.parametrize("spec", [SPEC, spec_of(), TABLE._replace(mdp=None)])
def test_tabular_methods_refuse_environments_without_a_finite_process(name, spec):
    with pytest.raises(InputError, match=f"'{name}', which needs a finite process .*made-up is none: "):
        make_method(configure(method=name), spec)


@pytest.mark.parametrize("name", TABULAR)
def test_tabular_methods_never_read_the_reward(name):
    method, hparams = compiled(configure(method=name), TABLE), hyper(configure(), TABLE)
    rows = jax.tree.map(jnp.asarray, random_rows(TABLE, 8))
    state = method.init(jax.random.key(0), hparams)

    def after(reward, shift):
        batch = Batch(expert=rows.replace(reward=reward, obs=(rows.obs + shift) % 4), initial=rows.obs)
        return jax.tree.leaves(method.update(hparams, state, batch, jax.random.key(0)))

    one, other, moved = after(rows.reward, 0), after(rows.reward + 1, 0), after(rows.reward, 1)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, moved, strict=True))


def test_max_entropy_starts_where_it_can():
    with pytest.raises(InputError, match=r"config.value_term is 'mixture'.*v0"):
        make_method(configure(method="max_entropy", value_term="mixture"), TABLE)


def test_join_marks_the_experts():
    policy, expert = random_rows(SPEC, 3, 0), random_rows(SPEC, 5, 1)
    rows, mask = join(Batch(policy=policy, expert=expert))
    np.testing.assert_array_equal(mask, [0, 0, 0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(rows.obs[mask > 0], expert.obs)
    rows, mask = join(Batch(expert=expert))
    np.testing.assert_array_equal(mask, np.ones(5))
    np.testing.assert_array_equal(rows.action, expert.action)


def test_discount_knows_only_termination():
    actual = discount(0.9, jnp.asarray([True, False]))
    np.testing.assert_allclose(actual, [0.0, 0.9])


@pytest.mark.parametrize(
    ("changes", "lower", "upper"),
    [
        ({"regularize": "both"}, -2.0, 2.0),  # ±4α, α = 0.5
        ({"divergence": "tv"}, -0.5, 0.5),
        ({"divergence": "chi2"}, -np.inf, 1.0),
        ({"divergence": "hellinger"}, -0.5, np.inf),
        ({"divergence": "forward_kl"}, 0.0, np.inf),
        ({"divergence": "reverse_kl"}, -np.inf, np.inf),
        ({"divergence": "reverse_kl", "regularize": "both"}, -2.0, np.inf),
        ({"divergence": "hellinger", "regularize": "both"}, -0.5, np.inf),
    ],
)
def test_value_bounds_follow_from_reward_bounds(changes, lower, upper):
    """[r_min, r_max + τ log|A|]/(1−γ)."""
    from iqlearn_jax.agents.soft_q import make_agent

    config = configure(gamma=0.9, **changes)
    actual = value_bounds(config, make_agent(config, SPEC), hyper(config, SPEC), 0.2)
    np.testing.assert_allclose(actual, [lower * 10, (upper + 0.2 * np.log(3)) * 10], rtol=1e-5, atol=1e-6)


def test_value_bounds_count_the_entropy_that_values_count():
    """With `excess_entropy` [r_min, r_max + τ(log|A| − target)]/(1−γ)."""
    from iqlearn_jax.agents.soft_q import make_agent

    config = configure(
        gamma=0.9, regularize="both", learn_temperature=True, excess_entropy=True, target_entropy=0.5
    )
    actual = value_bounds(config, make_agent(config, SPEC), hyper(config, SPEC), 0.2)
    np.testing.assert_allclose(actual, [-20.0, (2.0 + 0.2 * (np.log(3) - 0.5)) * 10], rtol=1e-5)


def test_gradient_penalty_of_w1_is_that_of_a_known_network():
    """A Q linear in its input has a gradient that does not depend on where: (‖w_a‖ − α)²."""
    from iqlearn_jax.agents.common import Learner
    from iqlearn_jax.agents.soft_q import make_agent
    from iqlearn_jax.methods.iq.loss import lipschitz_penalty

    config = configure(divergence="w1", gradient_penalty=10.0, hidden=(), alpha=0.7)
    agent, hparams = make_agent(config, SPEC), hyper(config, SPEC)
    state = agent.init(jax.random.key(0), hparams)
    kernel = np.asarray(state.critic["net"]["params"]["Dense_0"]["kernel"])[0]
    expert = random_rows(SPEC, 6).replace(action=np.full(6, 2, np.int32))
    policy = random_rows(SPEC, 6, 1).replace(action=np.full(6, 2, np.int32))
    for batch in (Batch(expert=expert), Batch(expert=expert, policy=policy)):
        learner = Learner(config, agent, hparams, state)
        actual = lipschitz_penalty(learner, state.critic, batch, jax.random.key(1))
        assert float(actual) == pytest.approx((np.linalg.norm(kernel[:, 2]) - 0.7) ** 2, rel=1e-4)


@pytest.mark.parametrize("spec", [SPEC, spec_of(obs_shape=(2,))], ids=["discrete", "continuous"])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="chi2"),
        pytest.param({"divergence": "w1", "gradient_penalty": 10.0}, id="w1", marks=pytest.mark.slow),
        pytest.param({"infer_actions": True}, id="inferred", marks=pytest.mark.slow),
    ],
)
def test_state_only_never_reads_the_experts_actions(spec, changes):
    config = configure(state_only=True, hidden=(8,), feed="replay", **changes)
    method, hparams = make_method(config, spec), hyper(config, spec)
    state = method.init(jax.random.key(0), hparams)
    policy, expert = random_rows(spec, 6), random_rows(spec, 6, 1)
    other = expert.replace(action=np.roll(expert.action, 1, axis=0))
    assert (other.action != expert.action).any()
    update, actual = jax.jit(method.update), []
    for rows in (expert, other):
        batch = Batch(policy=policy, expert=rows, initial=expert.obs)
        actual.append(update(hparams, state, batch, jax.random.key(1))[0])
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, actual), strict=True))


def test_state_only_reward_is_that_of_the_state():
    """E_π[Q(s,·)] − γV(s'), whatever action stands in the row: demonstrations then have blank ones."""
    config = configure(state_only=True, hidden=(8,), feed="replay", temperature=1.0)
    method, hparams = make_method(config, SPEC), hyper(config, SPEC)
    state, rows = method.init(jax.random.key(0), hparams), random_rows(SPEC, 6)
    blank = method.reward(hparams, state, rows.replace(action=rows.action * 0), jax.random.key(1))
    np.testing.assert_array_equal(method.reward(hparams, state, rows, jax.random.key(1)), blank)


def test_messages_of_unknown_names_are_short():
    with pytest.raises(InputError) as caught:
        make_method(configure(divergence="zzz"), SPEC)
    assert len(re.split(r",", str(caught.value))) <= 12


@pytest.mark.parametrize(
    "name",
    ("dac", "iq", "value_dice", "gail", "airl"),
)
@pytest.mark.slow
def test_a_grid_of_gradient_penalties_is_felt_where_the_key_itself_is_0(name):
    """What is compiled follows the grid: a penalty left out because the key is 0 would change nothing."""
    feed = {"dac": "replay", "gail": "rollout", "airl": "rollout"}.get(name, "demos")
    config = configure(
        method=name, feed=feed, hidden=(8,), online__rollout_steps=4, grid__gradient_penalty=(0.0, 10.0)
    )
    method, hparams = make_method(config, SPEC), hyper(config, SPEC)
    expert, policy = (jax.tree.map(jnp.asarray, random_rows(SPEC, 4, seed)) for seed in (0, 1))
    if feed == "rollout":
        policy = jax.tree.map(lambda x: x[:, None], policy)
    batch = Batch(expert=expert, policy=None if feed == "demos" else policy, initial=expert.obs)

    def after(weight):
        state = method.init(jax.random.key(0), hparams)
        weighted = hparams | {"gradient_penalty": weight}
        return jax.tree.leaves(method.update(weighted, state, batch, jax.random.key(1))[0])

    assert any(not np.array_equal(a, b) for a, b in zip(after(0.0), after(10.0), strict=True))
