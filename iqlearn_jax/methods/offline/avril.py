"""AVRIL: an approximate posterior over rewards, learned with Q by one bound (Chan & van der Schaar 2021)."""

import jax
import jax.numpy as jnp

from iqlearn_jax.agents.common import (
    CRITIC_KEYS,
    NETWORK_KEYS,
    STANDARD_PARTS,
    Parts,
    critic_step,
    make_preprocess,
    require_discrete,
)
from iqlearn_jax.agents.soft_q import make_agent, make_network
from iqlearn_jax.methods.batches import action_values, taken
from iqlearn_jax.methods.method import DEMOS, PLAIN, Method, MethodEntry
from iqlearn_jax.ops.baselines.variational import kl_to_standard_normal, normal_log_density
from iqlearn_jax.ops.iq.objectives import weighted_mean
from iqlearn_jax.ops.iq.soft import inverse_bellman, log_policy
from iqlearn_jax.types import discount

KEYS = DEMOS | NETWORK_KEYS | CRITIC_KEYS | {"temperature", "gamma", "reward_weight"}
LOG_STD = 5.0  # the posterior's log standard deviation is squashed smoothly into ±5


def make_avril(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """max E_E[log softmax(βQ(s,·))_a − KL(q_φ(r|s,a)‖N(0,1)) + λ log q_φ(Q(s,a) − γQ(s',a'))].

    q_φ is a Gaussian whose mean and deviation a second network gives; β is 1/`config.temperature`, λ is
    `config.reward_weight` (the authors: both 1). a' is what the expert did next (`Batch.next_action`);
    where an episode was cut there is none, and the row has no part in the last term. Terminal successors
    count 0. The recovered reward is q_φ's mean.

    Departures from the authors' code: γ is in the temporal difference, as in the paper (their code omits
    it); the deviation is bounded (with λ ≥ 1 it may otherwise shrink to 0); the reward depends on state and
    action (their default is on the state alone); ReLU instead of ELU, as in the other methods.

    Raises:
      InputError: continuous actions (no softmax over them).
    """
    require_discrete(config, spec, "its likelihood is a softmax over all actions")
    agent, table = make_agent(config, spec, parts), action_values(config, spec, parts)
    preprocess = make_preprocess(spec)
    encoder = make_network(config, spec._replace(num_actions=2 * spec.num_actions))

    def init(key, hparams):
        q_key, encoder_key = jax.random.split(key)
        state = agent.init(q_key, hparams)
        obs = preprocess(hparams, jnp.zeros((1, *spec.obs_shape), spec.obs_dtype))
        critic = state.critic | {"encoder": encoder.init(encoder_key, obs)}
        target = jax.tree.map(jnp.copy, critic)  # its own buffers: the state is donated
        return state.replace(critic=critic, target_critic=target, critic_opt=parts.optimizer.init(critic))

    def posterior(hparams, critic, rows):
        """Mean and log standard deviation [B] of q_φ(r|s,a)."""
        out = encoder.apply(critic["encoder"], preprocess(hparams, rows.obs))[0]
        mean, raw = (taken(half, rows.action) for half in jnp.split(out, 2, axis=-1))
        return mean, LOG_STD * jnp.tanh(raw / LOG_STD)

    def update(hparams, state, batch, key):
        rows = batch.expert
        followed = rows.terminated | ~rows.truncated  # a cut episode shows no next action

        def loss(critic):
            q = table(hparams, critic, rows.obs)
            next_q = taken(table(hparams, critic, rows.next_obs), batch.next_action)
            mean, log_std = posterior(hparams, critic, rows)
            factor = discount(hparams["gamma"], rows.terminated)
            implied = inverse_bellman(taken(q, rows.action), next_q, factor)
            likelihood = jnp.mean(taken(log_policy(q, state.temperature), rows.action))
            divergence = jnp.mean(kl_to_standard_normal(mean, log_std))
            density = weighted_mean(normal_log_density(implied, mean, log_std), followed)
            bound = likelihood - divergence + hparams["reward_weight"] * density
            return -bound, {
                "avril/bound": bound,
                "avril/log_likelihood": likelihood,
                "avril/kl": divergence,
                "avril/log_density": density,
                "avril/reward_expert": jnp.mean(mean),
                "avril/reward_std": jnp.mean(jnp.exp(log_std)),
            }

        return critic_step(config, hparams, state, loss, parts.optimizer)

    def reward(hparams, state, transition, key):
        """The posterior's mean, [B]; in its prior's units, a standard normal."""
        return posterior(hparams, state.critic, transition)[0]

    return Method(init=init, update=update, act=agent.act, reward=reward)


ENTRY = MethodEntry(
    make_avril,
    KEYS,
    "an approximate posterior over rewards, learned with Q by one bound (Chan & van der Schaar 2021)",
    feeds=frozenset({"demos"}),
    refuses=PLAIN,
    parts=frozenset({"critic", "optimizer"}),
)
