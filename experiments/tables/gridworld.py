"""Figure 4: reward and value maps, and how near the recovered reward is to the true one without its shaping.

`python -m experiments.tables.gridworld [--list]` trains if need be and writes
docs/results/gridworld.{json,md} and docs/images/gridworld{,_states}.png; `--demos` writes the bundled
demonstrations anew instead (soft-optimal, τ = 0.1).

A shaping γE[Φ(s')|s,a] − Φ(s) and a constant leave the policy alone, so demonstrations say nothing of them.
EPIC: Pearson correlation with the true reward, both r(s, a) in canonical form with uniform S, A and S',
averaged over s' ~ P(·|s, a), over the visited (s, a); it does not remove that shaping. Projected: the same of
the part of r orthogonal to all such shapings and constants. Gap: the distance between these parts of the
recovered and the true reward, over the length of the true one's; 0 is the true reward, 1 is what the reward 0
has. Both over the (s, a) that the demonstrations visit, and over all of them. `exact` is what the same
objective recovers from the expert's exact occupancy; what the learned reward lacks beyond that is estimation.
"""

import json
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.lib import command
from experiments.lib.figures import IMAGES
from experiments.lib.markdown import markdown_table, origin
from experiments.lib.table import RESULTS, run_row
from experiments.tables import control, core
from iqlearn_jax.config.files import load_config
from iqlearn_jax.data.demos import from_arrays, resolve
from iqlearn_jax.data.save import save
from iqlearn_jax.envs.gridworld import gridworld_reward, soft_optimal_demos, to_grid
from iqlearn_jax.envs.registry import open_env
from iqlearn_jax.ops.iq.divergences import DIVERGENCES
from iqlearn_jax.ops.iq.soft import soft_policy
from iqlearn_jax.ops.reward_distance.canonical import epic_canonical
from iqlearn_jax.ops.tabular.mdp import MDP, occupancy, soft_value_iteration
from iqlearn_jax.ops.tabular.solve import solve
from iqlearn_jax.report.reward_plots import draw_maps, gridworld_maps
from iqlearn_jax.runs.files import write_json
from iqlearn_jax.runs.folder import stored_config
from iqlearn_jax.statistics import pearson
from iqlearn_jax.training.reopen import load_run
from iqlearn_jax.training.rewards import map_arrays, state_maps, table_reward

SOURCE = "gridworld:offline"
DEMOS, TEMPERATURE = 30, 0.1
RUNS = {"gridworld": core.TABLE, "gridworld_states": control.TABLE}  # row: the table that has it
MAPS = """Left: the true reward; middle: what the objective recovers from the expert's exact occupancy;
right: what {demos} demonstrations give (seed {seed}). Top: a state's mean reward under the soft-optimal
policy of that reward, as recovered. Second line: where the demonstrations were (grey: never), and the
recovered rewards with the shaping and the constant that bring them nearest to the true one over all (s, a).
Bottom: soft values of the rewards as recovered. The same from observations alone (seed {seed}), whose exact
optimum is that for observations and actions:"""


class Rewards(NamedTuple):
    """A finished run's rewards beside the true one.

    Attributes:
      mdp: the model, with the discount of training.
      true: [S, A]
      visits: [S, A] how often the demonstrations take each action.
      recovered: name -> [S, A]; the exact solution first, then each seed's.
    """

    mdp: MDP
    true: np.ndarray
    visits: np.ndarray
    recovered: dict[str, np.ndarray]


def write_demos() -> None:
    """The bundled demonstrations: 30 episodes of 50 steps of the soft-optimal expert."""
    config = load_config(SOURCE)
    env = open_env(config.env).device
    assert env is not None
    arrays = soft_optimal_demos(env, TEMPERATURE, DEMOS, seed=0)
    policy = {"method": "soft value iteration", "temperature": TEMPERATURE, "seed": 0}
    save(resolve(config.demos.path), from_arrays(arrays, {"env": config.env.id, "policy": policy}))


def epic(mdp: MDP, reward: np.ndarray) -> np.ndarray:
    """EPIC's canonical form of r(s, a), its mean over s' ~ P(·|s, a). [S, A]"""
    full = jnp.broadcast_to(jnp.asarray(reward)[:, :, None], mdp.transition.shape)
    return np.einsum("sat,sat->sa", mdp.transition, epic_canonical(full, mdp.gamma))


