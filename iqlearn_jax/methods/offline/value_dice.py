"""ValueDICE: off-policy distribution matching (Kostrikov, Nachum & Tompson 2020, eqs. 12 and 15).

max_π min_ν J,  J = log E_E[exp(ν(s,a) − γE_π[ν(s',·)])] − (1−γ)E_ρ0,π[ν(s0,·)],  min_ν J = −KL(ρ_π‖ρ_E).

Departures from the authors' code, each with the switch that restores their choice where there is one:
  E_ρ0 is estimated as `value_term` says: "v0" from true start states (eq. 12), "v0_all" from all expert
    states (the authors), "expert" by E_E[E_π[ν(s,·)] − γE_π[ν(s',·)]], equal to it on exact occupancies;
  the absorbing state is a number instead of an observation with an indicator, and its self-loop enters with
    its discounted weight γ/(1−γ) for each terminal transition instead of once (`methods.terminal`). With
    `terminal="zero"` its ν is 0, with "absorbing" it is learned: the optimum is the same, since adding a
    constant to ν changes nothing;
  the gradient penalty needs no replay: offline it lies between pairs of the expert's samples;
  discrete actions: a softmax policy with a network of its own, its expectations exact.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from iqlearn_jax.agents.common import (
    CRITIC_KEYS,
    NETWORK_KEYS,
    STANDARD_PARTS,
    Agent,
    Parts,
    descend,
    require_differentiable,
)
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.config.values import require, values_of
from iqlearn_jax.methods import terminal
from iqlearn_jax.methods.batches import action_values
from iqlearn_jax.methods.method import DEMOS, PLAIN, Method, MethodEntry
from iqlearn_jax.ops.baselines.dice import donsker_varadhan
from iqlearn_jax.ops.iq.objectives import initial_value_term
from iqlearn_jax.ops.iq.penalties import gradient_penalty, orthogonality
from iqlearn_jax.ops.iq.soft import inverse_bellman
from iqlearn_jax.types import Hparams, join

KEYS = DEMOS | NETWORK_KEYS | CRITIC_KEYS | {"data.path"} | {
    "actor_lr", "gamma", "value_term", "terminal", "gradient_penalty", "orthogonal", "replay_share",
}  # fmt: skip


class Players(NamedTuple):
    """ν and the policy, the same for both kinds of actions.

    Attributes:
      agent: owner of ν's network; its `q` is ν [1, B].
      init: (key, hparams) -> AgentState; `critic` is ν, `actor` the policy.
      expected: (hparams, state, critic, actor, obs, key) -> E_{a~π}[ν(s,a)] [B].
      act: as `Method.act`.
    """

    agent: Agent
    init: Callable
    expected: Callable
    act: Callable


class Game(NamedTuple):
    """What J is evaluated with: the players, the hyperparameters and the state of their run."""

    config: Any
    players: Players
    hparams: Hparams
    state: Any


class Ratios(NamedTuple):
    """x = ν(s,a) − γE_π[ν(s',·)] on N rows, and the same in the absorbing state."""

    x: jax.Array  # [N]
    next_v: jax.Array  # [N] E_π[ν(s',·)], terminals treated
    discount: jax.Array  # [N] or []
    end: jax.Array  # [] x of the absorbing state's self-loop
    end_weight: jax.Array  # [N] its weight in each row, γ/(1−γ) at terminals


def make_value_dice(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """ValueDICE as a record of pure functions; `reward` estimates log ρ_E/ρ_π (see `recovered`).

    Raises:
      InputError: a combination that has no meaning here.
    """
    check(config, spec)
    players = make_players(config, spec, parts)
    absorbing = config.terminal == "absorbing"

    def update(hparams, state, batch, key):
        loss_key, penalty_key = jax.random.split(key)
        game = Game(config, players, hparams, state)

        def saddle(critic, actor):
            value, metrics = objective(game, critic, actor, batch, loss_key)
            if max(values_of(config, "gradient_penalty")) == 0:
                return value, metrics
            penalty = smoothness(game, critic, batch, penalty_key)
            return value + hparams["gradient_penalty"] * penalty, metrics | {"dice/penalty": penalty}

        slopes, metrics = jax.grad(saddle, argnums=(0, 1), has_aux=True)(state.critic, state.actor)
        return both_steps(game, *slopes), metrics | {
            "critic/grad_norm": optax.tree.norm(slopes[0]),
            "policy/grad_norm": optax.tree.norm(slopes[1]),
        }

    return Method(
        init=players.init,
        update=update,
        act=players.act,
        reward=partial(recovered, config, players),
        end_reward=(lambda hparams, state: -state.critic["absorbing"]) if absorbing else None,
    )


def check(config, spec) -> None:
    """Refuses configurations that have no meaning, before anything is compiled."""
    require(
        config.terminal != "bounded",
        "config.terminal is 'bounded', but log-ratios, method 'value_dice's rewards, have no bounds; set "
        "--config.terminal=absorbing",
    )
    require(
        config.value_term in ("v0", "v0_all", "expert"),
        f"config.value_term is '{config.value_term}', but method 'value_dice' knows v0 (the paper), v0_all "
        "(its authors' code) and expert; set --config.value_term=v0",
    )
    require_differentiable(config, spec, "set --config.gradient_penalty=0")


def make_players(config, spec, parts: Parts = STANDARD_PARTS) -> Players:
    """SAC's actor for continuous actions, a softmax network like ν's for discrete ones."""
    agent = make_agent(config, spec, parts)

    def start(key, hparams):
        return agent.init(key, hparams | {"temperature": 1.0})  # the policy's outputs are logits

    if not spec.discrete:

        def reparametrised(hparams, state, critic, actor, obs, key):
            return agent.expected_q(hparams, state.replace(actor=actor), critic, obs, key)[0]

        return Players(agent, start, reparametrised, agent.act)

    table = action_values(config, spec, parts)

    def init(key, hparams):
        nu_key, actor_key = jax.random.split(key)
        actor = {"net": start(actor_key, hparams).critic["net"]}
        return start(nu_key, hparams).replace(actor=actor, actor_opt=parts.optimizer.init(actor))

    def exact(hparams, state, critic, actor, obs, key):
        policy = jax.nn.softmax(table(hparams, actor, obs))
        return jnp.sum(policy * table(hparams, critic, obs), axis=-1)

    def act(hparams, state, obs, key, deterministic=False):
        return agent.act(hparams, state.replace(critic=state.actor), obs, key, deterministic)

    return Players(agent, init, exact, act)


def ratios(game: Game, critic, actor, rows, key) -> Ratios:
    """ν(s,a) − γE_π[ν(s',·)] on transitions [N], by given parameters of ν and of the policy."""
    config, players, hparams, state = game
    nu = players.agent.q(hparams, critic, rows.obs, rows.action)[0]
    next_v = players.expected(hparams, state, critic, actor, rows.next_obs, key)
    after_end = terminal.absorbing_value(hparams, critic["absorbing"], 0.0)
    discount, next_v = terminal.successor(config.terminal, hparams, rows, next_v, after_end)
    loop = terminal.tail(hparams, rows, critic, critic, 0.0)
    end = loop.reward if config.terminal == "absorbing" else jnp.zeros(())
    return Ratios(inverse_bellman(nu, next_v, discount), next_v, discount, end, loop.weight)


def objective(game: Game, critic, actor, batch, key):
    """J(π, ν) on a batch; with a replay both distributions hold a share α of it (eq. 15).

    Returns:
      J [] in nats: ν descends it, the policy ascends it; and metrics.
    """
    _, players, hparams, state = game
    ratio_key, linear_key = jax.random.split(key)
    rows, expert = join(batch)
    sample = ratios(game, critic, actor, rows, ratio_key)
    share = 0.0 if batch.policy is None else hparams["replay_share"]
    demonstrated, replayed = (terminal.density(mask, sample.end_weight) for mask in (expert, 1.0 - expert))
    weight = (1.0 - share) * demonstrated + share * replayed
    value = partial(players.expected, hparams, state, critic, actor, key=linear_key)
    linear = (1.0 - share) * policy_mean(game, value, rows, batch, sample, demonstrated)
    linear += share * jnp.sum(replayed * (sample.x + sample.end_weight * sample.end))
    exponents = jnp.concatenate([sample.x, jnp.broadcast_to(sample.end, sample.x.shape)])
    total = donsker_varadhan(exponents, jnp.concatenate([weight, weight * sample.end_weight]), linear)
    return total, {
        "dice/objective": total,
        "dice/linear": linear,
        "dice/log_ratio_expert": jnp.sum(demonstrated * sample.x),
        "dice/log_ratio_max": jnp.max(sample.x),
    }


def policy_mean(game: Game, value: Callable, rows, batch, sample: Ratios, demonstrated):
    """E_ρπ[x] = (1−γ)E_ρ0,π[ν], [] in nats, by the estimator that `config.value_term` names."""
    if game.config.value_term == "v0":
        return initial_value_term(value(batch.initial), game.hparams["gamma"])
    if game.config.value_term == "v0_all":
        return initial_value_term(value(batch.expert.obs), game.hparams["gamma"])
    drop = value(rows.obs) - sample.discount * sample.next_v
    return jnp.sum(demonstrated * (drop + sample.end_weight * sample.end))


def smoothness(game: Game, critic, batch, key):
    """E[(‖∇ν‖ − 1)²] between expert and replayed points, (s, a) and (s', a' ~ π) alike; offline between
    pairs of the expert's. [] (Gulrajani et al. 2017)
    """
    _, players, hparams, state = game
    expert_key, other_key, mix_key = jax.random.split(key, 3)

    def points(rows, act_key):
        drawn = players.act(hparams, state, rows.next_obs, act_key)
        obs = jnp.concatenate([rows.obs, rows.next_obs])
        return players.agent.preprocess(hparams, obs), jnp.concatenate([rows.action, drawn])

    def nu(point):
        obs, action = jax.tree.map(lambda x: x[None], point)
        return players.agent.q_of_input(hparams, critic, obs, action)[0, 0]

    expert = points(batch.expert, expert_key)
    if batch.policy is None:
        order = jax.random.permutation(other_key, expert[1].shape[0])
        other = jax.tree.map(lambda x: x[order], expert)
    else:
        other = points(batch.policy, other_key)
    return gradient_penalty(nu, expert, other, mix_key)


def both_steps(game: Game, nu_slope, actor_slope):
    """One step of ν down J and of the policy up J, both from the same point, as the authors do."""
    _, players, hparams, state = game
    optimizer = players.agent.optimizer
    bend = jax.grad(lambda actor: orthogonality(kernels(actor)))(state.actor)
    actor_slope = jax.tree.map(lambda up, o: hparams["orthogonal"] * o - up, actor_slope, bend)
    nu_slope = jax.tree_util.tree_map_with_path(without_gauge, nu_slope)
    critic, critic_opt = descend(
        state.critic, state.critic_opt, nu_slope, hparams["critic_lr"], hparams["weight_decay"], optimizer
    )
    rate = hparams["actor_lr"]
    actor, actor_opt = descend(state.actor, state.actor_opt, actor_slope, rate, optimizer=optimizer)
    return state.replace(
        critic=critic, target_critic=critic, critic_opt=critic_opt, actor=actor, actor_opt=actor_opt,
        step=state.step + 1,
    )  # fmt: skip


def without_gauge(path, slope):
    """The slope of one leaf; that of ν's last bias without its mean.

    J does not change when a constant is added to ν. What is left of that slope is rounding, which Adam would
    scale up to whole steps; the authors' network has no such bias.
    """
    names = [getattr(step, "key", None) for step in path]
    last = names == ["net", "params", "Dense_0", "bias"]
    return slope - jnp.mean(slope, axis=-1, keepdims=True) if last else slope


def kernels(params) -> list[jax.Array]:
    """The weights of a network, without biases and tables."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [leaf for path, leaf in leaves if getattr(path[-1], "key", None) == "kernel"]


def recovered(config, players: Players, hparams, state, transition, key):
    """γE_π[ν(s',·)] − ν(s,a), an estimate of log ρ_E/ρ_π up to a constant, [B] in nats.

    It is the reward that the policy climbs: high where the expert goes more often than the policy does. It
    is relative to the current policy and flattens as that one nears the expert: no reward to train others by.
    """
    game = Game(config, players, hparams, state)
    return -ratios(game, state.critic, state.actor, transition, key).x


ENTRY = MethodEntry(
    make_value_dice,
    KEYS,
    "off-policy distribution matching by a saddle point in log-ratios (Kostrikov et al. 2020)",
    feeds=frozenset({"demos", "replay"}),
    refuses=PLAIN,
    parts=frozenset({"critic", "actor", "optimizer"}),
)
