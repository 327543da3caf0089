"""What follows a terminal state. IQ-Learn's reward is Q − γV(s'), so this is part of the objective.

Three treatments (`config.terminal`):
  zero: V = 0, as the authors' code has it. Biased when rewards are signed: the learner is drawn to the end
    where rewards are negative and away from it where they are positive.
  absorbing: one state with a self-loop, whose reward θ is learned: V = (θ + τH)/(1−γ), with H the policy's
    entropy there (0 unless `absorbing_entropy`; its policy is constant). Each terminal transition brings
    the self-loop with its discounted weight γ/(1−γ).
  bounded: V = +r_max/(1−γ) for the expert and −r_max/(1−γ) for the policy (LS-IQ, Al-Hafez et al. 2023).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from iqlearn_jax.agents.common import Learner, entropy_floor
from iqlearn_jax.types import Transition, discount


class Tail(NamedTuple):
    """The absorbing state's self-loop: reward [] and V − γV [] there, and its weight [B] in each row."""

    reward: jax.Array
    drop: jax.Array
    weight: jax.Array


def absorbing_entropy(learner: Learner):
    """τH in the absorbing state, [] in reward units; 0 by default, where its policy counts as constant."""
    config, agent, hparams, state = learner
    if not config.absorbing_entropy:
        return jnp.zeros(())
    return state.temperature * (agent.max_entropy - entropy_floor(config, hparams))


def absorbing_value(hparams, theta, entropy):
    """V of the absorbing state, [] in reward units; θ is its reward, IQ-Learn's critic["absorbing"]."""
    return (theta + entropy) / (1.0 - hparams["gamma"])


def successor(treatment: str, hparams, rows: Transition, next_v, after_end=0.0, bound=None):
    """Discount [B] and value [B] of the successor.

    Args:
      next_v: [B] V(s') from the network, meaningless at terminals.
      after_end: [] or [B] value after a terminal (absorbing: learned; bounded: signed bound).
      bound: (lower, upper) to which values are clipped, or None.
    """
    if bound is not None:
        next_v = jnp.clip(next_v, *bound)
    if treatment == "zero":
        return discount(hparams["gamma"], rows.terminated), next_v
    return hparams["gamma"], jnp.where(rows.terminated, after_end, next_v)


def tail(hparams, rows: Transition, critic, bootstrap, entropy) -> Tail:
    """The self-loop of the absorbing state, with the successor valued by `bootstrap` as everywhere."""
    gamma = hparams["gamma"]
    value = absorbing_value(hparams, critic["absorbing"], entropy)
    drop = value - gamma * absorbing_value(hparams, bootstrap["absorbing"], entropy)
    return Tail(reward=drop - entropy, drop=drop, weight=loop_weight(hparams, rows))


def loop_weight(hparams, rows: Transition):
    """Weight [B] of the absorbing state's self-loop beside each row: γ/(1−γ) at terminals, else 0."""
    return rows.terminated * hparams["gamma"] / (1.0 - hparams["gamma"])


def density(mask, end_weight):
    """Weights [N] of one kind of rows that sum to 1 together with their absorbing self-loops.

    Args:
      mask: [N] 1 for rows of that kind, else 0; end_weight: [N] weight of the self-loop beside each row.
    """
    mass = jnp.sum(mask * (1.0 + end_weight))
    return mask / jnp.where(mass > 0, mass, 1.0)