def unidentified(mdp: MDP, reward: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The shaping γE[Φ(s')|s,a] − Φ(s) plus constant nearest to r [S, A] on the mask [S, A]. [S, A]"""
    states = len(reward)
    shapings = mdp.gamma * np.asarray(mdp.transition) - np.eye(states)[:, None, :]
    basis = np.concatenate([shapings, np.ones((*reward.shape, 1))], axis=2)
    return basis @ np.linalg.lstsq(basis[where], reward[where], rcond=None)[0]


def projected(mdp: MDP, reward: np.ndarray, where: np.ndarray) -> np.ndarray:
    """What of r on the mask [S, A] no shaping plus constant explains. [n]"""
    return (reward - unidentified(mdp, reward, where))[where]


def nearest(mdp: MDP, reward: np.ndarray, true: np.ndarray) -> np.ndarray:
    """r with the shaping and the constant that bring it nearest to the true reward. [S, A]"""
    return reward - unidentified(mdp, reward - true, np.ones(true.shape, bool))


def gap(mdp: MDP, reward: np.ndarray, true: np.ndarray, where: np.ndarray) -> float:
    """Distance of the projected rewards over the length of the true one's, on the mask [S, A]."""
    left, whole = (projected(mdp, r, where) for r in (reward - true, true))
    return float(np.linalg.norm(left) / np.linalg.norm(whole))


def compared(mdp: MDP, reward: np.ndarray, true: np.ndarray, seen: np.ndarray) -> dict[str, float | None]:
    """The numbers of one line of the table; `seen` is the mask [S, A] of the demonstrations."""
    metrics = {"epic": pearson(epic(mdp, reward)[seen], epic(mdp, true)[seen])}
    for name, where in {"": seen, "_everywhere": np.ones(true.shape, bool)}.items():
        parts = [projected(mdp, r, where) for r in (reward, true)]
        metrics[f"projected{name}"] = pearson(*parts)
        metrics[f"gap{name}"] = gap(mdp, reward, true, where)
    return metrics


def rewards_of(folder: Path) -> Rewards:
    """The exact solution for the run's settings, and what each of its seeds learned."""
    config = stored_config(folder)
    problem, run = load_run(folder, config)
    demos = problem.demos
    assert demos is not None and demos.actions is not None
    learned = {
        f"learned, seed {seed}": table_reward(problem, run.state, index).astype(float)
        for index, seed in enumerate(problem.seeds.tolist())
    }
    true = gridworld_reward(config.env.id).astype(float)
    visits = np.zeros(true.shape)
    np.add.at(visits, (demos.observations, demos.actions), 1)
    with jax.enable_x64(True):
        mdp = jax.tree.map(jnp.asarray, problem.spec.mdp)._replace(gamma=config.gamma)
        policy = soft_policy(soft_value_iteration(mdp, jnp.asarray(true), TEMPERATURE), TEMPERATURE)
        divergence = DIVERGENCES[config.divergence]
        exact = solve(mdp, occupancy(mdp, policy), divergence, config.alpha, config.temperature)
    return Rewards(mdp, true, visits, {"exact": np.asarray(exact.reward)} | learned)


def draw(env: str, rewards: Rewards) -> bytes:
    """Figure 4: true, exact and the first seed's rewards and values, and where the demonstrations were."""
    exact, learned = list(rewards.recovered.values())[:2]
    raw, near = (
        [state_maps(rewards.mdp, jnp.asarray(r), TEMPERATURE) for r in group]
        for group in (
            (rewards.true, exact, learned),
            [nearest(rewards.mdp, r, rewards.true) for r in (exact, learned)],
        )
    )
    visits = rewards.visits.sum(axis=1)
    columns = ("True", "Exact occupancy", f"{DEMOS} demonstrations")
    panels = [
        *((f"{name}: reward", maps["reward"]) for name, maps in zip(columns, raw, strict=True)),
        ("Visits of the demonstrations", np.where(visits > 0, visits, np.nan)),
        *(("… its shaping removed", maps["reward"]) for maps in near),
        *((f"{name}: value", maps["value"]) for name, maps in zip(columns, raw, strict=True)),
    ]
    return draw_maps([(title, to_grid(env, np.asarray(values))) for title, values in panels])


def write(folders: dict[str, Path]) -> None:
    """Compares and draws finished runs."""
    folder, states = folders["gridworld"], folders["gridworld_states"]
    config = stored_config(folder)
    rewards = rewards_of(folder)
    seen = rewards.visits > 0
    with jax.enable_x64(True):
        picture = draw(config.env.id, rewards)
        rows = [
            {"reward": name} | compared(rewards.mdp, reward, rewards.true, seen)
            for name, reward in rewards.recovered.items()
        ]
    problem, run = load_run(states, stored_config(states))
    observed = gridworld_maps(map_arrays(problem, run.state))
    assert observed is not None
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, image in {"gridworld": picture, "gridworld_states": observed}.items():
        (IMAGES / f"{name}.png").write_bytes(image)
    made = command.provenance_of(folder)
    RESULTS.mkdir(parents=True, exist_ok=True)
    counts = {"visited": int(seen.sum()), "pairs": seen.size, "first_seed": config.first_seed}
    write_json(
        RESULTS / "gridworld.json", {"name": "gridworld", "provenance": made} | counts | {"rows": rows}
    )
    write_page()


def write_page() -> None:
    """docs/results/gridworld.md from the file beside it: the table and the pictures."""
    content = json.loads((RESULTS / "gridworld.json").read_text())
    head = ("reward", "EPIC", "projected", "gap", "projected, all (s, a)", "gap, all (s, a)")
    rows = (row.values() for row in content["rows"])
    lines = [(name, *(f"{value:.3f}" for value in numbers)) for name, *numbers in rows]
    about = (__doc__ or "").split("\n\n", 2)[2]
    facts = f"The demonstrations visit {content['visited']} of {content['pairs']} (s, a). "
    (RESULTS / "gridworld.md").write_text(
        f"# Gridworld rewards\n\n{about}\n{facts}{origin('tables.gridworld', [content])}"
        f"{markdown_table(head, lines)}\n"
        "![Reward and value maps: true, from the exact occupancy, from demonstrations]"
        "(../images/gridworld.png)\n\n"
        f"{MAPS.format(demos=DEMOS, seed=content['first_seed'])}\n\n"
        "![Maps of the reward recovered from observations alone](../images/gridworld_states.png)\n"
    )


def main() -> None:
    """Trains if need be, compares, draws."""
    options = command.parse(__doc__, "list", "demos")
    if options.demos:
        write_demos()
        return
    for name, table in RUNS.items():
        if options.list:
            print(f"{name:<20} {table.rows[name].config} {dict(table.rows[name].changes)}")
        else:
            run_row(table, name, Path())
    if not options.list:
        write({name: table.folder(name) for name, table in RUNS.items()})


if __name__ == "__main__":
    command.run("tables.gridworld", main)
