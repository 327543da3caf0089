"""Maximum causal entropy IRL on finite processes (Ziebart et al. 2008; Ziebart 2010)."""

import jax.numpy as jnp

from iqlearn_jax.agents.common import STANDARD_PARTS, Parts
from iqlearn_jax.config.values import require
from iqlearn_jax.methods.method import PLAIN, Method, MethodEntry
from iqlearn_jax.methods.tabular.common import (
    LEARNED_TABLE_KEYS,
    act_softly,
    ascend,
    check_table,
    initial_params,
    initial_table,
    look_up,
    model,
    rewards_of,
    table_shape,
)
from iqlearn_jax.ops.iq.soft import log_policy, soft_policy
from iqlearn_jax.ops.tabular.inverse import (
    bellman_residual,
    frequencies,
    implied_start,
    soft_policy_iteration,
)
from iqlearn_jax.ops.tabular.mdp import MDP, occupancy

KEYS = LEARNED_TABLE_KEYS | {"value_term"}


def make_max_entropy(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """max_r E_d[r] − (1−γ)E_ρ0[V*_r]: gradient = the expert's visits minus those of the learner, discounted.

    V*_r and the policy π_r = softmax(Q*_r/τ) come from `config.inner_steps` soft policy iterations on
    spec.mdp, started at the last reward's Q; "max_entropy/residual" tells what they leave. One update is one
    step of Adam (`critic_lr`) on the table of rewards, with the visits d [S, A] of one batch; the gradient is
    linear in d, so it is unbiased.

    Where the learner starts (`config.value_term`):
      "expert": at the start measure that the expert's visits imply (`ops.tabular.inverse.implied_start`).
        Then the objective is τ·E_d[log π_r(a|s)], the causally conditioned likelihood of the demonstrated
        actions, whatever the visits' weighting by time: a batch does not know the step it was taken at.
      "v0": at spec.mdp's ρ0, as printed. The two agree where d is the expert's discounted occupancy; the
        loop's uniform samples are not discounted, and then "v0" matches unlike things.

    The reward is r(s,a), or r(s) with `config.reward_input="state"`. A terminal state is a self-loop of the
    model and its reward is learned like any other. There is no regularisation but `weight_decay`: actions
    that are never seen in a state seen often drive r(s,a) towards −∞, slowly.

    Raises:
      InputError: an environment without a finite model, or a value term that it does not know.
    """
    check_table(config, spec, "soft value iteration and feature counts run over all of its states")
    require(
        config.value_term in ("v0", "expert"),
        f"config.value_term is '{config.value_term}', but method 'max_entropy' knows v0 and expert; "
        "set --config.value_term=expert",
    )
    shape = table_shape(spec)

    def init(key, hparams):
        params = initial_params(config, spec)
        temperature = jnp.asarray(hparams["temperature"])
        q = solve(hparams, params, temperature, jnp.zeros(shape))
        return initial_table(params, q, hparams, parts.optimizer)

    def solve(hparams, params, temperature, q):
        return soft_policy_iteration(
            model(hparams, spec), rewards_of(params, q), temperature, q, config.inner_steps
        )

    def update(hparams, state, batch, key):
        mdp, rows = model(hparams, spec), batch.expert
        visits = frequencies(rows.obs, rows.action, shape)
        slope = count_difference(mdp, visits, soft_policy(state.q, state.temperature), config.value_term)
        likelihood = jnp.sum(visits * log_policy(state.q, state.temperature))
        if config.reward_input == "state":
            slope = jnp.sum(slope, axis=-1, keepdims=True)
        state, metrics = ascend(hparams, state, {"reward": slope}, parts.optimizer)
        state = state.replace(q=solve(hparams, state.params, state.temperature, state.q))
        left = bellman_residual(mdp, rewards_of(state.params, state.q), state.q, state.temperature)
        return state, metrics | {
            "max_entropy/log_likelihood": likelihood,
            "max_entropy/count_distance": jnp.sum(jnp.abs(slope)),
            "max_entropy/residual": left,
        }

    return Method(init=init, update=update, act=act_softly, reward=look_up)


def count_difference(mdp: MDP, visits, policy, value_term: str):
    """Feature counts of the expert minus the learner's (Ziebart et al. 2008, section 3), one per pair.

    Args:
      visits: [S, A] share of the expert's pairs; policy: [S, A] the learner's.
      value_term: where the learner starts, "expert" or "v0".
    Returns:
      [S, A]; in both cases it sums to 0.
    """
    start = implied_start(mdp, visits) if value_term == "expert" else mdp.initial
    return visits - occupancy(mdp._replace(initial=start), policy)


ENTRY = MethodEntry(
    make_max_entropy,
    KEYS,
    "maximum causal entropy IRL on finite processes (Ziebart et al. 2008, Ziebart 2010)",
    feeds=frozenset({"demos"}),
    refuses=PLAIN,
    parts=frozenset({"optimizer"}),
)
