"""Which action led from s to s': learned from the learner's own steps, for demonstrations without actions.

The paper learns from states alone by putting E_{a~π}[Q(s,a)] in the place of the expert's Q(s,a) (§5.4). But
beside it stands V(s') of the expert's own successor, to which the learner's action need not lead, so whatever
the policy does in the expert's states is confirmed. Here the action is the one that explains the step,
a ~ p(a | s, s'), the posterior instead of the prior π(a | s); the rest is IQ-Learn as it is. The model is
that of BCO (Torabi, Warnell & Stone 2018, §4.1), learned all along instead of before.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from iqlearn_jax.agents.common import ADAM, AgentState, box, descend
from iqlearn_jax.config.values import require
from iqlearn_jax.methods.method import Method
from iqlearn_jax.nets import QNetwork
from iqlearn_jax.types import EnvSpec, Metrics, Transition

MEMORY = 0.01  # weight of a batch in the running mean square of the changes


class InverseState(AgentState):
    """The agent's state and the inverse model: {"net": parameters, "square": [D] mean square of s' − s}."""

    inverse: Any
    inverse_opt: Any


def check(config, spec: EnvSpec) -> None:
    """Refuses what the model cannot do, before anything is compiled."""
    require(
        config.state_only,
        "config.infer_actions fills in the actions of demonstrations that have none, but config.state_only "
        "is False; set it, or --config.infer_actions=False",
    )
    require(
        len(spec.obs_shape) == 1,
        f"config.infer_actions compares vectors, but observations of {spec.id} have shape "
        f"{list(spec.obs_shape)}; set --config.infer_actions=False",
    )


def inferring(
    config,
    spec: EnvSpec,
    preprocess: Callable,
    method: Method,
    optimizer: optax.GradientTransformation = ADAM,
) -> Method:
    """`method` with the demonstrations' actions drawn from the inverse model; those in the file go unread.

    Its rewards are those of (s, s') then. The model learns at `discriminator_lr`.

    Args:
      preprocess: the agent's, (hparams, obs) -> network input.
      method: one whose state is an `AgentState` and whose feed is the replay.
    Raises:
      InputError: demonstrations with actions, or observations that are not vectors.
    """
    check(config, spec)
    size = spec.num_actions if spec.discrete else np.size(spec.action_low)
    net = QNetwork(num_actions=size, hidden=tuple(config.hidden))

    def inputs(hparams, square, rows):
        before, after = preprocess(hparams, rows.obs), preprocess(hparams, rows.next_obs)
        return jnp.concatenate([before, (after - before) * jax.lax.rsqrt(square + 1e-12)], axis=-1)

    def predict(hparams, params, square, rows):
        return net.apply(params, inputs(hparams, square, rows))

    def fill(hparams, state, rows: Transition, key) -> Transition:
        outputs = predict(hparams, state.inverse["net"], state.inverse["square"], rows)
        return rows.replace(action=to_action(spec, outputs, key))

    def init(key, hparams):
        agent_key, net_key = jax.random.split(key)
        params = net.init(net_key, jnp.zeros((1, 2 * spec.obs_shape[0])))
        return InverseState(
            **vars(method.init(agent_key, hparams)),
            inverse={"net": params, "square": jnp.ones(spec.obs_shape)},
            inverse_opt=optimizer.init(params),
        )

    def learn(hparams, state, rows) -> tuple[InverseState, Metrics]:
        change = preprocess(hparams, rows.next_obs) - preprocess(hparams, rows.obs)
        share = jnp.maximum(MEMORY, 1.0 / (state.step + 1.0))
        square = optax.incremental_update(jnp.mean(change**2, axis=0), state.inverse["square"], share)

        def loss(params):
            return jnp.mean(error(spec, predict(hparams, params, square, rows), rows.action))

        value, grads = jax.value_and_grad(loss)(state.inverse["net"])
        rate = hparams["discriminator_lr"]
        params, opt = descend(state.inverse["net"], state.inverse_opt, grads, rate, optimizer=optimizer)
        state = state.replace(inverse={"net": params, "square": square}, inverse_opt=opt)
        return state, {"inverse/loss": value}

    def update(hparams, state, batch, key):
        draw_key, key = jax.random.split(key)
        state, metrics = learn(hparams, state, batch.policy)
        filled = batch.replace(expert=fill(hparams, state, batch.expert, draw_key))
        state, iq_metrics = method.update(hparams, state, filled, key)
        return state, iq_metrics | metrics

    def reward(hparams, state, transition, key):
        assert method.reward is not None  # IQ-Learn's
        draw_key, key = jax.random.split(key)
        return method.reward(hparams, state, fill(hparams, state, transition, draw_key), key)

    return method._replace(init=init, update=update, reward=reward)


def error(spec: EnvSpec, outputs: jax.Array, action: jax.Array) -> jax.Array:
    """Loss [B] of the outputs [B, A]: −log p(a | s, s') of discrete actions; the squared distance of
    continuous ones, in half-widths of their box, whose minimum is the mean of a given (s, s').
    """
    if spec.discrete:
        return optax.softmax_cross_entropy_with_integer_labels(outputs, action)
    middle, half = box(spec)
    return jnp.mean(jnp.square(outputs - (action - middle) / half), axis=-1)


def to_action(spec: EnvSpec, outputs: jax.Array, key: jax.Array) -> jax.Array:
    """Actions [B, ...]: drawn from the logits [B, A] where discrete, else the mean inside the box."""
    if spec.discrete:
        return jax.random.categorical(key, outputs).astype(jnp.int32)
    middle, half = box(spec)
    return middle + half * jnp.clip(outputs, -1.0, 1.0)
