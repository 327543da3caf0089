"""make demo: 25 transitions of one CartPole demonstration, cloned, and with 20,000 steps to act in; 8 seeds.

Every seed sees every 20th step of another of the bundled demonstrations; all 8 runs are one compiled program.
Leaves runs/demo/{iq,bc}, a film of one policy and the page runs/demo/report.html, and writes nothing else.
"""

import shutil
import time
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from experiments.lib import command
from iqlearn_jax.config.files import load_config
from iqlearn_jax.report.page import write_report
from iqlearn_jax.report.read import read_runs
from iqlearn_jax.report.tables import markdown, summary_rows
from iqlearn_jax.trained.run import load
from iqlearn_jax.trained.video import film
from iqlearn_jax.training.train import train

FOLDER = Path("runs/demo")
METHODS = {"iq": "cartpole:online", "bc": "cartpole:bc"}
UPDATES, SEEDS, EVERY = 20_000, 8, 20
COLUMNS = ("method", "seeds", "return: IQM (range)", "normalised IQM [95 % CI]", "seconds")  # 80 characters


def main() -> None:
    """Runs the demo anew."""
    start = time.perf_counter()
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, source in METHODS.items():
        config = load_config(source)
        config.update({"updates": UPDATES, "seeds": SEEDS, "eval_every": 1000})
        config.demos.subsample = EVERY
        train(config, FOLDER / name)
    film(FOLDER / "iq/rollout.gif", load(FOLDER / "iq").policy(), config.env)
    folders = [FOLDER / name for name in METHODS]
    page = write_report(folders, FOLDER)
    console = Console()
    console.print(Markdown(summary(folders)))
    console.print(f"\n{time.perf_counter() - start:.0f} s; open the report: [bold]{page}[/bold]")


def summary(folders: list[Path]) -> str:
    """The runs' table, narrow enough for a terminal; the report has all of its columns."""
    rows = summary_rows(read_runs(folders))
    return markdown([{column: row[column] for column in COLUMNS} for row in rows])


if __name__ == "__main__":
    command.run("demo", main)
