"""Policies of every method that never learned: their state is random numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.config.values import as_plain
from iqlearn_jax.methods import make_method
from tests.common import configure, deterministic_mdp, hyper, spec_of, table_spec

BOX, PUSH = spec_of(), spec_of(num_actions=3)
ROOMS = table_spec(deterministic_mdp(5, 3, 0), 3)
GRID = spec_of(obs_shape=(10, 10, 4), num_actions=3, obs_dtype=np.uint8)  # MinAtar's encoder
FRAMES = spec_of(obs_shape=(84, 84, 2), num_actions=3, obs_dtype=np.uint8)  # Nature's
CAMERA = spec_of(obs_shape=(12, 12, 3))  # an image in [0, 1], continuous actions
RUNS, REPLAYS, SAC = {"feed": "rollout"}, {"feed": "replay"}, {"policy_class": "sac"}
CASES = {
    "iq": (PUSH, {"method": "iq", "critics": 2, "layer_norm": True}),
    "iq, box": (BOX, {"method": "iq"}),
    "iq, whitened": (BOX, {"method": "iq", "whiten": True, "hidden": (8, 6)}),
    "iq, actor": (BOX, SAC | {"method": "iq"}),
    "iq, averaged": (BOX, SAC | {"method": "iq", "average_rate": 0.01}),
    "iq, averaged in a grid": (BOX, SAC | {"method": "iq", "grid__average_rate": (1.0, 0.01)}),
    "iq, inferred": (BOX, REPLAYS | {"method": "iq", "state_only": True, "infer_actions": True}),
    "iq, rooms": (ROOMS, {"method": "iq", "critics": 2}),
    "iq, grid": (GRID, {"method": "iq", "critics": 2}),
    "iq, frames": (FRAMES, {"method": "iq"}),
    "iq, camera": (CAMERA, SAC | {"method": "iq"}),
    "bc": (PUSH, {"method": "bc"}),
    "bc, box": (BOX, {"method": "bc"}),
    "bc, actor": (BOX, SAC | {"method": "bc"}),
    "regularized_bc": (PUSH, {"method": "regularized_bc"}),
    "value_dice": (PUSH, {"method": "value_dice", "value_term": "v0"}),
    "value_dice, box": (BOX, {"method": "value_dice", "value_term": "v0"}),
    "avril": (PUSH, {"method": "avril"}),
    "edm": (PUSH, {"method": "edm", "chain_count": 300}),
    "rl, box": (BOX, REPLAYS | {"method": "rl"}),
    "ppo": (PUSH, RUNS | {"method": "ppo"}),
    "pqn": (PUSH, RUNS | {"method": "pqn"}),
    "ppo, box": (BOX, RUNS | {"method": "ppo"}),
    "sqil": (PUSH, REPLAYS | {"method": "sqil"}),
    "adril": (PUSH, REPLAYS | {"method": "adril"}),
    "dac, box": (BOX, REPLAYS | {"method": "dac"}),
    "pwil": (PUSH, REPLAYS | {"method": "pwil"}),
    "gail": (PUSH, RUNS | {"method": "gail"}),
    "airl": (PUSH, RUNS | {"method": "airl"}),
    "asaf": (PUSH, RUNS | {"method": "asaf"}),
    "asaf, box": (BOX, RUNS | {"method": "asaf"}),
    "max_entropy_deep": (PUSH, REPLAYS | {"method": "max_entropy_deep"}),
    "max_entropy": (ROOMS, {"method": "max_entropy"}),
    "max_margin": (ROOMS, {"method": "max_margin"}),
    "max_likelihood": (ROOMS, {"method": "max_likelihood"}),
    "max_entropy_dynamics": (ROOMS, {"method": "max_entropy_dynamics"}),
    "lstd_mu": (PUSH, {"method": "lstd_mu", "features": 12, "bandwidth": 1.0}),
    "dsfn": (PUSH, {"method": "dsfn", "features": 6}),
}
NUMPY_CANNOT = {"lstd_mu", "dsfn"}


@functools.cache
def made(name):
    """What `save_policy` takes (method, spec, hparams, state, flat config, {})."""
    spec, changes = CASES[name]
    config = configure(**{"hidden": (8,)} | changes)
    method = make_method(config, spec)
    hparams = hyper(config, spec)
    if len(spec.obs_shape) == 1:
        hparams |= {"obs_mean": jnp.full(spec.obs_shape, 0.3), "obs_std": jnp.full(spec.obs_shape, 2.0)}
    else:
        hparams |= {"obs_mean": jnp.zeros(()), "obs_std": jnp.ones(())}
    if config.whiten:
        hparams["obs_turn"] = jnp.tri(*spec.obs_shape, *spec.obs_shape)
    rng = np.random.default_rng(3)  # with which no policy below always does the same

    def drawn(path, x):
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return jnp.zeros(x.shape, x.dtype)
        values = rng.normal(size=x.shape)
        if path[-1] == jax.tree_util.DictKey("kernel"):  # what flows through stays of the same size
            values *= 2 / np.sqrt(np.prod(x.shape[-4:-1]) if x.ndim > 3 else x.shape[-2])
        if path[-1] == jax.tree_util.DictKey("bias"):
            values *= 0.05
        return jnp.asarray(np.abs(values) if name == "max_margin" else values, x.dtype)  # there occupancies

    like = jax.eval_shape(method.init, jax.random.key(0), hparams)  # compiling initialisers takes seconds
    state = jax.tree_util.tree_map_with_path(drawn, like)
    return method, spec, hparams, state, as_plain(config), {}


def observations(spec, size, seed=0):
    """Observations [size, *obs_shape] of all kinds."""
    rng = np.random.default_rng(seed)
    if spec.obs_shape == ():
        return rng.integers(0, len(spec.mdp.initial), size).astype(np.int32)
    if len(spec.obs_shape) == 3:
        high = 256 if spec.obs_dtype == np.uint8 else 1
        return rng.uniform(0, high, (size, *spec.obs_shape)).astype(spec.obs_dtype)
    return rng.normal(0.3, 3.0, (size, *spec.obs_shape)).astype(np.float32)
