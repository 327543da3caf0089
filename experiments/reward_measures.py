"""What a recovered reward has to do with the true one, measured on given transitions.

Pearson and Spearman are of the rewards as they are. The distances need more than numbers on transitions:
  STARC: least squares on random features of the observation (`ops.reward_samples`);
  EPIC, DARD: both rewards as functions of any (s, a, s'), and DARD a model of successors. The true reward is
    known on transitions only, so a ridge regression stands in for it, as for the successors; how much it
    explains of episodes it has not seen (R²) is said beside the distances, and below `ENOUGH` they are not
    given at all: they would be of the regression.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.ops.reward_distances import clean, direction_distance, pearson_distance
from iqlearn_jax.ops.reward_samples import dard_from_samples, epic_from_samples, least_squares_canonical
from iqlearn_jax.rewards import RecoveredReward
from iqlearn_jax.statistics import pearson, spearman
from iqlearn_jax.types import Transition

FEATURES, RIDGE, ENOUGH = 300, 1e-3, 0.5
ROWS, BASE = 1500, 128  # transitions compared by EPIC and DARD, and their base samples
HELD_OUT = 5  # every fifth episode


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
    found = {
        "pearson": pearson(recovered, true),
        "spearman": spearman(recovered, true),
        "pearson_episodes": pearson(*sums),
        "spearman_episodes": spearman(*sums),
        "starc": least_squares_distance(float(reward.gamma), recovered, true, rows),
    }
    return found | sampled_distances(reward, rows, episode % HELD_OUT == 0, seed)


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
    """EPIC and DARD, by regressions of the true reward and of the dynamics; terminal rows are left out."""
    alive = ~np.asarray(rows.terminated)
    rows, held_out = jax.tree.map(lambda x: np.asarray(x)[alive], rows), held_out[alive]
    code = partial(encode, reward)
    pairs = np.concatenate([rows.obs, code(rows.action)], axis=1)
    true = fit(np.concatenate([pairs, rows.next_obs], axis=1), rows.reward[:, None], held_out)
    step = fit(pairs, rows.next_obs - rows.obs, held_out)
    found: dict[str, float | None] = {"r2_reward": _number(true.r2), "r2_model": _number(step.r2)}
    if not true.r2 >= ENOUGH:
        return found | {"epic": None, "dard": None}

    def stand_in(obs, action, next_obs):
        return true(jnp.concatenate([obs, code(action), next_obs], axis=1))[:, 0]

    def own(obs, action, next_obs):
        return reward(obs, action, next_obs, jnp.zeros(len(obs), bool))

    def model(obs, action):
        return obs + step(jnp.concatenate([obs, code(action)], axis=1))

    rng = np.random.default_rng(seed)
    some, *base = (rng.choice(len(rows.reward), size) for size in (ROWS, BASE, BASE))
    sample = [jnp.asarray(x[some]) for x in (rows.obs, rows.action, rows.next_obs)]
    action, after = jnp.asarray(rows.action[base[0]]), jnp.asarray(rows.next_obs[base[1]])
    gamma = float(reward.gamma)
    epic = [jax.jit(partial(epic_from_samples, r))(*sample, action, after, gamma) for r in (own, stand_in)]
    found["epic"] = float(pearson_distance(*epic))
    if not step.r2 >= ENOUGH:
        return found | {"dard": None}
    dard = [jax.jit(partial(dard_from_samples, r, model))(*sample, action, gamma) for r in (own, stand_in)]
    return found | {"dard": float(pearson_distance(*dard))}


def encode(reward: RecoveredReward, action: Any) -> Any:
    """Actions as vectors [N, A]: one-hot, or as they are."""
    return jax.nn.one_hot(action, reward.spec.num_actions) if reward.spec.discrete else action


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
