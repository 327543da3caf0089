"""IQ-Learn: inverse soft-Q learning (Garg et al. 2021, eqs. 9, 10, 12; Algorithm 1).

One gradient step of the critic on −J(Q), then (continuous actions) one SAC step of the actor. The actor step
maximises E[Q − τ log π]; the paper's §4.4 and Algorithm 1 print it as a minimisation.

Departures from the authors' code, each with the switch that restores their choice:
  initial states of (1−γ)E_ρ0[V] are the demonstrations' true start states (`value_term="v0"`, eq. 9); the
    authors average over all expert states under that name: `value_term="v0_all"`;
  online, the presets estimate the value term in its saddle form over the policy's samples
    (`value_term="policy"`, see `saddle_value_term`): `value_term="mixture"` is the authors';
  observations are standardised by the demonstrations, online by them and random play: `normalize_obs=False`;
  terminal treatment: `terminal="zero"` is the authors';
  thinned-out demonstrations may show (s', a'), too (`next_rows_gain`): off by default, `next_actions=False`;
  several critics: the recovered reward is the mean of Q_e(s,a) − γ·min V(s'), theirs has min Q: `critics=1`;
  from states alone, actions may be inferred: `infer_actions=False` is the paper's E_{a~π}[Q(s,a)].
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from iqlearn_jax.agents import make_agent
from iqlearn_jax.agents.common import bootstrap_critic, critic_step
from iqlearn_jax.methods import terminal
from iqlearn_jax.methods.common import (
    Method,
    choose,
    join,
    penalty_weights,
    require,
    require_differentiable,
    with_next_rows,
)
from iqlearn_jax.methods.inverse_dynamics import inferring
from iqlearn_jax.methods.iq_bounds import end_reward, reward_bounds, value_bounds
from iqlearn_jax.ops.divergences import domain_penalty, get_divergence, guarded_phi
from iqlearn_jax.ops.objectives import (
    difference_value_term,
    half_and_half,
    initial_value_term,
    iq_loss,
    saddle_value_term,
    weighted_mean,
)
from iqlearn_jax.ops.penalties import gradient_penalty
from iqlearn_jax.ops.soft import inverse_bellman

BOX_WEIGHT = 10.0  # weight of total variation's |r| ≤ R over all samples, above any likely ratio ρ/ρ_E


class Rewards(NamedTuple):
    """The inverse Bellman operator on a batch of N rows with E critics."""

    reward: jax.Array  # [E, N] Q − discount·V(s')
    v: jax.Array  # [N] V(s)
    next_v: jax.Array  # [N] V(s'), terminals treated
    discount: jax.Array  # [N] or []
    q: jax.Array  # [E, N]


def make_iq(config, spec) -> Method:
    """IQ-Learn as a record of pure functions.

    Raises:
      InputError: unknown divergence, value term, terminal treatment or regularisation, or a combination
        that has no meaning.
    """
    check(config)
    require_differentiable(config, spec, "set it to 0 and choose a divergence other than 'w1'")
    agent = make_agent(config, spec)
    as_expert = config.feed == "demos" or config.state_only  # decides the sign behind a bounded terminal

    def update(hparams, state, batch, key):
        loss_key, improve_key = jax.random.split(key)
        rows, _ = join(batch)

        def loss(critic):
            return critic_loss(config, agent, hparams, state, critic, batch, loss_key)

        state, metrics = critic_step(config, hparams, state, loss)
        state, policy_metrics = agent.improve(hparams, state, rows.obs, improve_key)
        return state, metrics | policy_metrics

    def reward(hparams, state, transition, key):
        source = jnp.full(transition.reward.shape, float(as_expert))
        found = rewards(config, agent, hparams, state, state.critic, state.critic, transition, source, key)
        return jnp.mean(found.reward, axis=0)

    def value(hparams, state, obs, key):
        return agent.value(hparams, state, state.critic, obs, key)

    method = Method(
        init=agent.init,
        update=update,
        act=agent.act,
        reward=reward,
        feeds=frozenset({"demos", "replay"}),
        value=value,
        end_reward=None if config.terminal == "zero" else partial(end_reward, config, agent, as_expert),
    )
    return inferring(config, spec, agent.preprocess, method) if config.infer_actions else method


def check(config) -> None:
    """Refuses configurations that have no meaning, before anything is compiled."""
    get_divergence(config.divergence)
    term = choose(config, "value_term", ("v0", "v0_all", "expert", "mixture", "policy"))
    require(
        term != "policy" or config.feed == "replay",
        "config.value_term='policy' is a mean over the learner's own samples, but config.feed is "
        f"'{config.feed}'; set --config.feed=replay, or --config.value_term=expert",
    )
    require(
        not config.state_only or config.feed == "replay",
        "config.state_only with config.feed='demos' can learn no policy: without actions and without acting, "
        "nothing says what an action does; set --config.feed=replay",
    )
    require(
        not config.next_actions or (term == "expert" and not config.state_only),
        "config.next_actions needs a value term over the expert's rows, where V(s'') cancels, and their "
        f"actions, but config.value_term is '{term}' and config.state_only {config.state_only}; set "
        "--config.value_term=expert and --config.state_only=False, or --config.next_actions=False",
    )
    choose(config, "terminal", ("zero", "absorbing", "bounded"))
    both = choose(config, "regularize", ("expert", "both")) == "both"
    bounded = config.divergence == "tv" or (both and config.divergence == "chi2")
    require(
        config.terminal != "bounded" or bounded,
        "config.terminal='bounded' needs rewards bounded on both sides; those of divergence "
        f"'{config.divergence}' with config.regularize='{config.regularize}' are not: set "
        "--config.regularize=both with divergence 'chi2', --config.divergence=tv, or "
        "--config.terminal=absorbing",
    )
    require(
        config.divergence != "w1" or min(penalty_weights(config)) > 0,
        "divergence 'w1' is a constraint on the gradient, but config.gradient_penalty is "
        f"{min(penalty_weights(config))}; set it above 0 (the paper: 10)",
    )


def blind(config) -> bool:
    """Whether the expert's actions are not known, nor inferred: the paper's state-only form (§5.4)."""
    return config.state_only and not config.infer_actions


def rewards(config, agent, hparams, state, critic, bootstrap, rows, expert, key) -> Rewards:
    """r = Q(s,a) − γV(s') with the terminal treatment; where `blind`, Q(s,·) is the policy's mean.

    Args:
      critic, bootstrap: parameters that value (s, a) and the successor.
      rows: transitions [N]; expert: [N] mask.
    """
    value_key, next_key, expected_key = jax.random.split(key, 3)
    q, v = agent.values(hparams, state, critic, rows.obs, rows.action, value_key)
    if blind(config):
        q = jnp.where(expert > 0, agent.expected_q(hparams, state, critic, rows.obs, expected_key), q)
    next_v = agent.value(hparams, state, bootstrap, rows.next_obs, next_key)
    bounds = value_bounds(config, agent, hparams, state.temperature)
    if config.terminal == "bounded":
        lower, upper = reward_bounds(config, hparams["alpha"])
        behind = jnp.where(expert > 0, upper, lower) / (1.0 - hparams["gamma"])
    else:
        entropy = terminal.absorbing_entropy(config, agent, hparams, state)
        behind = terminal.absorbing_value(hparams, bootstrap, entropy)
    discount, next_v = terminal.successor(
        config.terminal, hparams, rows, next_v, behind, bounds if config.clip_targets else None
    )
    return Rewards(inverse_bellman(q, next_v, discount), v, next_v, discount, q)


def critic_loss(config, agent, hparams, state, critic, batch, key):
    """−J(Q) on a batch, with the penalties that its divergence asks for. Returns (loss [], metrics)."""
    reward_key, initial_key, penalty_key = jax.random.split(key, 3)
    rows, expert = join(batch)
    bootstrap = bootstrap_critic(config, state, critic)
    found = rewards(config, agent, hparams, state, critic, bootstrap, rows, expert, reward_key)
    end = self_loop(config, agent, hparams, state, critic, bootstrap, rows)
    divergence, alpha = get_divergence(config.divergence), hparams["alpha"]
    both = config.regularize == "both"
    square_alone = both and config.divergence == "chi2"  # over both kinds of samples; others keep their φ

    def curved(reward):
        return reward if square_alone else guarded_phi(divergence, reward, alpha, hparams["phi_slope"])

    def phi(reward):
        return curved(reward) + end.weight * curved(end.reward)

    value_term = estimate_value_term(
        config, agent, hparams, state, critic, batch.initial, found, end, expert, initial_key
    )
    loss = iq_loss(phi, found.reward, value_term, jnp.broadcast_to(expert, found.reward.shape))
    if config.next_actions:
        next_key = jax.random.fold_in(key, 3)
        loss -= next_rows_gain(agent, hparams, state, critic, batch, found, next_key)
    metrics = diagnostics(found, expert, loss, value_term) | {
        "iq/absorbing_reward": critic["absorbing"],
        "iq/end_rate": jnp.mean(rows.terminated.astype(jnp.float32)),  # of the batch's rows
    }
    penalty = jnp.zeros(())
    if both:
        squares = jnp.square(found.reward) + end.weight * jnp.square(end.reward)
        weight = jnp.broadcast_to(half_and_half(expert), squares.shape)
        penalty += weighted_mean(squares, weight) / (4.0 * alpha)
    if config.divergence == "tv":
        penalty += BOX_WEIGHT * jnp.mean(domain_penalty(divergence, found.reward, alpha))
    if max(penalty_weights(config)) > 0:
        seen = without_actions(agent, hparams, state, batch, penalty_key) if blind(config) else batch
        penalty += hparams["gradient_penalty"] * lipschitz_penalty(agent, hparams, critic, seen, penalty_key)
    return loss + penalty, metrics | {"iq/penalty": penalty}


def estimate_value_term(config, agent, hparams, state, critic, initial, found: Rewards, end, expert, key):
    """(1−γ)E_ρ0[V(s0)], [] in reward units, by the estimator that the configuration names.

    "v0_all" takes all expert states for start states, as the authors' code does; it estimates another number.

    Args:
      initial: start observations; expert: [N] mask of the expert's rows.
    """
    if config.value_term == "v0":
        return initial_value_term(agent.value(hparams, state, critic, initial, key), hparams["gamma"])
    if config.value_term == "v0_all":
        return (1.0 - hparams["gamma"]) * weighted_mean(found.v, expert)
    if config.value_term == "policy":
        weight = 1.0 - expert
        term = saddle_value_term(found.q, found.next_v, found.discount, weight)
    else:
        weight = expert if config.value_term == "expert" else half_and_half(expert)
        term = difference_value_term(found.v, found.next_v, found.discount, weight)
    return term + weighted_mean(end.weight * end.drop, weight)


def next_rows_gain(agent, hparams, state, critic, batch, found: Rewards, key):
    """By how much J grows, [], if its linear part is averaged over the rows (s', a'), too.

    J = E[φ(r) − r] + E[r − (V(s) − γV(s'))], and in the second mean V(s') cancels: Q(s,a) − V(s) is left, at
    (s', a') Q(s',a') − V(s'), for which s'' need not be known. The first mean stays one over whole rows.
    What it saves is labels that thinning out throws away.
    """
    size = batch.expert.reward.shape[0]
    own = (found.q - found.v)[:, -size:]  # `join` puts the expert's rows last

    def advantage(obs, action):
        q, v = agent.values(hparams, state, critic, obs, action, key)
        return q - v

    return with_next_rows(batch, own, advantage) - jnp.mean(own)


def self_loop(config, agent, hparams, state, critic, bootstrap, rows) -> terminal.Tail:
    """The absorbing state's share of each row; of weight 0 unless `config.terminal` is "absorbing"."""
    entropy = terminal.absorbing_entropy(config, agent, hparams, state)
    end = terminal.tail(hparams, rows, critic, bootstrap, entropy)
    return end if config.terminal == "absorbing" else end._replace(weight=jnp.zeros_like(end.weight))


def without_actions(agent, hparams, state, batch, key):
    """The batch with the expert's actions replaced by the policy's: state-only learning must not see them."""
    action = agent.act(hparams, state, batch.expert.obs, jax.random.fold_in(key, 1), deterministic=False)
    return batch.replace(expert=batch.expert.replace(action=action))


def lipschitz_penalty(agent, hparams, critic, batch, key):
    """E[(‖∇Q‖ − α)²] over network inputs (standardised obs, and the action if continuous), between expert
    and policy samples; offline between pairs of expert samples. [] (Gulrajani et al. 2017; paper, §5.3)
    """
    shuffle_key, mix_key = jax.random.split(key)

    def inputs(rows):
        return agent.preprocess(hparams, rows.obs), rows.action

    def q(point):
        obs, action = jax.tree.map(lambda x: x[None], point)
        return jnp.mean(agent.q_of_input(critic, obs, action))

    expert = inputs(batch.expert)
    order = jax.random.permutation(shuffle_key, batch.expert.reward.shape[0])
    other = jax.tree.map(lambda x: x[order], expert) if batch.policy is None else inputs(batch.policy)
    return gradient_penalty(q, expert, other, mix_key, target=hparams["alpha"])


def diagnostics(found: Rewards, expert, loss, value_term):
    """What tells a healthy run from a sick one: rewards of both kinds, values, objective.

    "iq/value" is the mean V(s') as it enters the rewards. V(s) would cost SAC another pass of every critic
    that the value term "policy" does not need; V(s0) is measured once a chunk (`sweep.evaluation`).
    """
    reward = jnp.mean(found.reward, axis=0)
    return {
        "iq/loss": loss,
        "iq/value_term": value_term,
        "iq/reward_expert": weighted_mean(reward, expert),
        "iq/reward_policy": weighted_mean(reward, 1.0 - expert),
        "iq/reward_min": jnp.min(reward),
        "iq/reward_max": jnp.max(reward),
        "iq/q": jnp.mean(found.q),
        "iq/value": jnp.mean(found.next_v),
    }
