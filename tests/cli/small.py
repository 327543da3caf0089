"""What tests of the command line share: a short training, and how its files are read."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "--config.seeds=2", "--config.hidden=(8,)", "--config.updates=60", "--config.log_every=20",
    "--config.eval_every=20", "--config.eval_episodes=2", "--config.checkpoint_every=0",
    "--config.demos.trajectories=2", "--config.batch_size=8", "--config.snapshot_every=20",
]  # fmt: skip
CARTPOLE = "--config=cartpole:offline"
CLOCKS = ("wall_seconds", "updates_per_second")


def metrics(workdir):
    """Lines of metrics.jsonl without what depends on the machine's speed."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in CLOCKS} for line in lines]


def summary(workdir):
    return json.loads((workdir / "summary.json").read_text())
