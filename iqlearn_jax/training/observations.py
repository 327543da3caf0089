"""What is seldom needed to standardise observations: an origin, another run's statistics, random play."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from absl import logging
from numpy.typing import NDArray

from iqlearn_jax.data.origin import find_origin, moments
from iqlearn_jax.data.sampling import NORMALIZATION
from iqlearn_jax.devices.placement import is_main
from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.relative import in_float64, with_origin
from iqlearn_jax.runs.folder import read_normalization, read_spec


def inherited(config, handle: EnvHandle, runs: int) -> tuple[EnvHandle, dict[str, np.ndarray]]:
    """Environment and statistics of `config.init_from`, without which its networks mean nothing."""
    folder = Path(config.init_from)
    saved = read_normalization(folder)
    index = np.arange(runs)  # as `warm_start`
    statistics = {name: saved[name][index % len(saved[name])] for name in NORMALIZATION if name in saved}
    return with_origin(handle, saved_origin(folder)), statistics


def saved_origin(workdir: Path) -> NDArray | None:
    """What a folder's observations are relative to; folders of early versions have no spec.json."""
    return read_spec(workdir).obs_origin if (workdir / "spec.json").exists() else None


def moved(config, handle: EnvHandle, seen: Sequence[NDArray]) -> EnvHandle:
    """The environment with observations relative to an origin where float32 needs one, given what was seen;
    to the recovered reward's where it learns on one.

    On the device there is none: environments compute in float32, and what that rounds off is lost before.
    """
    if config.reward_path:
        from iqlearn_jax.rewards import load_reward

        return with_origin(handle, load_reward(config.reward_path).spec.obs_origin)
    return handle if handle.device is not None else with_origin(handle, find_origin(seen))


def warn_of_rounding(sources: list[NDArray], entries: NDArray) -> None:
    """Says which entries vary by no more than float32's rounding: what they were is not known any more."""
    mean, spread = moments(sources)
    for entry in entries[:5] if is_main() else ():
        logging.warning(
            "observations[:, %d] vary by %.3g around %.6g, where float32 has steps of %.3g, and count as "
            "constant; give them in float64 (then they are centred before they are cast), or subtract an "
            "offset in the environment and in the demonstrations",
            entry, spread[entry], mean[entry], np.spacing(np.float32(abs(mean[entry]))),
        )  # fmt: skip


def random_play(handle: EnvHandle) -> NDArray:
    """Observations [N, ...] of uniformly random play, always the same; vectors of the host in float64."""
    if handle.device is None:
        from iqlearn_jax.loops.host import random_play as play_on_host

        return play_on_host(in_float64(handle))
    from iqlearn_jax.loops.play import random_observations

    return random_observations(handle.device, jax.random.key(0))
