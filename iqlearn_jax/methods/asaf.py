"""ASAF: adversarial soft advantage fitting (Barde et al. 2020, arXiv 2006.13258), without an RL step.

The discriminator is made of two policies, D = q_π̃/(q_π̃ + q_πG) with q_π = Π_t π(a_t|s_t) over a window of
`window` steps: π_G has played the rollout and is fixed, π̃ is trained by the logistic loss against the
demonstrations, then plays the next rollout. Windows of 1 are ASAF-1, longer ones ASAF-w. For whole
trajectories π̃ = π_E at the optimum whatever π_G is (theorem 1); for windows only as far as both visit the
same states, which they do more and more as π_G nears the expert.

Departures from the paper, each with the switch that restores its choice:
  windows of a rollout follow each other without overlap; demonstrated ones start anywhere: no switch;
  windows that run over the end of an episode are left out: no switch;
  whole trajectories of different lengths are not here: a `window` as long as episodes of one length is;
  D is trained on the last rollout for `epochs` passes in `minibatches` steps: no switch;
  observations are standardised: `normalize_obs=False`;
  continuous actions: log π is taken off the edge of the box (`nets.tanh_gaussian.EDGE`) on both sides.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from iqlearn_jax.agents import make_policy
from iqlearn_jax.agents.common import ADAM, adam_step, check_observations, make_preprocess
from iqlearn_jax.agents.ppo import one_pass
from iqlearn_jax.methods.common import Method, inside, require, require_plain
from iqlearn_jax.ops.adversarial import logistic_loss
from iqlearn_jax.ops.objectives import weighted_mean


class AsafState(struct.PyTreeNode):
    """Parameters of the policy, Adam's moments of them, and the number of rollouts learned from [] int32."""

    actor: Any
    actor_opt: Any
    step: jax.Array


class Windows(NamedTuple):
    """One side of the logistic loss: M windows of w steps."""

    obs: jax.Array  # [M, w, ...]
    action: jax.Array  # [M, w, ...]
    log_pi: jax.Array  # [M] log q_πG
    whole: jax.Array  # [M] float, 1 where the window lies within one episode


def make_asaf(config, spec) -> Method:
    """min over π̃: E_expert[−log D] + E_rollout[−log(1 − D)], log D − log(1 − D) = Σ_t log π̃ − log π_G.

    Raises:
      InputError: windows that do not fit the rollout or subsampled demonstrations, or switches not read.
    """
    check(config, spec)
    policy, preprocess = make_policy(config, spec), make_preprocess(spec)

    def init(key, hparams):
        obs = jnp.zeros((1, *spec.obs_shape), spec.obs_dtype)
        actor = policy.init(key, preprocess(hparams, obs))
        return AsafState(actor, ADAM.init(actor), jnp.int32(0))

    def log_q(hparams, actor, obs, action):
        """Σ_t log π(a_t|s_t) of windows [M, w], [M]."""
        obs, shape = obs.reshape(-1, *spec.obs_shape), obs.shape[:2]
        action = inside(spec, action.reshape(-1, *action.shape[2:]))
        return policy.log_prob(actor, preprocess(hparams, obs), action).reshape(shape).sum(axis=1)

    def side(hparams, state, rows):
        crossing = jnp.any((rows.terminated | rows.truncated)[:, :-1], axis=1)
        log_pi = log_q(hparams, state.actor, rows.obs, rows.action)
        return Windows(rows.obs, rows.action, log_pi, 1.0 - crossing)

    def loss(hparams, sides, actor):
        odds = [log_q(hparams, actor, part.obs, part.action) - part.log_pi for part in sides]
        losses = [logistic_loss(logit, kind) for logit, kind in zip(odds, (True, False), strict=True)]
        value = sum(weighted_mean(x, part.whole) for x, part in zip(losses, sides, strict=True))
        won = [odds[0] > 0, odds[1] < 0]
        right = sum(weighted_mean(x * 1.0, part.whole) for x, part in zip(won, sides, strict=True))
        return value, {"asaf/loss": value, "asaf/accuracy": 0.5 * right}

    def step(hparams, state, sides, key):
        slope, metrics = jax.grad(lambda actor: loss(hparams, sides, actor), has_aux=True)(state.actor)
        actor, opt = adam_step(state.actor, state.actor_opt, slope, hparams["actor_lr"])
        metrics |= {"policy/grad_norm": optax.tree.norm(slope)}
        return state.replace(actor=actor, actor_opt=opt), metrics

    def update(hparams, state, batch, key):
        sides = [side(hparams, state, rows) for rows in (batch.expert, windows(batch.policy, config.window))]

        def epoch(state, number):
            pass_key = jax.random.fold_in(key, number)
            return one_pass(lambda *row: step(hparams, *row), state, sides, config.minibatches, pass_key)

        state, metrics = jax.lax.scan(epoch, state, jnp.arange(config.epochs))
        found = {"asaf/whole_expert": sides[0].whole, "asaf/whole_policy": sides[1].whole}
        return state.replace(step=state.step + 1), jax.tree.map(jnp.mean, metrics | found)

    def act(hparams, state, obs, key, deterministic=False):
        return policy.act(state.actor, preprocess(hparams, obs), key, deterministic)

    feeds, length = frozenset({"rollout"}), config.window
    return Method(init=init, update=update, act=act, reward=None, feeds=feeds, window=length)


def windows(rollout: Any, length: int) -> Any:
    """A rollout [T, N, ...] as windows [T·N/length, length, ...] of one environment each, without overlap."""

    def cut(x):
        parts = x.reshape(-1, length, *x.shape[1:])  # [T/w, w, N, ...]
        return jnp.moveaxis(parts, 2, 1).reshape(-1, length, *x.shape[2:])

    return jax.tree.map(cut, rollout)


def check(config, spec) -> None:
    """Refuses configurations that have no meaning, before anything is compiled."""
    require_plain(config)
    check_observations(spec)
    online, length = config.online, config.window
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
        f"config.demos.subsample is {config.demos.subsample}, but config.window {length} needs steps that "
        "follow each other; set --config.demos.subsample=1, or --config.window=1",
    )
