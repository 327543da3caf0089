"""How much policies are like the demonstrations (`doctor.likeness`), for the runs of one problem."""

from collections.abc import Callable
from functools import partial

import numpy as np
from absl import logging

from iqlearn_jax.data.sampling import relative_demos
from iqlearn_jax.devices.placement import is_main
from iqlearn_jax.doctor import likeness
from iqlearn_jax.loops.play import Played
from iqlearn_jax.training.evaluation import kept_steps, uniform_play
from iqlearn_jax.training.problem import Problem


def make_judge(problem: Problem) -> Callable[[Played], np.ndarray | None]:
    """(Played [R, episodes]) -> likeness [R], NaN where it cannot tell; None without demonstrations or with
    images.

    The uniform policy plays at the first call only. That it cannot tell is said once.
    """
    if not kept_steps(problem):
        return lambda played: None
    judge, said = likeness.make_judge(demonstrated(problem), partial(uniform_play, problem)), False

    def told(played):
        nonlocal said
        found = judge(played)
        if np.isnan(found).any() and not said and is_main():
            said = True
            logging.warning(
                "eval/likeness of %d of %d runs is not known: too few steps, or too few demonstrated ones, "
                "to tell a policy like the expert's from a uniform one; raise --config.eval_episodes (now "
                "%d) or --config.demos.trajectories",
                np.isnan(found).sum(), len(found), problem.config.eval_episodes,
            )  # fmt: skip
        return found

    return told


def demonstrated(problem: Problem) -> likeness.Demonstrated:
    """What each run saw of the demonstrations."""
    assert problem.demos is not None and problem.demo_indices is not None
    demo_indices = problem.placement.get(problem.demo_indices)
    rows = [index[:count] for index, count in zip(demo_indices.indices, demo_indices.count, strict=True)]
    demos, initial = relative_demos(problem.demos, problem.spec), list(np.asarray(demo_indices.initial))
    return likeness.Demonstrated(problem.spec, demos, rows, initial, problem.config.state_only)
