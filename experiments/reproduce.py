"""Every result of the paper by its name.

    python -m experiments.reproduce --list
    python -m experiments.reproduce NAME [the experiment's own options]

Each writes docs/results/NAME.{json,md} and figures; stopped, it goes on when called again.
"""

import runpy
import sys
from typing import NamedTuple

from iqlearn_jax.cli import one_line
from iqlearn_jax.errors import unknown


class Experiment(NamedTuple):
    """What a name stands for."""

    module: str
    paper: str
    what: str


EXPERIMENTS = {
    "figure2": Experiment("figure2", "Figure 2", "offline classic control over numbers of demonstrations"),
    "figure3": Experiment("images", "Figure 3", "pixels: MinAtar and Atari"),
    "figure4": Experiment("gridworld", "Figure 4", "gridworld reward and value maps"),
    "table1": Experiment("table1", "Table 1", "every method on the same data"),
    "tuning": Experiment("tuning", "Table 1", "the search for each method's settings"),
    "properties": Experiment("properties", "Table 1", "the five properties, two of them measured"),
    "coverage": Experiment("coverage", "Table 1", "what max-margin IRL from demonstrations needs to see"),
    "table3": Experiment(
        "table3", "Table 3", "MuJoCo from one demonstration: GAIL, DAC, ValueDICE, IQ-Learn"
    ),
    "rewards": Experiment("rewards", "section 6", "what recovered rewards are worth"),
    "divergences": Experiment("divergences", "ablation", "all φ offline and online"),
    "unbiased": Experiment("unbiased", "section 5", "the reverse KL from batches, beside ValueDICE's"),
    "doctor": Experiment("doctor", "ours", "rank correlation of the reward-free likeness with the return"),
    "verdicts": Experiment("verdicts", "ours", "what the doctor says of finished runs, beside their ends"),
    "control": Experiment("control", "section 5", "MuJoCo online and offline; observations only"),
    "stability": Experiment("stability", "ours", "what each choice of the stable preset is worth"),
    "budgets": Experiment("budgets", "ours", "hours used and pending, and their limits"),
    "core": Experiment("core", "ours", "classic control, pendulums, gridworld"),
}


def main() -> int:
    """The command line."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(__doc__)
    elif name == "--list":
        for word, found in EXPERIMENTS.items():
            print(f"{word:<12} {found.paper:<10} {found.what} (docs/results/{found.module}.md)")
    elif name not in EXPERIMENTS:
        return one_line(unknown("experiment", name, EXPERIMENTS))
    else:
        sys.argv = sys.argv[1:]
        runpy.run_module(f"experiments.{EXPERIMENTS[name].module}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
