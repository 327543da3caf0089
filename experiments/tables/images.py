"""Learning from pixels: every run of docs/results/images.md.

    python -m experiments.tables.images [--list] [--only=NAME,...]

MinAtar runs on the device with experts trained here: one that is missing is trained first (PQN on the true
reward) and 20 of its episodes are recorded, of which each run sees one. Pong runs on the host from the shared
demonstrations.
"""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.lib.demonstrations import SHARED, own_demos
from experiments.lib.markdown import run_table
from experiments.lib.table import RUNS, Row, Table, main
from iqlearn_jax.config.files import load_config
from iqlearn_jax.data.convert.convert import convert
from iqlearn_jax.data.sampling import take_rows
from iqlearn_jax.data.save import save
from iqlearn_jax.runs.folder import stored_config
from iqlearn_jax.training.reopen import load_run

FIRST_SEED, EPISODES, CHUNK = 6000, 20, 256
HOURS = 0.4  # of MinAtar online, from 34 minutes on one of two busy cores
FOLDER = RUNS / "images"


def pong_demos(shared: Path) -> str:
    """Unfolds the shared frames into the project's format."""
    path, source = FOLDER / "pong.npz", shared / SHARED["pong"]
    if not path.exists() and source.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, convert(source))
    return "" if path.exists() else str(source)


def held_out_accuracy(folder: Path) -> str:
    """How often the greedy action is the expert's on the episodes that the first run has not seen."""
    problem: Any
    problem, run = load_run(folder, stored_config(folder))
    seen = np.unique(np.asarray(problem.demo_indices.indices)[0][: int(problem.demo_indices.count[0])])
    hidden = np.setdiff1d(np.arange(len(problem.demos)), seen)
    hparams, state = jax.tree.map(lambda x: x[0], (problem.hparams, run.state))

    @jax.jit
    def agree(index):
        rows = take_rows(problem.rows, index)
        return (
            problem.method.act(hparams, state, rows.obs, jax.random.key(0), deterministic=True) == rows.action
        )

    parts = [agree(hidden[i : i + CHUNK]) for i in range(0, len(hidden), CHUNK)]
    return f"held-out action accuracy {float(np.concatenate(parts).mean()):.3f} on {len(hidden):,} steps"


def minatar_rows(game: str, bundled: bool = False) -> dict[str, Row]:
    """IQ-Learn and SQIL online beside behavioural cloning, each run from one of the same demonstrations."""
    own = Row("")
    if not bundled:
        path, expert = FOLDER / f"{game}.npz", f"minatar:{game}_expert"
        prepare = partial(own_demos, expert, path, EPISODES, True)  # recorded as it acts
        own = Row("", changes={"demos.path": str(path)}, prepare=prepare)
    acts = own._replace(note=f"{load_config(f'minatar:{game}').updates * 4096:,} steps", hours=HOURS)
    return {
        game: acts._replace(config=f"minatar:{game}"),
        f"{game}_sqil": acts._replace(config=f"minatar:{game}_sqil"),
        f"{game}_bc": own._replace(config=f"minatar:{game}_bc", hours=0.05),
    }


def from_all(rows: dict[str, Row]) -> dict[str, Row]:
    """The same rows from all demonstrations of the file; cloning has more to fit, so it takes longer."""
    longer = {"updates": 40_000, "eval_every": 10_000, "checkpoint_every": 10_000}

    def changes(name: str, row: Row) -> dict[str, Any]:
        more = longer if name.endswith("_bc") else {}
        return dict(row.changes) | {"demos.trajectories": "all"} | more

    return {f"{name}_all": row._replace(changes=changes(name, row)) for name, row in rows.items()}


PONG_DEMOS = {"demos.path": str(FOLDER / "pong.npz")}
PONG_ROW = Row("", changes=PONG_DEMOS, prepare=pong_demos, finish=held_out_accuracy)
ROWS = {
    **minatar_rows("breakout", bundled=True),
    **from_all(minatar_rows("breakout", bundled=True)),
    **minatar_rows("spaceinvaders"),
    **minatar_rows("asterix"),
    **minatar_rows("freeway"),
    "pong_offline": PONG_ROW._replace(config="atari:pong_offline", hours=0.6),
    "pong_bc": PONG_ROW._replace(config="atari:pong_bc", hours=0.3),
    "pong": Row(
        "atari:pong",
        changes=PONG_DEMOS | {"demos.trajectories": 5}, prepare=pong_demos, hours=12.6,
    ),
}  # fmt: skip
ROWS = {name: row._replace(changes={"first_seed": FIRST_SEED, **row.changes}) for name, row in ROWS.items()}
PREFACE = """# Learning from pixels

MinAtar is gymnax's, without sticky actions; its experts are trained here by PQN. Experts and learners sample
their actions: the games are nearly deterministic, so a greedy policy would play one or two episodes again
and again. A run learns from one episode, drawn by its seed, or from all 20. A score is the interquartile mean
over seeds of final policies' normalised returns (100 episodes; 0 is the uniform policy, 1 the mean of all
episodes of the file; nothing is clipped). A method that takes no steps is drawn as a level line. Settings
were chosen on seed 0; these seeds were run once. From 20 episodes IQ-Learn is above cloning, from one it is
not.

"""
PANELS = {
    "Breakout, 1 episode": ("breakout", "breakout_sqil", "breakout_bc"),
    "Breakout, 20 episodes": ("breakout_all", "breakout_sqil_all", "breakout_bc_all"),
    "Space Invaders, 1 episode": ("spaceinvaders", "spaceinvaders_sqil", "spaceinvaders_bc"),
    "Asterix, 1 episode": ("asterix", "asterix_sqil", "asterix_bc"),
    "Freeway, 1 episode": ("freeway", "freeway_sqil", "freeway_bc"),
    "Pong": ("pong", "pong_offline", "pong_bc"),
}
TABLE = Table("tables.images", ROWS, PREFACE, run_table, PANELS)

if __name__ == "__main__":
    main(TABLE, __doc__)
