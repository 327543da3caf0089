"""What several methods do with a batch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from iqlearn_jax.agents.common import STANDARD_PARTS, Parts, make_preprocess, taken
from iqlearn_jax.agents.soft_q import make_network
from iqlearn_jax.nets.tanh_gaussian import EDGE
from iqlearn_jax.ops.iq.objectives import weighted_mean
from iqlearn_jax.types import EnvSpec

__all__ = ["action_values", "inside", "taken", "with_next_rows"]


def with_next_rows(batch, here: jax.Array, of_pairs: Callable) -> jax.Array:
    """E_expert[f(s,a)], [], over the demonstrated rows and the (s', a') that follow (`config.next_actions`).

    A kept transition of a thinned-out demonstration shows s'; what the expert did there is in the file. Both
    kinds of rows are drawn from the same occupancy but for an episode's first.

    Args:
      here: [..., B] f(s, a) of the expert's rows; of_pairs: (obs, action) -> f [..., B] of other pairs.
    """
    rows = batch.expert
    followed = ~(rows.terminated | rows.truncated)  # after an end there is no action
    both = jnp.concatenate([here, of_pairs(rows.next_obs, batch.next_action)], axis=-1)
    weight = jnp.concatenate([jnp.ones_like(followed), followed]).astype(both.dtype)
    return weighted_mean(both, jnp.broadcast_to(weight, both.shape))


def inside(spec: EnvSpec, action: jax.Array) -> jax.Array:
    """Continuous actions at least EDGE of half the box away from its sides; discrete ones as they are."""
    if spec.discrete:
        return action
    rim = 0.5 * EDGE * (spec.action_high - spec.action_low)
    return jnp.clip(action, spec.action_low + rim, spec.action_high - rim)


def action_values(config, spec: EnvSpec, parts: Parts = STANDARD_PARTS) -> Callable:
    """(hparams, critic, obs [B, ...]) -> Q(s, ·) [B, A] of discrete actions, with one critic."""
    network, preprocess = make_network(config, spec, parts), make_preprocess(spec)
    return lambda hparams, critic, obs: network.apply(critic["net"], preprocess(hparams, obs))[0]
