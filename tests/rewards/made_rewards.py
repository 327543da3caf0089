"""Rewards of methods that never learned: their state is random numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.config.values import as_plain
from iqlearn_jax.methods import make_method
from tests.common import configure, deterministic_mdp, hyper, random_rows, spec_of, table_spec

BOX, PUSH = spec_of(), spec_of(num_actions=3)
ROOMS = table_spec(deterministic_mdp(5, 3, 0), 3)
CASES = {
    "iq, box": (BOX, {"method": "iq", "critics": 2, "policy_class": "sac"}),
    "iq, gaussian": (BOX, {"method": "iq", "terminal": "absorbing"}),
    "iq, box, bounded": (
        BOX,
        {"method": "iq", "feed": "replay", "regularize": "both", "terminal": "bounded"},
    ),
    "iq, absorbing": (PUSH, {"method": "iq", "terminal": "absorbing"}),
    "iq, whitened": (PUSH, {"method": "iq", "whiten": True}),
    "airl": (PUSH, {"method": "airl", "feed": "rollout", "terminal": "absorbing"}),
    "max_entropy": (ROOMS, {"method": "max_entropy"}),
    "dac, box": (BOX, {"method": "dac", "feed": "replay", "terminal": "absorbing"}),
    "iq, rooms": (ROOMS, {"method": "iq"}),
    "gail": (PUSH, {"method": "gail", "feed": "rollout", "terminal": "absorbing"}),
    "avril": (PUSH, {"method": "avril"}),
    "regularized_bc": (PUSH, {"method": "regularized_bc"}),
    "value_dice, box": (BOX, {"method": "value_dice", "terminal": "absorbing", "value_term": "v0"}),
    "max_entropy_deep": (PUSH, {"method": "max_entropy_deep", "feed": "replay", "terminal": "absorbing"}),
    "lstd_mu": (PUSH, {"method": "lstd_mu", "features": 12}),
    "dsfn": (PUSH, {"method": "dsfn", "features": 6}),
    "max_margin": (ROOMS, {"method": "max_margin"}),
    "max_likelihood": (ROOMS, {"method": "max_likelihood"}),
    "max_entropy_dynamics": (ROOMS, {"method": "max_entropy_dynamics"}),
}


@functools.cache
def made(name):
    """What `save_reward` takes (method, spec, hparams, state, flat config, {}), and rows [20]."""
    spec, changes = CASES[name]
    config = configure(hidden=(8,), **changes)
    method = make_method(config, spec)
    hparams = hyper(config, spec)
    if len(spec.obs_shape) == 1:
        hparams |= {"obs_mean": jnp.full(spec.obs_shape, 0.3), "obs_std": jnp.full(spec.obs_shape, 2.0)}
    if config.whiten:
        hparams["obs_turn"] = jnp.tri(*spec.obs_shape, *spec.obs_shape)
    rng = np.random.default_rng(0)

    def drawn(x):
        values = rng.normal(0, 0.5, x.shape) if jnp.issubdtype(x.dtype, jnp.floating) else np.zeros(x.shape)
        return jnp.asarray(values, x.dtype)

    like = jax.eval_shape(method.init, jax.random.key(0), hparams)  # compiling initialisers takes seconds
    return (method, spec, hparams, jax.tree.map(drawn, like), as_plain(config), {}), random_rows(spec, 20)


def asked(rows):
    """The arguments of a `RecoveredReward`."""
    return rows.obs, rows.action, rows.next_obs, rows.terminated
