"""Every result of the paper, and ours, by its name.

    python -m experiments.reproduce --list
    python -m experiments.reproduce NAME [the experiment's own options]
    python -m experiments.reproduce --write      # every page of docs/results anew, nothing is run

Each writes docs/results/NAME.{json,md} and figures; stopped, it goes on when called again.
"""

import runpy
import sys
from importlib import import_module
from typing import NamedTuple

from iqlearn_jax.cli.common import one_line
from iqlearn_jax.errors import unknown


class Experiment(NamedTuple):
    """What a name stands for.

    Attributes:
      module: in experiments/; its last part names the result file.
      paper: where the paper has it.
      what: in words.
    """

    module: str
    paper: str
    what: str

    @property
    def page(self) -> str:
        """The result as a page."""
        return f"docs/results/{self.module.rpartition('.')[2]}.md"


EXPERIMENTS = {
    "figure2": Experiment(
        "tables.figure2", "Figure 2", "offline classic control over numbers of demonstrations"
    ),
    "figure3": Experiment("tables.images", "Figure 3", "pixels: MinAtar and Atari"),
    "figure4": Experiment("tables.gridworld", "Figure 4", "gridworld reward and value maps"),
    "table1": Experiment("tables.table1", "Table 1", "every method on the same data"),
    "tuning": Experiment("tables.tuning", "Table 1", "the search for each method's settings"),
    "properties": Experiment("studies.properties", "Table 1", "the five properties, two of them measured"),
    "table3": Experiment("tables.table3", "Table 3", "MuJoCo from one demonstration"),
    "rewards": Experiment("studies.rewards", "section 6", "what recovered rewards are worth"),
    "divergences": Experiment("studies.divergences", "ablation", "all φ offline and online"),
    "unbiased": Experiment(
        "studies.unbiased", "section 5", "the reverse KL from batches, beside ValueDICE's"
    ),
    "doctor": Experiment(
        "studies.doctor", "ours", "rank correlation of the reward-free likeness with the return"
    ),
    "control": Experiment("tables.control", "section 5", "MuJoCo online; observations only"),
    "other_data": Experiment("studies.other_data", "ours", "few demonstrations and random play, offline"),
    "stability": Experiment("studies.stability", "ours", "what each choice of the stable preset is worth"),
    "core": Experiment("tables.core", "ours", "classic control, pendulums, gridworld"),
}


def write() -> None:
    """Every page anew, from the files beside them and what lies in runs/."""
    from experiments import overview
    from experiments.lib.table import write_results

    for experiment in EXPERIMENTS.values():
        module = import_module(f"experiments.{experiment.module}")
        if hasattr(module, "TABLE"):
            write_results(module.TABLE)
        else:
            module.write_page()
    overview.write()


def main() -> int:
    """The command line."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(__doc__)
    elif name == "--list":
        for word, experiment in EXPERIMENTS.items():
            print(f"{word:<12} {experiment.paper:<10} {experiment.what} ({experiment.page})")
    elif name == "--write":
        write()
    elif name not in EXPERIMENTS:
        return one_line(unknown("experiment", name, EXPERIMENTS))
    else:
        sys.argv = sys.argv[1:]
        runpy.run_module(f"experiments.{EXPERIMENTS[name].module}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
