"""Transitions of anyone beside the demonstrations, offline: the learner's half of an objective."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.data.demos import Demos, blank_actions, fields_of, from_arrays
from iqlearn_jax.data.sampling import DemoIndices, Others, Rows, take_rows
from iqlearn_jax.types import Batch, EnvSpec


def join(demos: Demos, others: Demos, spec: EnvSpec) -> Demos:
    """Both files one after the other; rewards, which nothing here reads, only where both have them."""
    if demos.actions is None:
        demos = blank_actions(demos, spec)
    pairs = {name: (value, fields_of(others)[name]) for name, value in fields_of(demos).items()}
    arrays: dict[str, Any] = {
        name: None if any(part is None for part in pair) else np.concatenate(pair)
        for name, pair in pairs.items()
    }
    return from_arrays(arrays, {})


def with_others(chosen: DemoIndices, demos: Demos, others: Demos) -> DemoIndices:
    """What runs [R] may see, with all of `others`, whose rows follow the demonstrations'."""
    everyone = Others(
        first=jnp.int32(len(demos)),
        size=jnp.int32(len(others)),
        initial=jnp.asarray(len(demos) + others.episode_starts, jnp.int32),
    )
    runs = len(chosen.count)
    return chosen.replace(others=jax.tree.map(lambda x: jnp.tile(x, (runs, *(1,) * x.ndim)), everyone))


def add_others(rows: Rows, chosen: DemoIndices, batch: Batch, key: jax.Array, size: int) -> Batch:
    """The batch of one run with a uniform sample [size] of other data for the policy's half, and start
    observations of both files, whose episodes count alike.
    """
    row_key, initial_key = jax.random.split(key)
    others = chosen.others
    assert others is not None  # `with_others`
    index = others.first + jax.random.randint(row_key, (size,), 0, others.size)
    starts = jnp.concatenate([chosen.initial, others.initial])
    initial = jax.random.choice(initial_key, starts, (size,))
    return batch.replace(policy=take_rows(rows, index), initial=take_rows(rows, initial).obs)
