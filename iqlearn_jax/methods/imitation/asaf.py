"""ASAF: adversarial soft advantage fitting (Barde et al. 2020, arXiv 2006.13258), without an RL step.

The discriminator is made of two policies, D = q_π̃/(q_π̃ + q_πG) with q_π = Π_t π(a_t|s_t) over a window of
`window` steps: π_G has played the rollout and is fixed, π̃ is trained by the logistic loss against the
demonstrations, then plays the next rollout. Windows of 1 are ASAF-1, longer ones ASAF-w; `window=0` judges
whole episodes, as in the paper's theorem 1, by which π̃ = π_E at the optimum whatever π_G is. For windows that
holds only as far as both visit the same states, which they do more and more as π_G nears the expert.

Departures from the paper, each with the switch that restores its choice:
  windows of a rollout follow each other without overlap; demonstrated ones start anywhere: no switch;
  windows that run over the end of an episode are left out: no switch;
  whole episodes (`window=0`) are those of which a rollout shows the end before them and their own, and
    demonstrated ones that are no longer than a rollout: `online.rollout_steps` above the longest;
  D is trained on the last rollout for `epochs` passes in `minibatches` steps: no switch;
  observations are standardised: `normalize_obs=False`;
  continuous actions: log π is taken off the edge of the box (`nets.tanh_gaussian.EDGE`) on both sides.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from iqlearn_jax.agents.common import (
    NETWORK_KEYS,
    STANDARD_PARTS,
    Parts,
    check_observations,
    descend,
    make_preprocess,
)
from iqlearn_jax.agents.ppo import all_passes, make_policy
from iqlearn_jax.config.values import require
from iqlearn_jax.methods.batches import inside
from iqlearn_jax.methods.method import DEMOS, ON_POLICY, Method, MethodEntry
from iqlearn_jax.ops.baselines.adversarial import logistic_loss
from iqlearn_jax.ops.iq.objectives import weighted_mean

KEYS = DEMOS | NETWORK_KEYS | {"actor_lr", "epochs", "minibatches", "window"}


class AsafState(struct.PyTreeNode):
    """Parameters of the policy, the optimiser's state, and the number of rollouts learned from [] int32."""

    actor: Any
    actor_opt: Any
    step: jax.Array


class Windows(NamedTuple):
    """One side of the logistic loss: M windows of w steps."""

    obs: jax.Array  # [M, w, ...]
    action: jax.Array  # [M, w, ...]
    log_pi: jax.Array  # [M, w] log π_G
    ended: jax.Array  # [M, w] bool, the step is the last of its episode


