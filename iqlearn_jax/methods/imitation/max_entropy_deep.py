"""Maximum entropy IRL with networks: a reward r_ψ(s,a) between expert and learner, and soft RL on it.

Ziebart et al. 2008 and 2010 (causal entropy); a network of rewards: Wulfmeier et al. 2015 (arXiv 1507.04888);
samples of the learner instead of planning: Finn et al. 2016 (arXiv 1603.00448). The likelihood's slope is
E_expert[∇r_ψ] − E_learner[∇r_ψ], the difference of feature counts, when the learner is soft-optimal for r_ψ.

Departures, each with the switch that restores the papers' choice:
  the learner's counts are those of the replay, that is of all policies so far, not of the one that is optimal
    for r_ψ now (Wulfmeier plans; Finn draws anew and weighs by importance): `online.capacity` small is close;
  one step of the reward for each step of RL: no switch;
  r is kept bounded by E[r²]/(4α) over both kinds of rows, |r| ≤ 4α where it has converged. Without it the
    reward grows until the learner matches. Wulfmeier has decay of ψ, Finn two penalties on r's course in
    time: `alpha=1e30` leaves no regularisation at all;
  observations are standardised: `normalize_obs=False`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from iqlearn_jax.agents.common import STANDARD_PARTS, AgentState, Learner, Parts, anchored, descend
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.methods.forward_rl.soft_rl import IMITATION_KEYS, check_terminal, soft_rl_step
from iqlearn_jax.methods.imitation.discriminator import make_discriminator
from iqlearn_jax.methods.method import Method, MethodEntry
from iqlearn_jax.methods.terminal import density, loop_weight
from iqlearn_jax.ops.baselines.adversarial import feature_matching_loss
from iqlearn_jax.types import join

KEYS = IMITATION_KEYS | {"alpha", "reward_input", "discriminator_lr"}


class RewardState(AgentState):
    """The agent's state, and the reward's parameters and optimiser state."""

    reward: Any
    reward_opt: Any


def make_max_entropy_deep(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """min_ψ E_replay[r_ψ] − E_expert[r_ψ] + E[r_ψ²]/(4α), and soft RL on r_ψ; τ weighs the entropy.

    The network is that of `methods.imitation.discriminator`, whose number here is the reward itself. With
    `reward_input="state"` it does not see the action. With `terminal="absorbing"` the state after an end has
    a learned reward, and each terminal row counts it with its discounted weight γ/(1−γ); adding a constant
    to r then changes nothing but the penalty. With "zero" an end is worth 0: signed rewards draw the learner
    to it or away from it whatever the demonstrations show.

    Raises:
      InputError: a terminal treatment that it does not know.
    """
    check_terminal(config)
    agent = make_agent(config, spec, parts, anchored=anchored(config))
    net = make_discriminator(config, spec, agent.preprocess)
    absorbing = config.terminal == "absorbing"

    def init(key, hparams):
        agent_key, reward_key = jax.random.split(key)
        state, params = agent.init(agent_key, hparams), net.init(reward_key)
        return RewardState(**vars(state), reward=params, reward_opt=parts.optimizer.init(params))

    def reward_of(hparams, params, rows):
        if config.reward_input == "state":
            rows = rows.replace(action=jnp.zeros_like(rows.action))
        return net.logit(hparams, params, rows)

    def loss(hparams, batch, params):
        rows, expert = join(batch)
        here = reward_of(hparams, params, rows)
        loops = loop_weight(hparams, rows) if absorbing else jnp.zeros_like(here)
        rewards = jnp.concatenate([here, jnp.broadcast_to(net.end_logit(params), here.shape)])
        sides = (density(mask, loops) for mask in (expert, 1.0 - expert))
        demonstrated, replayed = (jnp.concatenate([side, side * loops]) for side in sides)
        value = feature_matching_loss(rewards, demonstrated, replayed, hparams["alpha"])
        return value, {
            "max_entropy/loss": value,
            "max_entropy/reward_expert": jnp.sum(demonstrated * rewards),
            "max_entropy/reward_policy": jnp.sum(replayed * rewards),
        }

    def update(hparams, state, batch, key):
        grads, metrics = jax.grad(partial(loss, hparams, batch), has_aux=True)(state.reward)
        rate = hparams["discriminator_lr"]
        params, opt = descend(state.reward, state.reward_opt, grads, rate, optimizer=parts.optimizer)
        learner = Learner(config, agent, hparams, state.replace(reward=params, reward_opt=opt))
        policy_reward = reward_of(hparams, params, batch.policy)
        end = net.end_logit(params) if absorbing else None
        state, rl_metrics = soft_rl_step(
            learner, batch.policy, policy_reward, key, end_reward=end, expert=batch.expert
        )
        return state, metrics | rl_metrics | {"reward/grad_norm": optax.tree.norm(grads)}

    def reward(hparams, state, transition, key=None):
        """r_ψ(s,a), [B]; what follows an end is the absorbing state's, in the critic only."""
        return reward_of(hparams, state.reward, transition)

    return Method(
        init=init,
        update=update,
        act=agent.act,
        reward=reward,
        end_reward=(lambda hparams, state: net.end_logit(state.reward)) if absorbing else None,
    )


ENTRY = MethodEntry(
    make_max_entropy_deep,
    KEYS,
    "maximum entropy IRL: a network of rewards, soft RL on it (Ziebart et al. 2008; Wulfmeier et al. 2015)",
    feeds=frozenset({"replay"}),
    refuses=frozenset({"state_only", "gradient_penalty"}),
    parts=frozenset({"critic", "actor", "optimizer"}),
)
