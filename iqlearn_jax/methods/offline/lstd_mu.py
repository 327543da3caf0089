"""Max-margin IRL from demonstrations alone: LSTD-μ and LSPI inside the projection method (Klein, Geist &
Pietquin 2011; Lagoudakis & Parr 2003; Abbeel & Ng 2004)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from iqlearn_jax.agents.common import make_preprocess, require_discrete
from iqlearn_jax.config.values import require
from iqlearn_jax.methods.method import DEMOS, PLAIN, Method, MethodEntry
from iqlearn_jax.methods.tabular.max_margin import nearer
from iqlearn_jax.ops.baselines.lstd import best_action, fourier_features, lspi, lstd, pair_features
from iqlearn_jax.types import discount

KEYS = DEMOS | {"gamma", "ridge", "bandwidth", "features", "inner_steps", "tolerance", "reward_input"}


class Candidate(struct.PyTreeNode):
    """A policy and the reward it is optimal for.

    Attributes:
      weights: [q] w of its reward wᵀφ.
      omega: [p] of its values ψᵀω; the policy is greedy in them.
      distance: [] ‖μ_E − μ_π‖ where it was measured.
    """

    weights: jax.Array
    omega: jax.Array
    distance: jax.Array


class LstdState(struct.PyTreeNode):
    """Everything that learning changes, and the features' constants.

    Attributes:
      basis: frequencies [D, F − 1] and phases [F − 1]; {} for tabular observations.
      weights: [q] w = μ_E − μ̄.
      omega: [p] of the last policy.
      best: the policy nearest to the expert so far, which acts.
      step: [] int32 number of updates.
    """

    basis: Any
    weights: jax.Array
    omega: jax.Array
    best: Candidate
    step: jax.Array


class Features(NamedTuple):
    """Features of observations.

    Attributes:
      size: F.
      init: (key) -> basis.
      apply: (hparams, basis, obs [B, ...]) -> [B, F].
    """

    size: int
    init: Callable
    apply: Callable


def make_lstd_mu(config, spec) -> Method:
    """w = μ_E − μ̄; a policy optimal for wᵀφ by LSPI; its μ by LSTD-μ; μ̄ projected. One round each update.

    Features ψ(s,a) are a constant and random Fourier features of the standardised observation (one-hot for
    tabular ones) in the action's block; rewards are linear in φ = ψ, or in the observation's features alone
    with `reward_input="state"`. μ is discounted and normalised, (1−γ)Σγ^t φ. Each update solves on its own
    batch, so `batch_size` is to be about as large as the data. LSPI takes `config.inner_steps` rounds from
    the last policy. After an end features count 0: the constant one counts how long an episode lives, so
    that surviving is matched like anything else.

    Actions that nobody took have no data: their feature expectations, and so their values, are 0.

    Who acts: greedily the policy whose μ came nearest to the expert's so far (A&N, §3, leave the choice among
    their policies to the user); `reward` is the wᵀφ for which it is optimal.

    Departures:
      both μ start at the demonstrated states instead of ρ0: a batch does not know the expert's first action;
      μ_E by LSTD-μ with what the expert did next, on the same rows as μ_π: what both get wrong cancels,
        and a policy that agrees with the expert on the batch has distance 0. Rows that were cut are left out;
      the first reward is w = μ_E, not that of a random policy;
      random features instead of hand-made ones; μ̄ mixes estimates of different batches.

    Raises:
      InputError: continuous actions, or images.
    """
    check_linear(config, spec)
    features, actions = make_features(config, spec), spec.num_actions
    pairs = features.size * actions
    of_state = config.reward_input == "state"

    def init(key, hparams):
        weights, omega = jnp.zeros(features.size if of_state else pairs), jnp.zeros(pairs)
        copies = jnp.copy(weights), jnp.copy(omega)  # no buffer twice: the state is donated
        best = Candidate(*copies, jnp.asarray(jnp.inf, weights.dtype))
        return LstdState(features.init(key), weights, omega, best, jnp.int32(0))

    def rewarded(f, psi):
        return f if of_state else psi

    def update(hparams, state, batch, key):
        rows, gamma, ridge = batch.expert, hparams["gamma"], hparams["ridge"]
        f, next_f = (features.apply(hparams, state.basis, x) for x in (rows.obs, rows.next_obs))
        psi = pair_features(f, rows.action, actions)
        phi = (1.0 - gamma) * rewarded(f, psi)
        factor, followed = discount(gamma, rows.terminated), rows.terminated | ~rows.truncated

        def expectations(start_action, next_action):
            """μ [q] of a policy, given its actions in s and s'."""
            next_psi = pair_features(next_f, next_action, actions)
            xi = lstd(psi, phi, next_psi, factor, followed, ridge)
            return jnp.mean(pair_features(f, start_action, actions) @ xi, axis=0)

        expert = expectations(rows.action, batch.next_action)
        weights = jnp.where(state.step == 0, expert, state.weights)
        omega = lspi(psi, phi @ weights, next_f, factor, followed, ridge, state.omega, config.inner_steps)
        chosen = best_action(f, omega)
        gap = expert - expectations(chosen, best_action(next_f, omega))
        new = Candidate(weights, omega, jnp.linalg.norm(gap))
        best = better(new, state.best)
        after, size = nearer(weights, gap, config.tolerance, state.step == 0)
        state = state.replace(weights=after, omega=omega, best=best, step=state.step + 1)
        return state, {
            "max_margin/distance": jnp.linalg.norm(after),
            "max_margin/step": size,
            "max_margin/policy_distance": new.distance,
            "max_margin/best_distance": best.distance,
            "max_margin/accuracy": jnp.mean(chosen == rows.action),
        }

    def act(hparams, state, obs, key, deterministic=False):
        return best_action(features.apply(hparams, state.basis, obs), state.best.omega)

    def reward(hparams, state, transition, key=None):
        """wᵀφ(s,a) of the acting policy's round, [B]."""
        f = features.apply(hparams, state.basis, transition.obs)
        return rewarded(f, pair_features(f, transition.action, actions)) @ state.best.weights

    return Method(init=init, update=update, act=act, reward=reward)


