"""What the methods on finite processes share: checks, the state around a table of rewards, its policy."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from iqlearn_jax.agents.common import ADAM, CRITIC_KEYS, descend
from iqlearn_jax.config.values import require
from iqlearn_jax.methods.method import DEMOS
from iqlearn_jax.ops.tabular.mdp import MDP

TABLE_KEYS = DEMOS | {"reward_input", "inner_steps", "gamma", "temperature"}
LEARNED_TABLE_KEYS = TABLE_KEYS | CRITIC_KEYS


class TableState(struct.PyTreeNode):
    """Everything that learning changes.

    Attributes:
      params: what is learned; {"reward": [S, A]}, or [S, 1] where it is a function of the state alone.
      opt: the optimiser's state.
      q: [S, A] action values of the present parameters, whose soft-optimal policy acts.
      log_temperature: [] log τ; constant.
      step: [] int32 number of updates.
    """

    params: Any
    opt: Any
    q: jax.Array
    log_temperature: jax.Array
    step: jax.Array

    @property
    def temperature(self) -> jax.Array:
        """τ [], in reward units per nat."""
        return jnp.exp(self.log_temperature)


def check_table(config, spec, why: str) -> None:
    """Refuses environments that are no finite process.

    Args:
      why: what the method does that needs a finite process.
    """
    require(
        spec.obs_shape == () and spec.discrete and spec.mdp is not None,
        f"config.method is '{config.method}', which needs a finite process (integer states, discrete "
        f"actions, spec.mdp), but {spec.id} is none: {why}; set --config.env.backend=gridworld "
        "--config.env.id=Gridworld-8x8, or --config.method=iq",
    )


def model(hparams, spec) -> MDP:
    """The environment's exact process with the run's discount factor."""
    return MDP(jnp.asarray(spec.mdp.transition), jnp.asarray(spec.mdp.initial), hparams["gamma"])


def table_shape(spec) -> tuple[int, int]:
    """(S, A)."""
    return len(spec.mdp.initial), spec.num_actions


def initial_params(config, spec) -> dict[str, jax.Array]:
    """Rewards of 0: the uniform policy."""
    states, actions = table_shape(spec)
    return {"reward": jnp.zeros((states, actions if config.reward_input == "state_action" else 1))}


def initial_table(params, q: jax.Array, hparams, optimizer=ADAM) -> TableState:
    """A fresh state around parameters and their Q [S, A]."""
    log_temperature = jnp.log(jnp.asarray(hparams["temperature"]))
    return TableState(params, optimizer.init(params), q, log_temperature, jnp.int32(0))


def rewards_of(params, q: jax.Array) -> jax.Array:
    """The table of rewards in the shape of q, [S, A]."""
    return jnp.broadcast_to(params["reward"], q.shape)


def ascend(hparams, state, grads, optimizer=ADAM) -> tuple[Any, dict[str, jax.Array]]:
    """One step up the gradient, with `critic_lr`; `state.q` is left to the caller."""
    down, rate = jax.tree.map(jnp.negative, grads), hparams["critic_lr"]
    params, opt = descend(state.params, state.opt, down, rate, hparams["weight_decay"], optimizer)
    metrics = {"reward/grad_norm": optax.tree.norm(grads)}
    return state.replace(params=params, opt=opt, step=state.step + 1), metrics


def act_softly(hparams, state, obs, key, deterministic=False) -> jax.Array:
    """Actions [B] int32 of softmax(Q/τ), or of the largest Q."""
    table = state.q[obs]
    if deterministic:
        return jnp.argmax(table, axis=-1).astype(jnp.int32)
    return jax.random.categorical(key, table / state.temperature).astype(jnp.int32)


def look_up(hparams, state, transition, key) -> jax.Array:
    """The learned r(s,a) of transitions, [B]; it does not depend on the successor."""
    return rewards_of(state.params, state.q)[transition.obs, transition.action]
