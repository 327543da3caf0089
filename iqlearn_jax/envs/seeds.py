"""Seeds of single episodes on the host."""

from typing import Any

import numpy as np

from iqlearn_jax.errors import InputError

TRAIN, EVALUATE = 0, 1  # streams of episode seeds, so that evaluation never replays training's starts


def episode_seed(stream: int, run_seed: int, index: int, episode: int) -> int:
    """Seed of one episode: a function of its run, environment and number, and of nothing else."""
    return int(np.random.SeedSequence((stream, run_seed, index, episode)).generate_state(1)[0])


def check_seeds(seeds: Any) -> list[int]:
    """Run seeds as Python integers.

    Raises:
      InputError: none given, or one outside [0, 2^31).
    """
    numbers = [int(seed) for seed in seeds]
    if not numbers or min(numbers) < 0 or max(numbers) >= 2**31:
        raise InputError(f"seeds: found {numbers}; expected one or more integers in [0, 2^31)")
    return numbers