def better(new, old):
    """Whichever candidate is nearer to the expert; both have a `distance` []."""
    return jax.tree.map(lambda x, y: jnp.where(new.distance < old.distance, x, y), new, old)


def check_linear(config, spec) -> None:
    """Refuses what has no values linear in features of vectors."""
    require_discrete(config, spec, "its policies are the greedy ones of values linear in features")
    require(
        len(spec.obs_shape) < 2,
        f"observations of {spec.id} have shape {list(spec.obs_shape)}, but method '{config.method}' has "
        "features of vectors; set --config.method=iq or bc",
    )


def make_features(config, spec) -> Features:
    """One-hot tabular states; else a constant and `config.features` − 1 random Fourier features."""
    if spec.obs_shape == ():
        states = len(spec.mdp.initial)
        return Features(states, lambda key: {}, lambda hparams, basis, obs: jax.nn.one_hot(obs, states))
    preprocess, waves = make_preprocess(spec), config.features - 1

    def init(key):
        frequency_key, phase_key = jax.random.split(key)
        return {
            "frequencies": jax.random.normal(frequency_key, (*spec.obs_shape, waves)),
            "phases": jax.random.uniform(phase_key, (waves,), maxval=2 * jnp.pi),
        }

    def apply(hparams, basis, obs):
        x = preprocess(hparams, obs) / hparams["bandwidth"]
        return with_constant(fourier_features(x, basis["frequencies"], basis["phases"]))

    return Features(config.features, init, apply)


def with_constant(features: jax.Array) -> jax.Array:
    """A first feature that is 1 everywhere: [B, F − 1] -> [B, F]."""
    return jnp.pad(features, ((0, 0), (1, 0)), constant_values=1.0)


ENTRY = MethodEntry(
    make_lstd_mu,
    KEYS,
    "max-margin IRL offline: LSTD-mu and LSPI inside the projection method (Klein et al. 2011)",
    feeds=frozenset({"demos"}),
    refuses=PLAIN,
)
