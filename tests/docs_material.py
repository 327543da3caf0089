"""What readers have: my.npz (CartPole), hopper.npz, theirs.pkl (the authors' layout), log.npz (other names).

The documents' tests run it in a temporary folder before the blocks that name these files.
"""

import pickle
import shutil
from pathlib import Path

import numpy as np

from iqlearn_jax.data.demos import Demos
from iqlearn_jax.data.save import save

EPISODES, STEPS = 2, 40


def main() -> None:
    """Writes the files into the present folder."""
    bundled = Path(__file__).resolve().parents[1] / "iqlearn_jax/data/bundled"
    shutil.copy(bundled / "CartPole-v1.npz", "my.npz")
    rng = np.random.default_rng(0)
    tracks = rng.normal(size=(EPISODES, STEPS + 1, 11)).astype(np.float32)
    actions = rng.uniform(-1, 1, (EPISODES, STEPS, 3)).astype(np.float32)
    ends = np.arange(EPISODES * STEPS) % STEPS == STEPS - 1
    demos = Demos(
        observations=tracks[:, :-1].reshape(-1, 11),
        actions=actions.reshape(-1, 3),
        rewards=np.ones(EPISODES * STEPS, np.float32),
        next_observations=tracks[:, 1:].reshape(-1, 11),
        terminals=ends,
        truncations=np.zeros_like(ends),
        metadata={"env": "Hopper-v5"},
    )
    save("hopper.npz", demos)
    theirs = {
        "states": list(tracks[:, :-1]),
        "next_states": list(tracks[:, 1:]),
        "actions": list(actions),
        "rewards": [[1.0] * STEPS] * EPISODES,
        "dones": [[False] * (STEPS - 1) + [True]] * EPISODES,
    }
    Path("theirs.pkl").write_bytes(pickle.dumps(theirs))
    states = tracks[:, :-1].reshape(-1, 11)
    log = {"pos": states[:, :5], "vel": states[:, 5:], "u": actions.reshape(-1, 3), "clock": ends}
    np.savez("log.npz", **log, steps=[STEPS] * EPISODES)


if __name__ == "__main__":
    main()
