"""The core's results: every run of docs/results/core.md, resumable, by one command.

python -m experiments.tables.core [--list] [--only=NAME,...]
"""

from typing import Any

from experiments.lib.demonstrations import SHARED
from experiments.lib.markdown import run_table
from experiments.lib.table import Row, Table, main
from iqlearn_jax.config.files import load_config

FIRST_SEED = 6000  # 5000 and up were looked at while settings were still changing
NEXT = {"next_actions": True}
NEXT_NOTE = "with the expert's next actions"


def _demos(trajectories: int, subsample: int = 1) -> dict[str, Any]:
    return {"demos.trajectories": trajectories, "demos.subsample": subsample}


def pair(
    name: str, source: str, shared: str, changes: dict[str, Any], iq: str, note: str = ""
) -> dict[str, Row]:
    """IQ-Learn and behavioural cloning with the same demonstrations, inputs and number of updates."""
    chosen = load_config(f"{source}:{iq}")
    same = {key: chosen[key] for key in ("updates", "eval_every", "normalize_obs", "critic_lr")}
    return {
        f"{name}_iq": Row(f"{source}:{iq}", shared, changes, note),
        f"{name}_bc": Row(f"{source}:bc", shared, changes | same, note),
    }


ROWS: dict[str, Row] = (
    pair("cartpole_1", "cartpole", SHARED["cartpole"], _demos(1) | {"first_seed": 7000}, "offline")
    | pair("cartpole_10x20", "cartpole", SHARED["cartpole"], _demos(10, 20), "subsampled")
    | pair("cartpole_1x20", "cartpole", SHARED["cartpole"], _demos(1, 20), "sparse", "25 transitions")
    | pair("cartpole_1x20_next", "cartpole", SHARED["cartpole"], _demos(1, 20) | NEXT, "sparse", NEXT_NOTE)
    | {
        "cartpole_1x20_online": Row(
            "cartpole:online",
            SHARED["cartpole"],
            _demos(1, 20),
            "25 transitions",
            "IQ-Learn, online",
        )
    }
    | pair("acrobot_1", "acrobot", SHARED["acrobot"], _demos(1), "offline")
    | pair("lunarlander_1", "lunarlander", SHARED["lunarlander"], _demos(1), "offline")
    | pair("lunarlander_3", "lunarlander", SHARED["lunarlander"], _demos(3), "offline")
    | pair("lunarlander_3x20", "lunarlander", SHARED["lunarlander"], _demos(3, 20), "sparse")
    | pair(
        "lunarlander_3x20_next",
        "lunarlander",
        SHARED["lunarlander"],
        _demos(3, 20) | NEXT,
        "sparse",
        NEXT_NOTE,
    )
    | {
        "inverted_pendulum": Row("brax:inverted_pendulum", note="own expert"),
        "inverted_double_pendulum_again": Row(
            "brax:inverted_double_pendulum",
            None,
            {"snapshot_every": 2000},  # policies on their way up, for rewards.py
            "own expert",
        ),
        "inverted_double_pendulum_bc": Row(
            "brax:inverted_double_pendulum_bc", None, {"seeds": 10, "first_seed": 8100}, "own expert"
        ),
        "gridworld": Row("gridworld:offline", note="soft-optimal expert; rewards in gridworld.json"),
    }
)
ROWS = {name: row._replace(changes={"first_seed": FIRST_SEED, **row.changes}) for name, row in ROWS.items()}

PREFACE = """# The core's results

Interquartile means over seeds of final policies' normalised returns (10 deterministic episodes; 0 is the
uniform policy, 1 the mean of all episodes of the file; nothing is clipped). Every seed learns from other
trajectories of the file; settings were chosen on seeds below 1000; some rows were run again with later code.
Cloning has IQ-Learn's inputs, rate and number of updates (the double pendulum's has its own preset). Offline
the intervals of the two overlap; with 20,000 steps to act IQ-Learn is at the expert from 25 transitions.

"""

PANELS = {
    "CartPole, 1 demonstration": ("cartpole_1_iq", "cartpole_1_bc"),
    "CartPole, 25 transitions": ("cartpole_1x20_iq", "cartpole_1x20_bc", "cartpole_1x20_online"),
    "CartPole, 10 × every 20th": ("cartpole_10x20_iq", "cartpole_10x20_bc"),
    "Acrobot, 1 demonstration": ("acrobot_1_iq", "acrobot_1_bc"),
    "inverted_pendulum": ("inverted_pendulum",),
    "inverted_double_pendulum": ("inverted_double_pendulum_again",),
}
TABLE = Table("tables.core", ROWS, PREFACE, run_table, PANELS)

if __name__ == "__main__":
    main(TABLE, __doc__)
