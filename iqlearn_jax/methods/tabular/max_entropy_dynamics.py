"""Rewards and dynamics together, from data alone (SERD; Herman et al. 2016), on finite processes."""

import jax
import jax.numpy as jnp

from iqlearn_jax.agents.common import STANDARD_PARTS, Parts
from iqlearn_jax.methods.method import PLAIN, Method, MethodEntry
from iqlearn_jax.methods.tabular.common import (
    LEARNED_TABLE_KEYS,
    act_softly,
    ascend,
    check_table,
    initial_params,
    initial_table,
    look_up,
    rewards_of,
    table_shape,
)
from iqlearn_jax.ops.iq.soft import log_policy
from iqlearn_jax.ops.tabular.inverse import bellman_residual, soft_policy_iteration
from iqlearn_jax.ops.tabular.mdp import MDP

SPREAD = 0.1  # of both tables at the start; from 0 the policy's gradient by the dynamics is rounding alone,
# which Adam would magnify

KEYS = LEARNED_TABLE_KEYS


def make_max_entropy_dynamics(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """max_{θ,η} E_E[log π_{θ,η}(a|s) + log T_η(s'|s,a)], π the soft-optimal policy of r_θ under T_η.

    T_η = softmax(η), a table [S, A, S] that starts near uniform; spec.mdp gives the number of states, and
    nothing of it is used besides. The soft Bellman fixed point is found by `config.inner_steps` soft policy
    iterations from the last update's Q and differentiated implicitly
    (`ops.tabular.inverse.soft_policy_iteration`), so the expert's actions teach the dynamics as well: what it
    avoids is believed to lead to worse states. One update is one step of Adam (`critic_lr`) on both tables.

    Rewards are r(s,a), or r(s) with `config.reward_input="state"`, where the dynamics have to explain why an
    action is not taken. A terminal state is one like any other, of which no row is ever seen: its dynamics
    stay near uniform and its reward is learned.

    Departures from the paper:
      T_η is a full table without prior knowledge;
      both tables have one rate, and Adam on mini-batches instead of plain gradient steps.

    Raises:
      InputError: an environment that is no finite process.
    """
    check_table(config, spec, "rewards and dynamics are tables over all of its states")
    shape = table_shape(spec)

    def believed(hparams, params):
        dynamics = jax.nn.softmax(params["dynamics"])
        return MDP(dynamics, jnp.zeros(shape[0]), hparams["gamma"])  # nothing here reads the start

    def solve(hparams, params, temperature, q):
        reward = rewards_of(params, q)
        return soft_policy_iteration(believed(hparams, params), reward, temperature, q, config.inner_steps)

    def init(key, hparams):
        reward_key, dynamics_key = jax.random.split(key)
        blank = initial_params(config, spec)["reward"].shape
        params = {
            "reward": SPREAD * jax.random.normal(reward_key, blank),
            "dynamics": SPREAD * jax.random.normal(dynamics_key, (*shape, shape[0])),
        }
        temperature = jnp.asarray(hparams["temperature"])
        q = solve(hparams, params, temperature, jnp.zeros(shape))
        return initial_table(params, q, hparams, parts.optimizer)

    def update(hparams, state, batch, key):
        rows = batch.expert

        def likelihood(params):
            logp = log_policy(solve(hparams, params, state.temperature, state.q), state.temperature)
            actions = jnp.mean(logp[rows.obs, rows.action])
            moves = jax.nn.log_softmax(params["dynamics"])
            successors = jnp.mean(moves[rows.obs, rows.action, rows.next_obs])
            return actions + successors, (actions, successors)

        grads, (actions, successors) = jax.grad(likelihood, has_aux=True)(state.params)
        state, metrics = ascend(hparams, state, grads, parts.optimizer)
        state = state.replace(q=solve(hparams, state.params, state.temperature, state.q))
        mdp, reward = believed(hparams, state.params), rewards_of(state.params, state.q)
        return state, metrics | {
            "max_entropy_dynamics/log_likelihood": actions,
            "max_entropy_dynamics/log_dynamics": successors,
            "max_entropy_dynamics/residual": bellman_residual(mdp, reward, state.q, state.temperature),
        }

    return Method(init=init, update=update, act=act_softly, reward=look_up)


ENTRY = MethodEntry(
    make_max_entropy_dynamics,
    KEYS,
    "SERD: rewards and dynamics together, from data alone (Herman et al. 2016)",
    feeds=frozenset({"demos"}),
    refuses=PLAIN,
    parts=frozenset({"optimizer"}),
)
