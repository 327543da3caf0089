"""A sweep's plan: which runs, in which compiled programs.

Hyperparameters that are traced become one array axis with the seeds. What changes shapes or code (networks,
method, environment) makes programs of its own, run in turn. A program with more runs than fit is cut into
parts, which share its compilation.
"""

import ast
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from iqlearn_jax.config.values import assign, check, number_of_runs, traced_keys
from iqlearn_jax.errors import InputError


class Program(NamedTuple):
    """One compiled program of a sweep.

    Attributes:
      name: of its folder.
      static: {key: value} in which it differs from the other programs.
      config: its configuration, whose `grid` holds the traced keys.
    """

    name: str
    static: dict[str, Any]
    config: ConfigDict

    @property
    def runs(self) -> int:
        """Runs of this program, all its parts together."""
        return number_of_runs(self.config)


def parse_grid(arguments: Sequence[str]) -> dict[str, tuple]:
    """{"temperature": (0.01, 0.1)} from ["temperature=0.01,0.1"]; tuples are written (64,64),(256,256).

    Raises:
      InputError: no '=', no value, the same value or key twice.
    """
    grid: dict[str, tuple] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        values = _values(text)
        if not equals or not values:
            raise InputError(f"--grid={argument}; expected --grid=KEY=VALUE,VALUE, e.g. --grid=alpha=0.1,0.5")
        if key in grid:
            raise InputError(f"--grid={key} is given twice; name all of its values in one --grid")
        if len(set(values)) < len(values):
            raise InputError(f"--grid={argument} names a value twice; expected each once")
        grid[key] = values
    return grid


def plan(config: ConfigDict, grid: dict[str, tuple]) -> list[Program]:
    """The programs of a sweep, in the order in which they run.

    Args:
      config: what all runs share; `config.seeds` runs for each point of the grid.
      grid: {config key: values}, from `parse_grid`.
    Raises:
      InputError: an unknown key, a value of another type or out of range, or settings without meaning.
    """
    traced = {key: values for key, values in grid.items() if key in traced_keys()}
    static = {key: values for key, values in grid.items() if key not in traced_keys()}
    programs = []
    for number, point in enumerate(product(*static.values())):
        chosen = dict(zip(static, point, strict=True))
        own = config.copy_and_resolve_references()
        for key, value in chosen.items():
            assign(own, key, value)
        for key, values in traced.items():
            assign(own, f"grid.{key}", tuple(values))
        check(own)
        programs.append(Program(f"program-{number}", chosen, own))
    return programs


def parts_of(program: Program, runs_at_once: int) -> list[Program]:
    """The program cut into the fewest parts of at most so many runs; itself where it fits."""
    count = -(-program.runs // runs_at_once)
    if count == 1:
        return [program]
    pieces = []
    for number in range(count):
        config = program.config.copy_and_resolve_references()
        config.part = (number, count)
        pieces.append(program._replace(name=f"{program.name}-part-{number}", config=config))
    return pieces


def _values(text: str) -> tuple:
    try:
        return tuple(ast.literal_eval(f"[{text}]"))
    except (ValueError, SyntaxError):
        return tuple(part.strip() for part in text.split(",") if part.strip())
