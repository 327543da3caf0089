"""What max-margin IRL from demonstrations alone needs to see: what other actions than the expert's do.

    python -m experiments.coverage [--list] [--only=NAME,...]

LSTD-μ, with the settings of configs/cartpole.py and with Table 1's, and behavioural cloning beside it, from
one episode of a linear controller that takes a uniformly random action with probability ε.
"""

from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from experiments.markdown import markdown_table, score
from experiments.table import RUNS, Row, Table, main
from iqlearn_jax.data.demos import from_arrays, save

FIRST_SEED, EPISODES, SHARES = 8000, 10, (0.0, 0.05, 0.1, 0.2)  # with more, episodes end early
METHODS = {
    "lstd_mu": "cartpole.py:lstd_mu",
    "lstd_mu_table1": "table1.py:cartpole_full_lstd_mu",
    "bc": "table1.py:cartpole_full_bc",
}
GAINS = np.array([0.03, 0.1, 1.0, 0.4])  # of place, speed, angle and its rate: balances for 500 steps
FIELDS = ("observations", "actions", "rewards", "next_observations", "terminals", "truncations")


def path(share: float) -> Path:
    """The demonstrations with that share of random actions."""
    return RUNS / f"coverage/random_{share}.npz"


def record(share: float, shared: Path) -> str:
    """Writes ten episodes of the controller, unless they are there."""
    if not path(share).exists():
        path(share).parent.mkdir(parents=True, exist_ok=True)
        rows = [row for number in range(EPISODES) for row in episode(number, share)]
        arrays = {
            name: np.stack(column) for name, column in zip(FIELDS, zip(*rows, strict=True), strict=True)
        }
        about = {"env": "CartPole-v1", "policy": f"linear controller, {share:g} of actions uniform"}
        save(path(share), from_arrays(arrays, about))
    return ""


def episode(number: int, share: float) -> list[tuple]:
    """The steps of one episode, in the order of FIELDS."""
    env, rng = gymnasium.make("CartPole-v1"), np.random.default_rng(number)
    obs, _ = env.reset(seed=number)
    rows: list[Any] = []
    while not rows or not (rows[-1][4] or rows[-1][5]):
        action = rng.integers(2) if rng.random() < share else GAINS @ obs > 0
        after, reward, terminated, truncated, _ = env.step(int(action))
        rows.append((obs, np.int32(action), np.float32(reward), after, terminated, truncated))
        obs = after
    return rows


ROWS = {
    f"{method}_{share:g}": Row(
        f"configs/{config}",
        changes={
            "first_seed": FIRST_SEED,
            "seeds": 10,
            "demos.path": str(path(share)),
            "demos.trajectories": 1,
        },
        note=f"{share:.0%} of actions random",
        prepare=partial(record, share),
        hours=0.02,
    )
    for method, config in METHODS.items()
    for share in SHARES
}
PREFACE = """# What max-margin IRL needs to see

`python -m experiments.coverage`. CartPole-v1, one episode of a linear controller that returns 500 and takes a
uniformly random action with probability ε; another episode for each of ten seeds. Interquartile means [95 %
bootstrap] of final policies, 0 the uniform policy, 1 the controller. "table1": settings found by Table 1's
search, on demonstrations without random actions, where no point of its grid scored above 0.06; the others are
those of configs/cartpole.py (LSTD-μ: `ridge` 1e-3 for 1e-4, `bandwidth` 3 for 2). Hardware: {hardware}. Every
row: [coverage.json](coverage.json).

Our reading: the method compares the expert's action with others by values that are fitted to the
demonstrations. Where each state shows one action, the other one's value is read off other states; with a few
random actions it is measured. From ε = 0 to 0.2 LSTD-μ gains 0.52 [0.04, 0.79] (95 % bootstrap of the
difference); it does not reach cloning. What its estimates are worth: [notes](notes.md).

"""


def markdown(results: list[dict[str, Any]]) -> str:
    """Methods by shares of random actions."""
    done = {found["name"]: found for found in results if "method" in found}
    names = {method: [f"{method}_{share:g}" for share in SHARES] for method in METHODS}
    lines = [
        (method, *(score(done[name]) if name in done else "pending" for name in row))
        for method, row in names.items()
    ]
    return markdown_table(("method", *(f"ε = {share:g}" for share in SHARES)), lines)


TABLE = Table("coverage", ROWS, PREFACE, markdown)

if __name__ == "__main__":
    main(TABLE, __doc__)
