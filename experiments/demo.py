"""make demo: IQ-Learn beside behavioural cloning, CartPole-v1, one bundled demonstration, 8 seeds.

Every seed learns from another of the bundled demonstrations; all 8 runs are one compiled program. Leaves
runs/demo/{iq,bc} and the page runs/demo/report.html.
"""

import shutil
import time
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from experiments import command
from iqlearn_jax.report.page import write_report
from iqlearn_jax.report.read import read_runs
from iqlearn_jax.report.tables import markdown, summary_rows
from iqlearn_jax.settings import load_config
from iqlearn_jax.sweep.run import train

FOLDER = Path("runs/demo")
ARMS = {"iq": "configs/cartpole.py:offline", "bc": "configs/cartpole.py:bc"}
SEEDS = 8


def main() -> None:
    """Runs the demo anew."""
    begun = time.perf_counter()
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, source in ARMS.items():
        config = load_config(source)
        config.seeds, config.eval_every = SEEDS, 1000
        train(config, FOLDER / name)
    folders = [FOLDER / name for name in ARMS]
    page = write_report(folders, FOLDER)
    console = Console()
    console.print(Markdown(markdown(summary_rows(read_runs(folders)))))
    console.print(f"\n{time.perf_counter() - begun:.0f} s; open the report: [bold]{page}[/bold]")


if __name__ == "__main__":
    command.run("demo", main)
