"""What observations are relative to, and what standardises them: measured once, before training."""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from absl import logging
from numpy.typing import NDArray

from iqlearn_jax.data.demos import Demos
from iqlearn_jax.data.origin import find_origin, moments
from iqlearn_jax.data.sampling import (
    NORMALIZATION,
    ROUNDING,
    DemoIndices,
    demonstrated_obs,
    identity_normalization,
    measure_normalization,
    relative_demos,
)
from iqlearn_jax.devices.placement import is_main
from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.relative import in_float64, with_origin
from iqlearn_jax.runs.folder import read_normalization, read_spec
from iqlearn_jax.types import EnvSpec

Statistics = dict[str, np.ndarray]


class Seen(NamedTuple):
    """Where observations come from: demonstrations and which of them runs [R] see, other data; None: none."""

    demos: Demos | None
    chosen: DemoIndices | None
    others: Demos | None
    runs: int


def measure(config, handle: EnvHandle, seen: Seen) -> tuple[EnvHandle, Statistics]:
    """The environment with observations relative to an origin, where float32 needs one, and what standardises
    each run's inputs: its demonstrations and, half each, other data or random play.

    An expert that holds still shows next to no spread; by its standard deviation alone the learner's own
    observations would lie hundreds of deviations away. With both, in turn, the expert's states lie close
    together: `normalize_by="demos"` is for methods that must tell those apart with a penalty on slopes.
    Networks of another run mean nothing without the origin and the statistics that they were trained with.
    """
    shape = handle.spec.obs_shape
    if config.init_from:
        folder = Path(config.init_from)
        saved = read_normalization(folder)
        index = np.arange(seen.runs)  # as `warm_start`
        statistics = {name: saved[name][index % len(saved[name])] for name in NORMALIZATION if name in saved}
        return with_origin(handle, saved_origin(folder)), statistics
    if not config.normalize_obs or len(shape) != 1:
        return handle, identity_normalization(seen.runs, shape, config.whiten)
    beside = None
    if config.normalize_by == "both" and (config.feed != "demos" or seen.others is not None):
        beside = random_play(handle) if seen.others is None else seen.others.observations
    handle = with_origin(handle, choose_origin(config, handle, seen.demos, beside))
    sources = sources_of(handle.spec, seen, beside)
    warn_of_rounding(sources[0])
    return handle, measure_normalization(sources, config.whiten)


def saved_origin(workdir: Path) -> NDArray | None:
    """What a folder's observations are relative to; folders of early versions have no spec.json."""
    return read_spec(workdir).obs_origin if (workdir / "spec.json").exists() else None


def choose_origin(config, handle: EnvHandle, demos: Demos | None, beside: NDArray | None) -> NDArray | None:
    """The origin [D] of a new run; the recovered reward's where it learns on one.

    None on the device, whose environments compute in float32: what that rounds off is lost before.
    """
    if config.reward_path:
        from iqlearn_jax.rewards import load_reward

        return load_reward(config.reward_path).spec.obs_origin
    if handle.device is not None:
        return None
    return find_origin([x for x in (None if demos is None else demos.observations, beside) if x is not None])


def sources_of(spec: EnvSpec, seen: Seen, beside: NDArray | None) -> list[list[NDArray]]:
    """Of each run the observations [n, D] that it sees, as learning sees them, source by source."""
    more = [] if beside is None else [spec.relative(beside)]
    if seen.demos is None or seen.chosen is None:
        return [more for _ in range(seen.runs)]
    return [[x, *more] for x in demonstrated_obs(relative_demos(seen.demos, spec), seen.chosen)]


def warn_of_rounding(sources: list[NDArray]) -> None:
    """Says which entries vary by no more than float32's rounding: what they were is not known any more."""
    mean, spread = moments(sources)
    rounded = np.flatnonzero((spread > 0) & (spread <= ROUNDING * np.abs(mean)))
    for entry in rounded[:5] if is_main() else ():
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
