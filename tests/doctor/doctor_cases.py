"""Metric histories for the doctor's tests: recorded from real runs, and made up around a healthy one."""

import json
from pathlib import Path

import numpy as np

from iqlearn_jax.config.values import from_flat
from iqlearn_jax.doctor.rules import WATCHED, History, make_case
from tests.common import configure, spec_of

RECORDED = Path(__file__).parent / "recorded"  # each file names the folder, commit, seeds and scores
DISCRETE, CONTINUOUS = spec_of(num_actions=2), spec_of(low=np.float32([-1]), high=np.float32([1]))
ACTIONS = {"CartPole-v1": 2, "Acrobot-v1": 3}


def recorded(name):
    """The case and the history of three runs of a real folder."""
    with np.load(RECORDED / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    config = from_flat(json.loads(str(arrays["config"])))
    config.seeds = 3
    actions = ACTIONS.get(config.env.id)
    spec = CONTINUOUS if actions is None else spec_of(num_actions=actions)
    blank = np.full((len(arrays["updates"]), 3), np.nan)
    rows = {key: arrays.get(key.replace("/", "."), blank).astype(float) for key in WATCHED}
    return make_case(config, spec), History(arrays["updates"], rows)


def case_of(spec=DISCRETE, **changes):
    """Three runs of 1,000 updates online, χ² over both kinds of rows (bounds ±2 and ±200) unless changed."""
    online = {
        "feed": "replay", "regularize": "both", "value_term": "policy", "terminal": "absorbing",
        "target_network": True, "seeds": 3, "updates": 1000, "log_every": 50, "temperature": 0.1,
    }  # fmt: skip
    return make_case(configure(**online | changes), spec)


def healthy(chunks=20, **changes):
    """A history that no rule minds; `changes` replace metrics ("iq__value"), [T] or numbers, of run 1."""
    noise = 1.0 + 0.05 * np.random.default_rng(0).normal(size=(chunks, 3))
    level = {
        "iq/reward_expert": 0.5, "iq/reward_policy": -0.5, "iq/reward_max": 0.9, "iq/value": 8.0,
        "iq/penalty": 2.0, "iq/end_rate": 0.1, "policy/entropy": 0.3, "policy/temperature": 0.1,
        "critic/grad_norm": 3.0, "iq/initial_value": 6.0, "eval/likeness": 0.9,
    }  # fmt: skip
    rows = {name: level[name] * noise for name in WATCHED}
    for name, values in changes.items():
        rows[name.replace("__", "/")][:, 1] = values
    return History(np.arange(1, chunks + 1) * 50, rows)
