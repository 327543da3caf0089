"""What a recovered reward has to do with the true one, measured on given transitions.

Pearson and Spearman are of the rewards as they are. The distances need more than numbers on transitions:
  STARC: least squares on random features of the observation (`ops.reward_distance.samples`);
  EPIC, DARD: both rewards as functions of any (s, a, s'), and DARD a model of successors. Where `KNOWN` lacks
    the true reward, there is nothing but its values on transitions: a ridge regression stands in for it, as
    for the successors, and terminal rows are left out. How much a regression explains of episodes that it has
    not seen (R²) stands beside the distances; below `ENOUGH` they are not given: they would be its own.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.ops.reward_distance.distances import clean, direction_distance, pearson_distance
from iqlearn_jax.ops.reward_distance.samples import (
    dard_from_samples,
    epic_from_samples,
    least_squares_canonical,
)
from iqlearn_jax.rewards import RecoveredReward
from iqlearn_jax.statistics import pearson, spearman
from iqlearn_jax.types import Transition

FEATURES, RIDGE, ENOUGH = 300, 1e-3, 0.5
ROWS, BASE = 1500, 128  # transitions compared by EPIC and DARD, and their base samples
HELD_OUT = 5  # every fifth episode


class Known(NamedTuple):
    """A task's reward and ends as functions of arrays.

    Attributes:
      reward: (obs, action, next_obs) [M, ...] -> [M]
      ends: (next_obs) [M, ...] -> [M] bool
    """

    reward: Callable
    ends: Callable


def acrobot_ends(obs: jax.Array) -> jax.Array:
    """Whether the tip is a link above the joint: −cos θ1 − cos(θ1 + θ2) > 1 (Sutton & Barto 2018, §11.3)."""
    cos1, sin1, cos2, sin2 = (obs[:, i] for i in range(4))
    return -cos1 - (cos1 * cos2 - sin1 * sin2) > 1.0


def double_pendulum_tip(obs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(x, height) [M] of the tip of brax's inverted_double_pendulum; both poles are 0.6 long."""
    cart, sin1, sin2, cos1, cos2 = (obs[:, i] for i in range(5))
    sin12, cos12 = sin1 * cos2 + cos1 * sin2, cos1 * cos2 - sin1 * sin2
    return cart + 0.6 * (sin1 + sin12), 0.6 * (cos1 + cos12)


def double_pendulum_ends(obs: jax.Array) -> jax.Array:
    """Whether the tip is no higher than 1."""
    return double_pendulum_tip(obs)[1] <= 1.0


def double_pendulum_reward(obs: jax.Array, action: jax.Array, next_obs: jax.Array) -> jax.Array:
    """10 while it stands, less penalties of the tip's place and of the hinges' velocities; all of next_obs.

    Observations clip velocities at 10, beyond which the environment's own penalty grows on.
    """
    x, y = double_pendulum_tip(next_obs)
    place, speed = 0.01 * x**2 + (y - 2) ** 2, 1e-3 * next_obs[:, 6] ** 2 + 5e-3 * next_obs[:, 7] ** 2
    return 10.0 * (1 - double_pendulum_ends(next_obs)) - place - speed


KNOWN = {
    "Acrobot-v1": Known(lambda obs, action, next_obs: acrobot_ends(next_obs) - 1.0, acrobot_ends),
    "inverted_double_pendulum": Known(double_pendulum_reward, double_pendulum_ends),
}


class Features(NamedTuple):
    """A constant, the standardised inputs and random cosines of them (Rahimi & Recht 2007)."""

    mean: jax.Array
    scale: jax.Array
    waves: jax.Array
    phases: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, D] -> [N, 1 + D + FEATURES]"""
        z = (x - self.mean) / self.scale
        return jnp.concatenate([jnp.ones((len(z), 1)), z, jnp.cos(z @ self.waves + self.phases)], axis=1)


def random_features(x: np.ndarray, seed: int = 0) -> Features:
    """Features of inputs like x [N, D]; their length is the root of the number of inputs."""
    rng, width = np.random.default_rng(seed), x.shape[1]
    waves = rng.normal(size=(width, FEATURES)) / np.sqrt(width)
    scale = np.where(x.std(axis=0) > 1e-3, x.std(axis=0), 1.0)
    parts = (x.mean(axis=0), scale, waves, rng.uniform(0, 2 * np.pi, FEATURES))
    return Features(*(jnp.asarray(part, jnp.float32) for part in parts))


class Fit(NamedTuple):
    """A ridge regression and the share of variance that it explains of rows it has not seen."""

    features: Features
    weights: jax.Array
    r2: float

    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, D] -> [N, K]"""
        return self.features(x) @ self.weights


def fit(x: np.ndarray, y: np.ndarray, held_out: np.ndarray) -> Fit:
    """Ridge regression of y [N, K] on random features of x [N, D], without the rows of the mask [N]."""
    features = random_features(x)
    f = np.asarray(features(jnp.asarray(x)), np.float64)
    seen, target = f[~held_out], y[~held_out]
    gram = seen.T @ seen / len(seen) + RIDGE * np.eye(f.shape[1])
    weights = np.linalg.solve(gram, seen.T @ target / len(seen))
    left, all_of_it = ((y - f @ weights)[held_out] ** 2).sum(), ((y - target.mean(0))[held_out] ** 2).sum()
    r2 = float(1 - left / all_of_it) if all_of_it > 0 else float("nan")
    return Fit(features, jnp.asarray(weights, jnp.float32), r2)


