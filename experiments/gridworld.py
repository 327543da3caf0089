"""Figure 4 as numbers: how near the recovered reward is to the true one, with shaping taken out.

`python -m experiments.gridworld` trains if need be and writes docs/results/gridworld.{json,md}; `--demos`
writes the bundled demonstrations anew instead (soft-optimal, τ = 0.1).

Pearson correlation with the true reward over the (s, a) that the demonstrations visit, of rewards r(s, a) in
two forms. EPIC: canonical form with uniform S, A and S', averaged over s' ~ P(·|s, a); it does not remove
the shaping γE[Φ(s')|s,a] − Φ(s), which leaves the policy alone. Projected: the part of r orthogonal to all
such shapings and constants. `exact` is what the same objective recovers from the expert's exact occupancy;
what the learned reward lacks beyond that is estimation.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import command
from iqlearn_jax.data.demos import from_arrays, save
from iqlearn_jax.envs import make_env
from iqlearn_jax.envs.gridworld import gridworld_reward, soft_optimal_demos
from iqlearn_jax.ops.canonical import epic_canonical
from iqlearn_jax.ops.divergences import get_divergence
from iqlearn_jax.ops.soft import soft_policy
from iqlearn_jax.ops.tabular import MDP, occupancy, soft_value_iteration
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


def epic(mdp: MDP, reward: np.ndarray) -> np.ndarray:
    """EPIC's canonical form of r(s, a), its mean over s' ~ P(·|s, a). [S, A]"""
    full = jnp.broadcast_to(jnp.asarray(reward)[:, :, None], mdp.transition.shape)
    return np.einsum("sat,sat->sa", mdp.transition, epic_canonical(full, mdp.gamma))


def projected(mdp: MDP, reward: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """What of r on the seen (s, a) no shaping γE[Φ(s')|s,a] − Φ(s) plus constant explains. [n]"""
    states = reward.shape[0]
    shapings = (mdp.gamma * np.asarray(mdp.transition) - np.eye(states)[:, None, :])[seen]
    basis = np.c_[shapings, np.ones(len(shapings))]
    return reward[seen] - basis @ np.linalg.lstsq(basis, reward[seen], rcond=None)[0]


def correlations(folder: Path) -> list[dict[str, Any]]:
    """Pearson over visited (s, a) in both forms: of the exact solution, and of each run."""
    config = from_flat(read_config(folder))
    problem, run = load_run(folder, config)
    assert problem.demos is not None and problem.demos.actions is not None
    learned = {
        f"learned, seed {seed}": table_reward(problem, run.state, index).astype(float)
        for index, seed in enumerate(problem.seeds.tolist())
    }
    true = gridworld_reward(config.env.id).astype(float)
    seen = np.zeros(true.shape, bool)
    seen[problem.demos.observations, problem.demos.actions] = True
    with jax.enable_x64(True):
        mdp = jax.tree.map(jnp.asarray, problem.spec.mdp)._replace(gamma=config.gamma)
        q = soft_value_iteration(mdp, jnp.asarray(true), config.temperature)
        density = occupancy(mdp, soft_policy(q, config.temperature))
        divergence = get_divergence(config.divergence)
        exact = solve(mdp, density, divergence, config.alpha, config.temperature)
        rewards = {"exact": np.asarray(exact.reward)} | learned
        return [
            {
                "reward": name,
                "epic": pearson(epic(mdp, reward)[seen], epic(mdp, true)[seen]),
                "projected": pearson(projected(mdp, reward, seen), projected(mdp, true, seen)),
            }
            for name, reward in rewards.items()
        ]


def main() -> None:
    """Trains if need be, compares, writes docs/results/gridworld.{json,md}."""
    if "--demos" in sys.argv:
        write_demos()
        return
    if not (FOLDER / "summary.json").exists():
        train(load_config(SOURCE), FOLDER)
    rows = correlations(FOLDER)
    provenance = json.loads((FOLDER / "provenance.json").read_text())
    write_json(
        Path("docs/results/gridworld.json"), {"name": "gridworld", "provenance": provenance, "rows": rows}
    )
    lines = [f"| {row['reward']} | {row['epic']:.3f} | {row['projected']:.3f} |" for row in rows]
    table = "\n".join(["| reward | EPIC | projected |", "|---|---|---|", *lines])
    origin = f"Commit {provenance['commit'][:8]}, {provenance['hardware']}."
    page = f"# Gridworld rewards\n\n{__doc__}\n{origin}\n\n{table}\n"
    Path("docs/results/gridworld.md").write_text(page)
    print(table)


if __name__ == "__main__":
    command.run("gridworld", main)
