"""A soft Q-function that is quadratic in the action: its policy is a Gaussian, and V needs no sample.

    Q(s,a) = m(s) − ½ τ Σ ((u − μ(s))/σ(s))²,  u = (a − middle)/half-width of the box,  μ in [−1, 1]
    V(s) = τ log ∫ exp(Q(s,a)/τ) da = m(s) + τ Σ log (σ/policy_std),  so V = m where σ is fixed
    π(a|s) ∝ exp(Q/τ): N(middle + half-width·μ, half-width·σ), clipped to the box when it acts

The unit of da is the volume Π √2π·policy_std·half-width. A unit is free: another one, say the environment's,
adds a constant to V, C/(1 − γ) where rewards are 0, which the network would first have to drift to, and which
an end (V = 0) would not have.

One network holds policy and reward, as with discrete actions: no actor, no second critic, no target. The
form is that of NAF (Gu et al. 2016); r = Q − γV' is then τ log π + V − γV', as AIRL and CSIL write it.
Densities are those of the Gaussian before it is clipped, so demonstrators that act on the edge of the box
have one. With σ bounded from below densities have a bound, which gives J a maximum where demonstrators are
deterministic.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.agents.common import (
    ENTROPY_ROWS,
    STANDARD_PARTS,
    Agent,
    Parts,
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
      peak: m [B], the largest value.
      mean: μ [B, A] in [-1, 1].
      std: policy_std [].
      widening: log (σ/policy_std) [B, A]; zeros where σ is fixed.
      low, high: [A] of the box.
    """

    peak: jax.Array
    mean: jax.Array
    std: jax.Array
    widening: jax.Array
    low: np.ndarray
    high: np.ndarray

    @property
    def half(self) -> np.ndarray:
        """Half-widths [A] of the box."""
        return 0.5 * (self.high - self.low)

    @property
    def log_std(self) -> jax.Array:
        """log σ [B, A]."""
        return jnp.log(self.std) + self.widening

    def distance(self, action: jax.Array) -> jax.Array:
        """½ Σ ((u − μ)/σ)² of actions [B, A], [B]."""
        unit = (action - 0.5 * (self.high + self.low)) / self.half
        return 0.5 * jnp.sum(jnp.square((unit - self.mean) * jnp.exp(-self.log_std)), axis=-1)

    def value(self, temperature: jax.Array) -> jax.Array:
        """V(s) [B]."""
        return self.peak + temperature * jnp.sum(self.widening, axis=-1)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """log π(a|s) [B] in the environment's units, whatever τ is."""
        return 0.5 * self.mean.shape[-1] - self.distance(action) - self.entropy()

    def entropy(self) -> jax.Array:
        """Of the Gaussian, [B], in nats and the environment's units."""
        return jnp.sum(self.log_std + 0.5 * (LOG_2PI + 1.0) + np.log(self.half), axis=-1)

    def action(self, key: jax.Array | None) -> jax.Array:
        """A drawn action of the box [B, A]; the likeliest without a key."""
        noise = 0.0 if key is None else jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)
        unit = jnp.clip(self.mean + noise, -1.0, 1.0)
        return jnp.clip(self.low + self.half * (unit + 1.0), self.low, self.high)


def make_gaussian_q(config, spec: EnvSpec, parts: Parts = STANDARD_PARTS) -> Agent:
    """The quadratic soft Q-function as a record of pure functions (see `Agent`); of critics there is one.

    Raises:
      InputError: several critics, or a learned temperature: the shape of Q holds τ.
    """
    check(config, parts)
    low, high = np.asarray(spec.action_low, np.float32), np.asarray(spec.action_high, np.float32)
    preprocess, size = make_preprocess(spec), low.size
    sizes: dict[str, Any] = {"hidden": tuple(config.hidden), "image": len(spec.obs_shape) == 3}
    standard = QuadraticCritic(action_dim=size, layer_norm=config.layer_norm, **sizes)
    net: Any = standard if parts.critic is None else parts.critic

    def init(key, hparams):
        obs = preprocess(hparams, jnp.zeros((1, *spec.obs_shape), spec.obs_dtype))
        return initial_state(net.init(key, obs), {}, hparams, parts.optimizer)

    def parabola(hparams, critic, x):
        peak, raw_mean, raw_std = net.apply(critic["net"], x)
        widening = math.log(SPREAD) * jnp.tanh(raw_std) if config.learn_std else jnp.zeros_like(raw_mean)
        return Parabola(peak, jnp.tanh(raw_mean), hparams["policy_std"], widening, low, high)

    def at(hparams, critic, obs):
        return parabola(hparams, critic, preprocess(hparams, obs))

    def q_of_input(hparams, critic, x, action):
        this = parabola(hparams, critic, x)
        return (this.peak - hparams["temperature"] * this.distance(action))[None]

    def values(hparams, state, critic, obs, action, key):
        this, tau = at(hparams, critic, obs), hparams["temperature"]
        return (this.peak - tau * this.distance(action))[None], this.value(tau)

    def improve(hparams, state, obs, key, expert=None):  # nothing is left to do: the policy is the critic's
        entropy = jnp.mean(at(hparams, state.critic, obs[:ENTROPY_ROWS]).entropy())
        return temperature_step(config, hparams, state, entropy)

    def act(hparams, state, obs, key, deterministic=False):
        return at(hparams, state.critic, obs).action(None if deterministic else key)

    def expected_q(hparams, state, critic, obs, key):
        return (at(hparams, critic, obs).peak - 0.5 * hparams["temperature"] * size)[None]

    return Agent(
        init=init,
        values=values,
        value=lambda hparams, state, critic, obs, key: at(hparams, critic, obs).value(hparams["temperature"]),
        expected_q=expected_q,
        q=lambda hparams, critic, obs, a: q_of_input(hparams, critic, preprocess(hparams, obs), a),
        preprocess=preprocess,
        q_of_input=q_of_input,
        log_prob=lambda hparams, critic, temperature, obs, a: at(hparams, critic, obs).log_prob(a),
        policy_field="critic",
        improve=improve,
        act=act,
        max_entropy=largest_entropy(config, size),
        optimizer=parts.optimizer,
        half_width=0.5 * (high - low),
    )


def largest_entropy(config, size: int) -> float:
    """Of a policy over so many actions, in nats and in the unit of da."""
    return size * (0.5 + (math.log(SPREAD) if config.learn_std else 0.0))


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
