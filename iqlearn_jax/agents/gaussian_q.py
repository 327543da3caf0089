"""A soft Q-function that is quadratic in the action: its policy is a Gaussian, and V needs no sample.

    Q(s,a) = m(s) − ½ τ Σ ((u − μ(s))/σ(s))²,  u = (a − middle)/half-width of the box,  μ in [−1, 1]
    V(s) = τ log ∫ exp(Q(s,a)/τ) da = m(s) + τ Σ (log σ + ½ log 2π + log half-width)
    π(a|s) = exp((Q − V)/τ) = N(middle + half-width·μ, half-width·σ), clipped to the box when it acts

One network holds policy and reward, as with discrete actions: no actor, no second critic, no target. The
form is that of NAF (Gu et al. 2016); r = Q − γV' is then τ log π + V − γV', as AIRL and CSIL write it.
Densities are those of the Gaussian before it is clipped, so demonstrators that act on the edge of the box
have one. With σ bounded from below densities have a bound, which gives J a maximum where demonstrators are
deterministic.

Where rewards are 0, V rests at C/(1 − γ), C = τ Σ (log σ + ½ log 2π + log half-width): what the units of
actions make of an entropy, and known beforehand. The network gives m less γC/(1 − γ), so that V starts there.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.agents.common import (
    STANDARD_PARTS,
    Agent,
    Parts,
    box,
    initial_state,
    make_preprocess,
    temperature_step,
)
from iqlearn_jax.errors import InputError
from iqlearn_jax.nets import QuadraticCritic
from iqlearn_jax.types import EnvSpec

SPREAD = 5.0  # a learned σ lies between policy_std / SPREAD and policy_std · SPREAD
LOG_2PI = math.log(2.0 * math.pi)


class Parabola(NamedTuple):
    """Q(s,·) of B observations but for τ, and the box of A actions in whose half-widths μ and σ are.

    Attributes:
      peak: m [B], the largest value, less γC/(1 − γ).
      mean: μ [B, A] in [-1, 1].
      log_std: log σ, [B, A] or [].
      middle, half: [A] of the box.
    """

    peak: jax.Array
    mean: jax.Array
    log_std: jax.Array
    middle: np.ndarray
    half: np.ndarray

    def distance(self, action: jax.Array) -> jax.Array:
        """½ Σ ((u − μ)/σ)² of actions [B, A], [B]."""
        unit = (action - self.middle) / self.half
        return 0.5 * jnp.sum(jnp.square((unit - self.mean) * jnp.exp(-self.log_std)), axis=-1)

    def log_volume(self) -> jax.Array:
        """log ∫ exp(−distance) da over all actions, [B] or []."""
        return log_volume(self.log_std, self.half)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """log π(a|s) [B] = (Q − V)/τ, whatever τ is."""
        return -self.distance(action) - self.log_volume()

    def action(self, key: jax.Array | None) -> jax.Array:
        """A drawn action of the box [B, A]; the likeliest without a key."""
        noise = 0.0 if key is None else jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)
        unit = jnp.clip(self.mean + noise, -1.0, 1.0)
        low, high = self.middle - self.half, self.middle + self.half
        return jnp.clip(self.middle + self.half * unit, low, high)  # rounding may leave it by a last place


def log_volume(log_std: jax.Array, half: np.ndarray) -> jax.Array:
    """log ∫ exp(−½ Σ ((u − μ)/σ)²) da, [B] or [], of log σ [B, A] or [] in half-widths [A]."""
    return jnp.sum(log_std + 0.5 * LOG_2PI + np.log(half), axis=-1)


def make_gaussian_q(config, spec: EnvSpec, parts: Parts = STANDARD_PARTS) -> Agent:
    """The quadratic soft Q-function as a record of pure functions (see `Agent`); of critics there is one.

    Raises:
      InputError: several critics, or a learned temperature: the shape of Q holds τ.
    """
    check(config, parts)
    preprocess, (middle, half) = make_preprocess(spec), box(spec)
    sizes: dict[str, Any] = {"hidden": tuple(config.hidden), "image": len(spec.obs_shape) == 3}
    standard = QuadraticCritic(action_dim=half.size, layer_norm=config.layer_norm, **sizes)
    net: Any = standard if parts.critic is None else parts.critic

    def init(key, hparams):
        obs = preprocess(hparams, jnp.zeros((1, *spec.obs_shape), spec.obs_dtype))
        return initial_state(net.init(key, obs), {}, hparams, parts.optimizer)

    def parabola(hparams, critic, x):
        peak, raw_mean, raw_std = net.apply(critic["net"], x)
        log_std = jnp.log(hparams["policy_std"])
        if config.learn_std:
            log_std += math.log(SPREAD) * jnp.tanh(raw_std)
        return Parabola(peak, jnp.tanh(raw_mean), log_std, middle, half)

    def at(hparams, critic, obs):
        return parabola(hparams, critic, preprocess(hparams, obs))

    def top(hparams, this):  # m
        gamma, constant = hparams["gamma"], log_volume(jnp.log(hparams["policy_std"]), half)
        return this.peak + gamma * hparams["temperature"] * constant / (1.0 - gamma)

    def q_of_input(hparams, critic, x, action):
        this = parabola(hparams, critic, x)
        return (top(hparams, this) - hparams["temperature"] * this.distance(action))[None]

    def values(hparams, state, critic, obs, action, key):
        this, tau = at(hparams, critic, obs), hparams["temperature"]
        peak = top(hparams, this)
        return (peak - tau * this.distance(action))[None], peak + tau * this.log_volume()

    def value(hparams, state, critic, obs, key):
        this = at(hparams, critic, obs)
        return top(hparams, this) + hparams["temperature"] * this.log_volume()

    def improve(hparams, state, obs, key, expert=None):  # nothing is left to do: the policy is the critic's
        volume = at(hparams, state.critic, obs).log_volume()
        return temperature_step(config, hparams, state, jnp.mean(volume) + 0.5 * half.size)

    def act(hparams, state, obs, key, deterministic=False):
        return at(hparams, state.critic, obs).action(None if deterministic else key)

    def expected_q(hparams, state, critic, obs, key):
        return (top(hparams, at(hparams, critic, obs)) - 0.5 * hparams["temperature"] * half.size)[None]

    widest = math.log(SPREAD) if config.learn_std else 0.0  # of policy_std 1, the largest
    return Agent(
        init=init,
        values=values,
        value=value,
        expected_q=expected_q,
        q=lambda hparams, critic, obs, a: q_of_input(hparams, critic, preprocess(hparams, obs), a),
        preprocess=preprocess,
        q_of_input=q_of_input,
        log_prob=lambda hparams, critic, temperature, obs, a: at(hparams, critic, obs).log_prob(a),
        policy_field="critic",
        improve=improve,
        act=act,
        max_entropy=float(np.sum(widest + 0.5 * (LOG_2PI + 1.0) + np.log(half))),
        optimizer=parts.optimizer,
    )


def check(config, parts: Parts) -> None:
    """Refuses what has no meaning for one quadratic critic."""
    for name, allowed in (("critics", 1), ("learn_temperature", False)):
        if config[name] != allowed:
            raise InputError(
                f"config.{name} is {config[name]}, but policy class 'gaussian_q' is one critic of a fixed "
                f"temperature; set --config.{name}={allowed}, or --config.policy_class=sac"
            )
    if parts.actor is not None:
        raise InputError(
            "networks['actor'] is given, but policy class 'gaussian_q' is one critic without an actor; leave "
            "it out, or set --config.policy_class=sac"
        )
