"""Soft Q-learning (Haarnoja et al. 2017) for discrete actions: the policy is softmax(Q/τ)."""

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.agents.common import (
    ENTROPY_ROWS,
    STANDARD_PARTS,
    Agent,
    Parts,
    check_observations,
    entropy_floor,
    initial_state,
    make_preprocess,
    make_q_network,
    taken,
    temperature_step,
)
from iqlearn_jax.errors import InputError
from iqlearn_jax.nets import Ensemble, Split
from iqlearn_jax.ops.iq.objectives import expected_q as mean_of_q
from iqlearn_jax.ops.iq.soft import entropy, log_policy, soft_value
from iqlearn_jax.types import EnvSpec


def make_network(config, spec: EnvSpec, parts: Parts = STANDARD_PARTS, split: bool = False):
    """The Q-network that fits the observations, or the one that was given, `config.critics` side by side; if
    `split`, beside a reward that they share.
    """
    member = make_q_network(config, spec, spec.num_actions) if parts.critic is None else parts.critic
    ensemble = Ensemble(member, config.critics)
    if not split:
        return ensemble
    return Split(make_q_network(config, spec, spec.num_actions, layer_norm=False), ensemble)


def make_soft_q(config, spec: EnvSpec, parts: Parts = STANDARD_PARTS, split: bool = False) -> Agent:
    """Soft Q-learning as a record of pure functions (see `Agent`); `split` as `agents.sac.make_sac`."""
    network = make_network(config, spec, parts, split)
    preprocess = make_preprocess(spec)

    def init(key, hparams):
        obs = jnp.zeros((1, *spec.obs_shape), spec.obs_dtype)
        params = network.init(key, preprocess(hparams, obs))
        return initial_state(params, {}, hparams, parts.optimizer)

    def all_q(hparams, critic, obs):  # [E, B, A]
        return network.apply(critic["net"], preprocess(hparams, obs))

    def q_of_input(hparams, critic, x, action):
        return taken(network.apply(critic["net"], x), action)

    def q(hparams, critic, obs, action):
        return q_of_input(hparams, critic, preprocess(hparams, obs), action)

    def values(hparams, state, critic, obs, action, key):
        table = all_q(hparams, critic, obs)
        return taken(table, action), _value(config, hparams, state, table)

    def value(hparams, state, critic, obs, key):
        return _value(config, hparams, state, all_q(hparams, critic, obs))

    def expected_q(hparams, state, critic, obs, key):
        table = all_q(hparams, critic, obs)
        return mean_of_q(table, log_policy(table.min(axis=0), state.temperature))

    def log_prob(hparams, critic, temperature, obs, action):
        log_pi = log_policy(all_q(hparams, critic, obs).min(axis=0), temperature)
        return taken(log_pi, action)

    def improve(hparams, state, obs, key, expert=None):
        obs = obs if config.learn_temperature else obs[:ENTROPY_ROWS]
        log_pi = log_policy(all_q(hparams, state.critic, obs).min(axis=0), state.temperature)
        return temperature_step(config, hparams, state, jnp.mean(entropy(log_pi)))

    def act(hparams, state, obs, key, deterministic=False):
        table = all_q(hparams, state.critic, obs).min(axis=0)
        if deterministic:
            return jnp.argmax(table, axis=-1).astype(jnp.int32)
        return jax.random.categorical(key, table / state.temperature).astype(jnp.int32)

    return Agent(
        init=init,
        values=values,
        value=value,
        expected_q=expected_q,
        q=q,
        preprocess=preprocess,
        q_of_input=q_of_input,
        log_prob=log_prob,
        policy_field="critic",
        improve=improve,
        act=act,
        max_entropy=float(np.log(spec.num_actions)),
        optimizer=parts.optimizer,
    )


def _value(config, hparams, state, table):
    """V(s) [B] of the smallest critic: table [E, B, A]."""
    floor = state.temperature * entropy_floor(config, hparams)
    return soft_value(table.min(axis=0), state.temperature) - floor


def make_agent(
    config,
    spec: EnvSpec,
    parts: Parts = STANDARD_PARTS,
    policy_class: str = "sac",
    anchored: bool = False,
    split: bool = False,
) -> Agent:
    """The off-policy agent that fits the action space: soft Q-learning if discrete, else the policy class.

    Args:
      policy_class: "gaussian_q" or "sac".
      anchored: whether the actor stays near the expert's actions; split: whether the critic is a sum of its
        reward and what follows (`agents.sac`), which that of "gaussian_q" is not.
    Raises:
      InputError: observations for which there is no network, `excess_entropy` under a fixed temperature.
    """
    if config.excess_entropy and not config.learn_temperature:
        raise InputError(
            "config.excess_entropy counts entropy above config.target_entropy, which only a learned "
            "temperature has, but config.learn_temperature is False; set it, or --config.excess_entropy=False"
        )
    check_observations(spec)
    if anchored and (spec.discrete or policy_class == "gaussian_q"):
        raise InputError(
            f"config.anchor is {config.anchor}; it holds an actor near the expert's actions, but here the "
            "policy is read off Q; set --config.anchor=0"
        )
    if spec.discrete:
        return make_soft_q(config, spec, parts, split)
    if policy_class == "gaussian_q":
        from iqlearn_jax.agents.gaussian_q import make_gaussian_q

        return make_gaussian_q(config, spec, parts)
    from iqlearn_jax.agents.sac import make_sac

    return make_sac(config, spec, parts, anchored, split)