def make_asaf(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """min over π̃: E_expert[−log D] + E_rollout[−log(1 − D)], log D − log(1 − D) = Σ_t log π̃ − log π_G.

    Raises:
      InputError: windows that do not fit the rollout or subsampled demonstrations.
    """
    check(config, spec)
    policy, preprocess = make_policy(config, spec), make_preprocess(spec)
    length = config.window or config.online.rollout_steps

    def init(key, hparams):
        obs = jnp.zeros((1, *spec.obs_shape), spec.obs_dtype)
        actor = policy.init(key, preprocess(hparams, obs))
        return AsafState(actor, parts.optimizer.init(actor), jnp.int32(0))

    def log_pi(hparams, actor, obs, action):
        """log π(a_t|s_t) of windows [M, w]."""
        obs, shape = obs.reshape(-1, *spec.obs_shape), obs.shape[:2]
        action = inside(spec, action.reshape(-1, *action.shape[2:]))
        return policy.log_prob(actor, preprocess(hparams, obs), action).reshape(shape)

    def side(hparams, state, rows):
        ended = rows.terminated | rows.truncated
        return Windows(rows.obs, rows.action, log_pi(hparams, state.actor, rows.obs, rows.action), ended)

    def loss(hparams, sides, actor):
        value, right, shares = jnp.zeros(()), jnp.zeros(()), {}
        for part, expert in zip(sides, (True, False), strict=True):
            ratio = log_pi(hparams, actor, part.obs, part.action) - part.log_pi
            odds, whole = judged(ratio, part.ended, config.window, expert)
            value += weighted_mean(logistic_loss(odds, expert), whole)
            right += 0.5 * weighted_mean(jnp.where(expert, odds > 0, odds < 0) * 1.0, whole)
            shares["asaf/whole_expert" if expert else "asaf/whole_policy"] = share(whole, part, config.window)
        return value, {"asaf/loss": value, "asaf/accuracy": right} | shares

    def step(hparams, state, sides, key):
        slope, metrics = jax.grad(partial(loss, hparams, sides), has_aux=True)(state.actor)
        rate = hparams["actor_lr"]
        actor, opt = descend(state.actor, state.actor_opt, slope, rate, optimizer=parts.optimizer)
        metrics |= {"policy/grad_norm": optax.tree.norm(slope)}
        return state.replace(actor=actor, actor_opt=opt), metrics

    def update(hparams, state, batch, key):
        sides = [side(hparams, state, rows) for rows in (batch.expert, windows(batch.policy, length))]
        state, metrics = all_passes(config, partial(step, hparams), state, sides, key)
        return state.replace(step=state.step + 1), metrics

    def act(hparams, state, obs, key, deterministic=False):
        return policy.act(state.actor, preprocess(hparams, obs), key, deterministic)

    return Method(
        init=init,
        update=update,
        act=act,
        reward=None,
        window=length,
        from_start=config.window == 0,
    )


def judged(ratio: jax.Array, ended: jax.Array, window: int, expert: bool) -> tuple[jax.Array, jax.Array]:
    """Log-odds of what is judged as one, and the weight 1 of those that are whole, else 0.

    Args:
      ratio: [M, w] log π̃ − log π_G of steps.
      ended: [M, w] bool, last steps of episodes.
      window: 0 where whole episodes are judged: one that begins each of the expert's windows, and those
        between two ends in the learner's.
    Returns:
      sums and weights, [M] each for windows; [M, w] for episodes, in their order.
    """
    if window:
        return ratio.sum(axis=1), 1.0 - jnp.any(ended[:, :-1], axis=1)
    length = ended.shape[1]
    number = jnp.cumsum(ended, axis=1) - ended  # of the episode that each step belongs to
    sums = jax.vmap(partial(jax.ops.segment_sum, num_segments=length))(ratio, number)
    order = jnp.arange(length)
    wanted = order == 0 if expert else order > 0
    return sums, 1.0 * (wanted & (order < ended.sum(axis=1, keepdims=True)))


def share(whole: jax.Array, part: Windows, window: int) -> jax.Array:
    """Share of the windows that are used; of whole episodes, their number in each window."""
    return jnp.mean(whole) if window else jnp.sum(whole) / part.ended.shape[0]


def windows(rollout: Any, length: int) -> Any:
    """A rollout [T, N, ...] as windows [T·N/length, length, ...] of one environment each, without overlap."""

    def cut(x):
        parts = x.reshape(-1, length, *x.shape[1:])  # [T/w, w, N, ...]
        return jnp.moveaxis(parts, 2, 1).reshape(-1, length, *x.shape[2:])

    return jax.tree.map(cut, rollout)


def check(config, spec) -> None:
    """Refuses configurations that have no meaning, before anything is compiled."""
    check_observations(spec)
    online, length = config.online, config.window or config.online.rollout_steps
    require(
        online.rollout_steps % length == 0,
        f"config.window is {length}, which does not divide config.online.rollout_steps "
        f"({online.rollout_steps}); set --config.window to a divisor",
    )
    count = online.rollout_steps * online.num_envs // length
    require(
        count % config.minibatches == 0,
        f"config.minibatches is {config.minibatches}, which does not divide the {count} windows of a "
        "rollout; set --config.minibatches to a divisor",
    )
    require(
        length == 1 or config.demos.subsample == 1,
        f"config.demos.subsample is {config.demos.subsample}, but config.window {config.window} needs steps "
        "that follow each other; set --config.demos.subsample=1, or --config.window=1",
    )


ENTRY = MethodEntry(
    make_asaf,
    KEYS,
    "adversarial soft advantage fitting: a discriminator made of policies, no RL step (Barde et al. 2020)",
    feeds=frozenset({"rollout"}),
    refuses=ON_POLICY,
    parts=frozenset({"optimizer"}),
)
