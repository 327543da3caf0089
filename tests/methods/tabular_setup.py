"""A small finite process with a method on it, and rows that show given counts."""

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.ops.tabular.mdp import MDP
from iqlearn_jax.types import Batch, Transition
from tests.common import compiled, configure, hyper, table_spec
from tests.methods import tabular_reference as reference

GAMMA, TAU = 0.8, 0.5


def make(name, seed=0, **changes):
    """(method, hparams, transition, initial) on a random process of 5 states and 3 actions."""
    transition, initial = reference.random_process(seed)
    config = configure(method=name, gamma=GAMMA, temperature=TAU, **{"critic_lr": 0.05} | changes)
    spec = table_spec(MDP(transition, initial, 0.1), transition.shape[1])  # γ is the run's, not the model's
    dtype = jnp.float64 if jax.config.jax_enable_x64 else jnp.float32
    return compiled(config, spec), hyper(config, spec, dtype), transition, initial


def rows_of(obs, action, next_obs=None, terminated=None):
    size = len(obs)
    blank = np.zeros(size, np.float32)
    return Transition(
        obs=jnp.asarray(obs, jnp.int32),
        action=jnp.asarray(action, jnp.int32),
        reward=jnp.asarray(blank),
        next_obs=jnp.asarray(obs if next_obs is None else next_obs, jnp.int32),
        terminated=jnp.asarray(blank > 0 if terminated is None else terminated),
        truncated=jnp.asarray(blank > 0),
    )


def showing(counts):
    """A batch in which each pair occurs `counts` [S, A] times."""
    counts = np.asarray(counts)
    pairs = np.repeat(np.stack(np.nonzero(np.ones_like(counts)), axis=1), counts.ravel(), axis=0)
    return Batch(expert=rows_of(*pairs.T))


def drawn(transition, visits, size, seed=0):
    """A batch of `size` transitions, pairs by `visits` [S, A]."""
    rng = np.random.default_rng(seed)
    states, actions = visits.shape
    pair = rng.choice(visits.size, size, p=visits.ravel() / visits.sum())
    obs, action = pair // actions, pair % actions
    after = np.array([rng.choice(states, p=transition[s, a]) for s, a in zip(obs, action, strict=True)])
    return Batch(expert=rows_of(obs, action, after))


def train(method, hparams, batch, rates, state=None):
    """(state, metrics [updates]) after one update on the same batch for each of the rates."""

    @jax.jit
    def run(state, rates):
        def step(state, rate):
            return method.update(hparams | {"critic_lr": rate}, state, batch, jax.random.key(0))

        return jax.lax.scan(step, state, rates)

    state = method.init(jax.random.key(0), hparams) if state is None else state
    return run(state, jnp.asarray(rates))


def first_gradient(before, after):
    """The gradient up which the first step went, out of Adam's first moment. Same tree as params."""
    assert int(before.step) == 0 and int(after.step) == 1
    return jax.tree.map(lambda moment: -np.asarray(moment) / 0.1, after.opt.mu)
