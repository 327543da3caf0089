"""What methods do with a rollout: passes over it in minibatches, and multi-step targets of Q."""

from collections.abc import Callable

from iqlearn_jax.agents.common import replaced_if_due
from iqlearn_jax.agents.ppo import all_passes, flat
from iqlearn_jax.config.values import require

PASSES = frozenset({"epochs", "minibatches"})


def in_passes(config, update: Callable) -> Callable:
    """`Method.update` on a rollout: `epochs` passes, each in `minibatches` steps of the given update.

    The state counts rollouts, as its learning rates are to fall with `config.updates`. A target that is
    replaced every `target_period` updates is so after as many rollouts; within their passes it stays.

    Args:
      update: (hparams, state, batch, key) -> (state, metrics), of a batch with rows [B] of both kinds.
    Raises:
      InputError: minibatches that do not divide a rollout.
    """
    check_rollout(config)

    def passes(hparams, state, batch, key):
        rows, number, target = batch.replace(policy=flat(batch.policy)), state.step, state.target_critic
        periodic = config.target_network and config.target_period

        def step(state, part, key):
            state, metrics = update(hparams, state, part, key)
            state = state.replace(target_critic=target) if periodic else state
            return state.replace(step=number), metrics

        state, metrics = all_passes(config, step, state, rows, key)
        state = state.replace(step=number + 1)
        if periodic:
            due = replaced_if_due(config, state.critic, target, state.step)
            state = state.replace(target_critic=due)
        return state, metrics

    return passes


def check_rollout(config) -> None:
    """Refuses minibatches of unequal sizes.

    Raises:
      InputError: names the field, its value and what it may be.
    """
    rows = config.online.rollout_steps * config.online.num_envs
    require(
        rows % config.minibatches == 0,
        f"config.minibatches is {config.minibatches}, which does not divide a rollout of {rows} steps "
        f"(config.online.rollout_steps {config.online.rollout_steps} times config.online.num_envs "
        f"{config.online.num_envs}); set --config.minibatches to a divisor",
    )
