"""Maximum likelihood IRL without a model (Jain, Doshi & Banerjee 2019; Babes et al. 2011)."""

import jax
import jax.numpy as jnp

from iqlearn_jax.agents.common import STANDARD_PARTS, Parts
from iqlearn_jax.methods.method import PLAIN, Method, MethodEntry
from iqlearn_jax.methods.tabular.common import (
    LEARNED_TABLE_KEYS,
    TableState,
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
from iqlearn_jax.ops.tabular.inverse import averaged_q
from iqlearn_jax.types import discount

KEYS = LEARNED_TABLE_KEYS


class LikelihoodState(TableState):
    """As `TableState`, with what the demonstrations showed of the dynamics.

    Attributes:
      seen: [S, A] rows of each pair so far.
      went_on: [S, A, S] those of them that went on in s', so not the ends of the task.
    """

    seen: jax.Array
    went_on: jax.Array


def make_max_likelihood(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """max_θ E_E[log softmax(Q_θ(s,·)/τ)_a], Q_θ by `config.inner_steps` averaged backups of r_θ. β = 1/τ.

    The backups (`ops.tabular.inverse.averaged_q`) average over the successors that the demonstrations showed
    after (s,a); spec.mdp gives the number of states, and nothing of it is used besides. The gradient goes
    through all of them; one update is one step of Adam (`critic_lr`). γ^inner_steps says how far ahead Q
    sees. Where an episode was cut the successor counts, after a terminal the value is 0.

    Rewards are r(s,a), or r(s) with `config.reward_input="state"`. r(s,a) can fit any action frequencies
    without looking ahead, so then the reward says little; r(s) has to explain actions by where they lead.

    Departures from the paper:
      one backup takes all pairs at once with the mean of the observed successors, where the paper takes one
        sampled successor after another with a learning rate: the same fixed point, without the noise;
      the observed successors gather over updates, batch by batch;
      a pair that was never shown keeps Q = r, as if the task ended there: nothing is known of where it
        leads. With r(s,a) its reward falls until the policy avoids it; with r(s) all rewards are pushed up
        until going on is better than ending, so their level means nothing.

    Raises:
      InputError: an environment that is no finite process.
    """
    check_table(config, spec, "Q is a table of all states, differentiated through its backups")
    shape = table_shape(spec)

    def init(key, hparams):
        table = initial_table(initial_params(config, spec), jnp.zeros(shape), hparams, parts.optimizer)
        fields = {name: getattr(table, name) for name in TableState.__dataclass_fields__}
        return LikelihoodState(**fields, seen=jnp.zeros(shape), went_on=jnp.zeros((*shape, shape[0])))

    def q_of(hparams, state, params):
        successors = state.went_on / jnp.maximum(state.seen, 1.0)[..., None]
        reward = rewards_of(params, state.q)
        return averaged_q(reward, successors, hparams["gamma"], state.temperature, config.inner_steps)

    def update(hparams, state, batch, key):
        rows = batch.expert
        state = remember(state, rows)

        def likelihood(params):
            logp = log_policy(q_of(hparams, state, params), state.temperature)
            return jnp.mean(logp[rows.obs, rows.action])

        value, grads = jax.value_and_grad(likelihood)(state.params)
        state, metrics = ascend(hparams, state, grads, parts.optimizer)
        before, state = state.q, state.replace(q=q_of(hparams, state, state.params))
        return state, metrics | {
            "max_likelihood/log_likelihood": value,
            "max_likelihood/q_change": jnp.max(jnp.abs(state.q - before)),
            "max_likelihood/pairs_seen": jnp.mean(state.seen > 0),
        }

    return Method(init=init, update=update, act=act_softly, reward=look_up)


def remember(state: LikelihoodState, rows) -> LikelihoodState:
    """The state with the successors of one more batch."""
    goes_on = discount(1.0, rows.terminated)
    return state.replace(
        seen=state.seen.at[rows.obs, rows.action].add(1.0),
        went_on=state.went_on.at[rows.obs, rows.action, rows.next_obs].add(goes_on),
    )


ENTRY = MethodEntry(
    make_max_likelihood,
    KEYS,
    "maximum likelihood IRL without a model, on finite processes (Jain et al. 2019)",
    feeds=frozenset({"demos"}),
    refuses=PLAIN,
    parts=frozenset({"optimizer"}),
)
