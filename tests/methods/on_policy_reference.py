"""Methods on PPO over a table of logits and values, and the step of V that their rewards ask for."""

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.agents.common import ADAM
from tests.common import compiled, configure, deterministic_mdp, hyper, table_spec
from tests.methods.soft_rl_reference import ACTIONS, GAMMA, STATES


def setup(method, **changes):
    """(spec, method, hparams, state with random tables) in float64, if that is on; one step per rollout."""
    options = {"gamma": GAMMA, "epochs": 1, "minibatches": 1, "temperature": 1e-3}
    config = configure(method=method, feed="rollout", **options | changes)
    spec = table_spec(deterministic_mdp(STATES, ACTIONS, 3, GAMMA), ACTIONS)
    made, hparams = compiled(config, spec), hyper(config, spec, jnp.result_type(float))
    rng, state = np.random.default_rng(0), made.init(jax.random.key(0), hparams)
    logits, values = rng.normal(size=(STATES, ACTIONS)), rng.normal(size=(STATES, 1))
    return spec, made, hparams, with_tables(state, logits, values)


def with_tables(state, logits, values):
    """The state with given logits [S, A] and values [S, 1], and everything in the default precision."""
    fill = lambda tree, x: jax.tree.map(lambda _: jnp.asarray(x), tree)  # noqa: E731
    actor, critic = fill(state.actor, logits), fill(state.critic, values)
    judge = jax.tree.map(lambda x: x.astype(jnp.result_type(float)), state.discriminator)
    return state.replace(
        actor=actor, actor_opt=ADAM.init(actor), critic=critic, critic_opt=ADAM.init(critic),
        discriminator=judge, discriminator_opt=ADAM.init(judge),
        log_temperature=state.log_temperature.astype(jnp.result_type(float)),
    )  # fmt: skip


def in_time(rows, steps):
    """Rows [M] as a rollout [steps, M / steps]."""
    return jax.tree.map(lambda x: x.reshape(steps, -1, *x.shape[1:]), rows)


def value_gradient(before, after, rows, reward):
    """(wanted, found) gradients [S] of mean (V(s) − r − γV(s'))², targets fixed; a true end is worth 0.

    Adam's first moments after one step are a tenth of the gradient.
    """
    values = np.asarray(jax.tree.leaves(before.critic)[0])[:, 0]
    gap = values[rows.obs] - reward - GAMMA * np.where(rows.terminated, 0.0, values[rows.next_obs])
    wanted = np.zeros(STATES)
    np.add.at(wanted, np.asarray(rows.obs), 2 * gap / len(gap))
    return wanted, np.asarray(jax.tree.leaves(after.critic_opt.mu)[0])[:, 0] / 0.1
