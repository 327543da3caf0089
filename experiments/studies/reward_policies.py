"""Policies trained from scratch on a recovered and on the true reward, in the same and in other dynamics."""

import json
import runpy
from pathlib import Path
from typing import Any

import brax.envs

from experiments.lib import command
from experiments.studies.changed import stronger_gravity
from iqlearn_jax.config.files import load_config
from iqlearn_jax.config.values import assign
from iqlearn_jax.rewards import load_reward
from iqlearn_jax.runs.files import write_json
from iqlearn_jax.runs.folder import stored_config
from iqlearn_jax.training.train import train

KINDS = ("recovered", "true", "recovered_changed", "true_changed")  # "true": what the budget can reach at all
PPO = Path("examples/train_ppo_on_reward.py")
PPO_SEEDS = (6000, 6001)


def trained(folder: Path, name: str, task, kind: str, run: bool) -> dict[str, Any] | None:
    """True returns of the final policies of one kind, trained now if they are not there and `run`; else None.

    Returns:
      `returns` [seeds], `random_return` in the same dynamics (None for PPO), seeds, steps, provenance.
    """
    kept = folder / name / f"{kind}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    if not run:
        return None
    reward = folder / f"{name}.npz" if kind.startswith("recovered") else None
    learn = by_our_rl if task.config else by_brax_ppo
    results = learn(folder / name / kind, task, reward, kind.endswith("changed"))
    write_json(kept, results | {"dynamics": task.dynamics if kind.endswith("changed") else "as learned in"})
    return json.loads(kept.read_text())


def by_our_rl(workdir: Path, task, reward: Path | None, other: bool) -> dict[str, Any]:
    """SAC or soft Q-learning in a run's folder; goes on where it was stopped."""
    config = load_config(task.config)
    changes = {**task.changes, **(task.changed if other else {}), "reward_path": str(reward or "")}
    for key, value in changes.items():
        assign(config, key, value)
    summary = train(config, workdir, resume=(workdir / "config.json").exists())
    results = {
        key: summary[key] for key in ("returns", "random_return", "seeds", "env_steps", "wall_seconds")
    }
    return results | {
        "learner": "SAC" if "target_entropy" in task.changes else "soft Q-learning",
        "provenance": command.provenance_of(workdir),
    }


def by_brax_ppo(workdir: Path, task, reward: Path | None, other: bool) -> dict[str, Any]:
    """brax's PPO as the example has it, in the environment of the source run."""
    config = stored_config(Path("runs") / task.source)
    learned = None if reward is None else load_reward(reward)
    learn, curves = runpy.run_path(str(PPO))["train"], []
    for seed in PPO_SEEDS:
        env = brax.envs.get_environment(config.env.id, backend=config.env.backend)
        curves.append(learn(stronger_gravity(env) if other else env, learned, task.steps, seed))
    return {
        "returns": [curve[-1][1] for curve in curves],
        "random_return": None,
        "seeds": list(PPO_SEEDS),
        "env_steps": int(curves[0][-1][0]),
        "curves": curves,
        "learner": "brax's PPO",
        "provenance": command.made(),
    }
