"""The uniform random policy, for exploration before learning and for the random return."""

import jax
import jax.numpy as jnp

from iqlearn_jax.types import EnvSpec


def random_actions(spec: EnvSpec, key: jax.Array, size: int) -> jax.Array:
    """Uniform actions: [size] int32, or [size, action_dim] float32 in the environment's units."""
    if spec.discrete:
        return jax.random.randint(key, (size,), 0, spec.num_actions, jnp.int32)
    low, high = jnp.asarray(spec.action_low), jnp.asarray(spec.action_high)
    return jax.random.uniform(key, (size, low.size), jnp.float32, low, high)
