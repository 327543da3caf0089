"""PQN: parallelised Q-learning (Gallici et al. 2024, arXiv 2407.04811), soft; it trains experts.

Many environments stand for the replay, layer normalisation for the target network: λ-returns of a fresh
rollout by the present Q, and regression on them in a few passes.

Departures from the paper and its authors' code, each with the switch that restores their choice:
  values and play are soft: V = τ log Σ exp(Q/τ), a ~ exp(Q/τ); theirs are max Q and ε-greedy play, ε falling
    from 1 to 0.05 in the first tenth: no switch (a low `temperature` with `exploration=0.05` is close);
  what follows enters as G' − Q(s',a'), theirs as G' − max Q(s',·): so the soft Q-function is the fixed point
    for every λ, where G' − V(s') would lose the entropy of later steps: no switch (at λ = 0 both are one);
  Adam without clipped gradients; theirs is RAdam with norms up to 10: `optimizer=` of `make_method`;
  learning rates stay: `lr_decay=1.0`; observations are standardised: `normalize_obs=False`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from iqlearn_jax.agents.common import (
    CRITIC_KEYS,
    NETWORK_KEYS,
    STANDARD_PARTS,
    Parts,
    critic_step,
    require_discrete,
)
from iqlearn_jax.agents.ppo import all_passes, flat
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.methods.method import PLAIN, Method, MethodEntry
from iqlearn_jax.methods.rollouts import PASSES, check_rollout
from iqlearn_jax.ops.baselines.advantage import generalized_advantage
from iqlearn_jax.types import Transition, discount

KEYS = NETWORK_KEYS | CRITIC_KEYS | PASSES | {"temperature", "gamma", "gae_lambda", "reward_path"}


class Sample(NamedTuple):
    """What a step reads of rows [B]."""

    obs: jax.Array
    action: jax.Array
    target: jax.Array  # of Q(s,a)


def make_pqn(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """E[(Q(s,a) − G)²], G the λ-return of the rollout by the Q of before the update.

    Raises:
      InputError: continuous actions, minibatches that do not divide a rollout.
    """
    require_discrete(config, spec, "its policy is read off Q(s, ·)")
    check_rollout(config)
    agent = make_agent(config, spec, parts)

    def update(hparams, state, batch, key):
        sample = targets(hparams, state, agent, batch.policy)

        def step(state, part, key):
            def loss(critic):
                q = agent.q(hparams, critic, part.obs, part.action)
                value = jnp.mean(jnp.square(q - part.target))
                return value, {"rl/loss": value, "rl/q": jnp.mean(q)}

            state, metrics = critic_step(config, hparams, state, loss, agent.optimizer)
            state, policy_metrics = agent.improve(hparams, state, part.obs, key)
            return state, metrics | policy_metrics

        number = state.step
        state, metrics = all_passes(config, step, state, sample, key)
        return state.replace(step=number + 1), metrics

    return Method(init=agent.init, update=update, act=agent.act, reward=None)


def targets(hparams, state, agent, rollout: Transition) -> Sample:
    """Rows [T·N] of a rollout [T, N] with G_t = r_t + γ[V(s'_t) + λ(G_{t+1} − Q(s_{t+1}, a_{t+1}))].

    By Q − V = τ log π that is r + γ[(1−λ)V(s') + λ(G' − τ log π(a'|s'))], a soft return in every step.
    After a cut V of the true successor stands for what would have followed, after a true end nothing does.
    """
    rows, shape = flat(rollout), rollout.reward.shape
    now = agent.q(hparams, state.critic, rows.obs, rows.action)[0].reshape(shape)
    following = agent.value(hparams, state, state.critic, rows.next_obs, None).reshape(shape)
    advantage = generalized_advantage(
        rollout.reward,
        now,
        following,
        discount(hparams["gamma"], rollout.terminated),
        rollout.terminated | rollout.truncated,
        hparams["gae_lambda"],
    )
    return Sample(rows.obs, rows.action, jax.lax.stop_gradient(advantage + now).ravel())


ENTRY = MethodEntry(
    make_pqn,
    KEYS,
    "soft Q-learning from rollouts, without replay and target network; trains experts (Gallici et al. 2024)",
    feeds=frozenset({"rollout"}),
    refuses=PLAIN,
    parts=frozenset({"critic", "optimizer"}),
)
