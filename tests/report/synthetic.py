"""Folders as a run writes them, filled with made-up but plausible numbers."""

import json
from pathlib import Path

import numpy as np

PROVENANCE = {
    "commit": "0123abc",
    "versions": {"python": "3.11.7", "jax": "0.10.2", "iqlearn_jax": "0.1.0"},
    "hardware": {"platform": "cpu", "cores": 2},
    "demos_digest": "sha256:deadbeef",
    "command": ["iqlearn", "train", "--config=cartpole:offline"],
    "started": "2026-11-21T04:00:00",
}


def summary(method="iq", returns=(500.0,) * 8, **changes) -> dict:
    seeds = list(range(5000, 5000 + len(returns)))
    return {
        "method": method,
        "env": "CartPole-v1",
        "backend": "gymnax",
        "setting": "offline",
        "demos": "bundled:cartpole",
        "demo_trajectories": 1,
        "demo_subsample": 1,
        "demo_transitions": 500,
        "seeds": seeds,
        "updates": 20000,
        "env_steps": 0,
        "expert_return": 500.0,
        "random_return": 22.0,
        "returns": list(returns),
        "wall_seconds": 61.2,
        "updates_per_second": 2600.0,
        "status": "done",
        **changes,
    }


def metric_lines(seeds, updates=20000, points=40, top=500.0) -> list[dict]:
    rng = np.random.default_rng(0)
    return [
        {
            "update": int(step),
            "env_steps": int(step),
            "seed": seed,
            "wall_seconds": float(step / 1000),
            "iq/loss": float(-1 + 2 * np.exp(-step / 3000) + 0.05 * rng.normal()),
            "iq/reward_expert": float(1 - np.exp(-step / 4000) + 0.03 * rng.normal()),
            "iq/reward_policy": float(-0.5 * (1 - np.exp(-step / 4000)) + 0.03 * rng.normal()),
            "iq/value": float(20 * (1 - np.exp(-step / 5000)) + rng.normal()),
            "policy/entropy": float(0.69 * np.exp(-step / 9000)),
            "eval/return": float(22 + (top - 22) / (1 + np.exp(-(step - 4000 - 100 * (seed % 9)) / 900))),
        }
        for seed in seeds
        for step in np.linspace(0, updates, points)
    ]


def rewards(constant=True) -> dict:
    rng = np.random.default_rng(1)
    lengths = {"expert": [500] * 6, "policy": [500, 480, 500, 350], "random": [12, 20, 31, 18, 25]}
    parts: dict[str, list] = {"recovered": [], "true": [], "episode": [], "source": []}
    for source, episodes in lengths.items():
        mean = {"expert": 1.0, "policy": 0.8, "random": -0.4}[source]
        for episode, length in enumerate(episodes):
            true = np.ones(length) if constant else mean + rng.normal(size=length)
            parts["true"].append(true)
            parts["recovered"].append(mean * true + 0.4 * rng.normal(size=length))
            parts["episode"].append(np.full(length, episode, np.int32))
            parts["source"].append(np.full(length, source))
    return {key: np.concatenate(value) for key, value in parts.items()}


def maps() -> dict:
    value = 3.0 - np.add.outer(np.arange(5), np.arange(5)) * 0.35
    value[2, 2] = np.nan
    reward = np.where(np.isnan(value), np.nan, 0.0)
    reward[0, 0] = 1.0
    noise = 0.1 * np.random.default_rng(0).normal(size=(5, 5))
    return {
        "true_reward": reward,
        "recovered_reward": 0.8 * reward + noise,
        "exact_reward": 0.9 * reward,
        "value": value + noise,
        "exact_value": value,
    }


def write_run(folder: Path, method="iq", returns=(500.0,) * 8, full=True, **changes) -> Path:
    """A run's folder: with every file, or (full=False) with summary.json alone."""
    folder.mkdir(parents=True)
    content = summary(method, returns, **changes)
    (folder / "summary.json").write_text(json.dumps(content))
    if full:
        lines = metric_lines(content["seeds"], top=float(np.mean(returns)))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (folder / "config.json").write_text(json.dumps({"method": method, "demos": {"trajectories": 1}}))
        (folder / "provenance.json").write_text(json.dumps(PROVENANCE))
        np.savez(folder / "rewards.npz", **rewards())
    return folder