def measures(
    reward: RecoveredReward, rows: Transition, episode: np.ndarray, seed: int = 0
) -> dict[str, float | None]:
    """Correlations and distances of the recovered and the true reward on whole episodes.

    Args:
      rows: transitions [N] with their true rewards; vectors as observations.
      episode: [N] number of the episode of each.
    Returns:
      numbers by name; None where one is undefined, e.g. where the true reward is constant.
    """
    recovered = np.asarray(jax.jit(reward.with_ends)(rows.obs, rows.action, rows.next_obs, rows.terminated))
    true = np.asarray(rows.reward)
    sums = [np.bincount(episode, values) for values in (recovered, true)]
    metrics = {
        "pearson": pearson(recovered, true),
        "spearman": spearman(recovered, true),
        "pearson_episodes": pearson(*sums),
        "spearman_episodes": spearman(*sums),
        "starc": least_squares_distance(float(reward.gamma), recovered, true, rows),
    }
    return metrics | sampled_distances(reward, rows, episode % HELD_OUT == 0, seed)


def least_squares_distance(gamma: float, a: np.ndarray, b: np.ndarray, rows: Transition) -> float:
    """STARC's distance of two rewards [N] on the same rows, by its least-squares form."""
    features = random_features(np.asarray(rows.obs))
    now, after = (features(jnp.asarray(x)) for x in (rows.obs, rows.next_obs))
    after = jnp.where(jnp.asarray(rows.terminated)[:, None], 0.0, after)
    with jax.enable_x64(True):
        table, next_table = (jnp.asarray(np.asarray(x), jnp.float64) for x in (now, after))
        pair = [jnp.asarray(r, jnp.float64) for r in (a, b)]
        forms = [clean(least_squares_canonical(r, table, next_table, gamma), r) for r in pair]
        return float(direction_distance(forms[0], forms[1]))


def sampled_distances(
    reward: RecoveredReward, rows: Transition, held_out: np.ndarray, seed: int
) -> dict[str, float | None]:
    """EPIC and DARD on `ROWS` of the transitions, of which a mask [N] is held out of regressions."""
    known = KNOWN.get(reward.spec.id)
    alive = ~np.asarray(rows.terminated) if known is None else np.ones(len(held_out), bool)
    rows, held_out = jax.tree.map(lambda x: np.asarray(x)[alive], rows), held_out[alive]
    code = partial(encode, reward)
    pairs = np.concatenate([rows.obs, code(rows.action)], axis=1)
    step = fit(pairs, rows.next_obs - rows.obs, held_out)
    true, explained = stand_in(known, code, pairs, rows, held_out)
    metrics: dict[str, float | None] = {"r2_reward": explained, "r2_model": _number(step.r2)}

    def own(obs, action, next_obs):
        ends = jnp.zeros(len(obs), bool) if known is None else known.ends(next_obs)
        return reward.with_ends(obs, action, next_obs, ends)

    def model(obs, action):
        return obs + step(jnp.concatenate([obs, code(action)], axis=1))

    rng, gamma = np.random.default_rng(seed), float(reward.gamma)
    some, first, second = (rng.choice(len(rows.reward), size) for size in (ROWS, BASE, BASE))
    sample = [jnp.asarray(x[some]) for x in (rows.obs, rows.action, rows.next_obs)]
    action, after = jnp.asarray(rows.action[first]), jnp.asarray(rows.next_obs[second])

    def distance(form: Callable) -> float:
        forms = [jax.jit(partial(form, r))(*sample) for r in (own, true)]
        return float(pearson_distance(forms[0], forms[1]))

    def epic(r, obs, act, next_obs):
        return epic_from_samples(r, obs, act, next_obs, action, after, gamma)

    def dard(r, obs, act, next_obs):
        return dard_from_samples(r, model, obs, act, next_obs, action, gamma)

    usable = explained is not None and explained >= ENOUGH
    metrics["epic"] = distance(epic) if usable else None
    metrics["dard"] = distance(dard) if usable and step.r2 >= ENOUGH else None
    return metrics


def stand_in(
    known: Known | None, code: Callable, pairs: np.ndarray, rows: Transition, held_out: np.ndarray
) -> tuple[Callable, float | None]:
    """The true reward as a function of any (s, a, s'), and the share of it that is explained: 1 if known."""
    if known is not None:
        return known.reward, 1.0
    fitted = fit(np.concatenate([pairs, rows.next_obs], axis=1), rows.reward[:, None], held_out)

    def true(obs, action, next_obs):
        return fitted(jnp.concatenate([obs, code(action), next_obs], axis=1))[:, 0]

    return true, _number(fitted.r2)


def encode(reward: RecoveredReward, action: Any) -> Any:
    """Actions as vectors [N, A]: one-hot, or as they are."""
    return jax.nn.one_hot(action, reward.spec.num_actions) if reward.spec.discrete else action


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
