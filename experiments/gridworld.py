"""Figure 4 as numbers: how near the recovered reward is to the true one, with shaping taken out.

    python -m experiments.gridworld            trains configs/gridworld.py:offline, writes docs/results/gridworld.*
    python -m experiments.gridworld --demos    writes the bundled demonstrations anew (30, soft-optimal, τ = 0.1)

Rewards are compared as r(s, a, s') in EPIC's canonical form, averaged over s' ~ P(·|s, a), by the Pearson
correlation over the (s, a) that the demonstrations visit. `exact` is the reward that the same objective recovers
from the expert's exact occupancy: its distance to the true reward is what no amount of data could mend, the
learned one's further distance is estimation.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.data.demos import from_arrays, save
from iqlearn_jax.envs import make_env
from iqlearn_jax.envs.gridworld import gridworld_reward, soft_optimal_demos
from iqlearn_jax.ops.canonical import epic_canonical
from iqlearn_jax.ops.divergences import get_divergence
from iqlearn_jax.ops.soft import log_policy, soft_value
from iqlearn_jax.ops.tabular import occupancy, soft_value_iteration
from iqlearn_jax.ops.tabular_solve import solve
from iqlearn_jax.settings import from_flat, load_config
from iqlearn_jax.statistics import pearson
from iqlearn_jax.sweep.rewards import table_reward
from iqlearn_jax.sweep.run import load_run, train
from iqlearn_jax.sweep.workdir import read_config, write_json

FOLDER = Path("runs/core/gridworld")
SOURCE = "configs/gridworld.py:offline"
DEMOS, TEMPERATURE = 30, 0.1


def write_demos() -> None:
    """The bundled demonstrations: 30 episodes of 50 steps of the soft-optimal expert."""
    config = load_config(SOURCE)
    env = make_env(config.env.id, config.env.backend)
    arrays = soft_optimal_demos(env, TEMPERATURE, DEMOS, seed=0)
    policy = {"method": "soft value iteration", "temperature": TEMPERATURE, "seed": 0}
    save(config.demos.path, from_arrays(arrays, {"env": config.env.id, "policy": policy}))


def shaped(reward: np.ndarray, gamma: float) -> jax.Array:
    """Canonical form [S, A, S] of a reward r(s, a) [S, A]."""
    full = jnp.broadcast_to(jnp.asarray(reward)[:, :, None], (*reward.shape, reward.shape[0]))
    return epic_canonical(full, gamma)


def from_q(q: jax.Array, gamma: float, temperature: float) -> jax.Array:
    """Canonical form [S, A, S] of r(s, a, s') = Q(s, a) − γV(s')."""
    return epic_canonical(q[:, :, None] - gamma * soft_value(q, temperature)[None, None, :], gamma)


def correlations(folder: Path) -> list[dict[str, Any]]:
    """Pearson over visited (s, a) for each run, and for the exact solution."""
    config = from_flat(read_config(folder))
    problem, run = load_run(folder, config)
    assert problem.demos is not None and problem.demos.actions is not None
    gamma, tau = config.gamma, config.temperature
    visited = (problem.demos.observations, problem.demos.actions)
    found = []
    with jax.enable_x64(True):
        mdp = jax.tree.map(jnp.asarray, problem.spec.mdp)._replace(gamma=gamma)
        mean = lambda canonical: np.einsum("sat,sat->sa", mdp.transition, canonical)  # noqa: E731
        true = jnp.asarray(gridworld_reward(config.env.id), jnp.float64)
        expert = soft_value_iteration(mdp, true, tau)
        density = occupancy(mdp, jnp.exp(log_policy(expert, tau)))
        seen = np.zeros(density.shape, bool)
        seen[visited] = True
        wanted = mean(shaped(np.asarray(true), gamma))[seen]
        exact = solve(mdp, density, get_divergence(config.divergence), config.alpha, tau)
        found.append(
            {"reward": "true, as Q − γV", "pearson": pearson(mean(from_q(expert, gamma, tau))[seen], wanted)}
        )
        found.append({"reward": "exact", "pearson": pearson(mean(from_q(exact.q, gamma, tau))[seen], wanted)})
        for index, seed in enumerate(problem.seeds.tolist()):
            reward = jnp.asarray(table_reward(problem, run.state, index), jnp.float64)
            q = soft_value_iteration(mdp, reward, tau)
            value = pearson(mean(from_q(q, gamma, tau))[seen], wanted)
            found.append({"reward": f"learned, seed {seed}", "pearson": value})
    return found


def main() -> int:
    """Trains if need be, compares, writes docs/results/gridworld.{json,md}."""
    if "--demos" in sys.argv:
        write_demos()
        return 0
    if not (FOLDER / "summary.json").exists():
        train(load_config(SOURCE), FOLDER)
    rows = correlations(FOLDER)
    provenance = json.loads((FOLDER / "provenance.json").read_text())
    write_json(
        Path("docs/results/gridworld.json"), {"name": "gridworld", "provenance": provenance, "rows": rows}
    )
    lines = [f"| {row['reward']} | {row['pearson']:.3f} |" for row in rows]
    table = "\n".join(["| reward | Pearson with the true reward |", "|---|---|", *lines])
    page = f"# Gridworld rewards\n\n{__doc__}\nCommit {provenance['commit'][:8]}, {provenance['hardware']}.\n\n{table}\n"
    Path("docs/results/gridworld.md").write_text(page)
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
