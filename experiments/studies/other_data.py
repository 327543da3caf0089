"""Few demonstrated steps and much other play, offline: what IQ-Learn makes of other data (ours, no paper's).

    python -m experiments.studies.other_data [--list] [--only=NAME,...]

CartPole from 25 transitions of one demonstration, with 20,000 steps of uniformly random play beside them;
Hopper from 50, with the 100,000 steps of a run of SAC on the true reward that is stopped half-trained.
"""

from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import jax
import numpy as np

from experiments.lib.demonstrations import SHARED
from experiments.lib.markdown import run_table
from experiments.lib.table import RUNS, Row, Table, main
from iqlearn_jax.config.files import load_config
from iqlearn_jax.data.demos import Demos
from iqlearn_jax.data.save import save
from iqlearn_jax.envs.spaces import spec_from_spaces
from iqlearn_jax.runs.folder import stored_config
from iqlearn_jax.training.reopen import load_run
from iqlearn_jax.training.train import train

FOLDER = RUNS / "other_data"
PLAY, STEPS = FOLDER / "random_play.npz", 20_000
HALF, HALF_UPDATES = FOLDER / "hopper_half.npz", 95_000  # after 5,000 steps of random play


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


def half_trained(config: str, updates: int, path: Path, shared: Path) -> str:
    """Trains a run on the true reward for so long and keeps its replay, unless that is done; nothing can be
    missing.
    """
    folder = path.with_name(f"{path.stem}_run")
    if path.exists():
        return ""
    if not (folder / "summary.json").exists():
        changed = load_config(config)
        changed.updates = updates
        changed.eval_every = changed.checkpoint_every = updates // 5
        changed.eval_episodes = 10
        train(changed, folder, resume=(folder / "config.json").exists())
    save(path, replayed(folder))
    return ""


def replayed(folder: Path) -> Demos:
    """All steps of a folder's only run in its only environment, in their order; the replay holds them all."""
    problem: Any
    problem, run = load_run(folder, stored_config(folder))
    rows = jax.tree.map(lambda x: np.asarray(x)[0, 0], run.replay.experience)
    cut = rows.truncated.copy()
    cut[-1] = ~rows.terminated[-1]
    return Demos(
        observations=rows.obs, actions=rows.action, rewards=rows.reward, next_observations=rows.next_obs,
        terminals=rows.terminated, truncations=cut,
        metadata={"env": problem.config.env.id, "policy": f"replay of {problem.config.updates} updates"},
    )  # fmt: skip


FEW: dict[str, Any] = {"first_seed": 5000, "seeds": 20, "demos.subsample": 20, "eval_episodes": 100}
FEW_OF_HOPPER = FEW | {"seeds": 5}
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
    "hopper_with_data": Row(
        "mujoco:hopper_with_data",
        SHARED["hopper"],
        FEW_OF_HOPPER | {"data.path": str(HALF)},
        note="with a half-trained run beside the demonstration",
        label="IQ-Learn, with other data",
        prepare=partial(half_trained, "mujoco:hopper_expert", HALF_UPDATES, HALF),
        hours=0.5,
    ),
    "hopper_bc": Row("mujoco:hopper_bc", SHARED["hopper"], FEW_OF_HOPPER, label="cloning", hours=0.1),
}
PREFACE = f"""# Other data beside the demonstrations

CartPole offline from 25 transitions (every 20th step of the bundled demonstration); the first row sees
{STEPS:,} steps of uniformly random play besides (`--data`), whose episodes have 22 steps on average. Scores
are interquartile means [95 % bootstrap over 20 seeds] of final policies, 100 deterministic episodes each; 0
is the uniform policy, 1 the expert. Settings were chosen on seeds below 1000.

"""
PANELS = {
    "CartPole, 25 transitions, offline": tuple(name for name in ROWS if not name.startswith("hopper")),
    "Hopper, 50 transitions, offline": ("hopper_with_data", "hopper_bc"),
}
TABLE = Table("studies.other_data", ROWS, PREFACE, run_table, PANELS)

if __name__ == "__main__":
    main(TABLE, __doc__)
