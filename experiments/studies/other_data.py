"""Few demonstrated steps and much random play, offline: what IQ-Learn makes of other data (ours, no paper's).

    python -m experiments.studies.other_data [--list] [--only=NAME,...]

CartPole from 25 transitions of one demonstration, with 20,000 steps of uniformly random play beside them.
"""

from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from experiments.lib.markdown import run_table
from experiments.lib.table import RUNS, Row, Table, main
from iqlearn_jax.data.demos import Demos
from iqlearn_jax.envs.spaces import spec_from_spaces

PLAY, STEPS = RUNS / "other_data" / "random_play.npz", 20_000


def random_play(env_id: str, steps: int, path: Path, shared: Path) -> str:
    """Writes whole episodes of uniformly random play, unless they are there; nothing can be missing."""
    if path.exists():
        return ""
    env, rng, rows = gymnasium.make(env_id), np.random.default_rng(0), list[tuple]()
    count = spec_from_spaces(env.observation_space, env.action_space).num_actions
    while len(rows) < steps:
        obs, _ = env.reset(seed=len(rows))
        ended = False
        while not ended:
            action = rng.integers(count)
            following, reward, terminated, truncated, _ = env.step(action)
            rows.append((obs, action, reward, following, terminated, truncated))
            obs, ended = following, terminated or truncated
    names = ("observations", "actions", "rewards", "next_observations", "terminals", "truncations")
    columns = dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    Demos(**columns, metadata={"env": env_id, "policy": "uniformly random"}).save(path)
    return ""


FEW: dict[str, Any] = {"first_seed": 5000, "seeds": 20, "demos.subsample": 20, "eval_episodes": 100}
ROWS = {
    "with_data": Row(
        "cartpole:with_data",
        changes=FEW | {"data.path": str(PLAY)},
        note="with random play beside the demonstration",
        label="IQ-Learn, with other data",
        prepare=partial(random_play, "CartPole-v1", STEPS, PLAY),
    ),
    "same_settings": Row(
        "cartpole:with_data",
        changes=FEW,
        note="the same settings without it",
        label="IQ-Learn, same settings",
    ),
    "alone": Row("cartpole:sparse", changes=FEW, note="the preset for these rows", label="IQ-Learn alone"),
    "bc": Row("cartpole:bc", changes=FEW | {"weight_decay": 1.0}, label="cloning"),
}
PREFACE = f"""# Other data beside the demonstrations

CartPole offline from 25 transitions (every 20th step of the bundled demonstration); the first row sees
{STEPS:,} steps of uniformly random play besides (`--data`), whose episodes have 22 steps on average. Scores
are interquartile means [95 % bootstrap over 20 seeds] of final policies, 100 deterministic episodes each; 0
is the uniform policy, 1 the expert. Settings were chosen on seeds below 1000.

"""
PANELS = {"CartPole, 25 transitions, offline": tuple(ROWS)}
TABLE = Table("studies.other_data", ROWS, PREFACE, run_table, PANELS)

if __name__ == "__main__":
    main(TABLE, __doc__)
