"""Everything that a configuration stands for: environment, demonstrations, method and loop, checked early."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.config import RANGES
from iqlearn_jax.data import demos as demos_lib
from iqlearn_jax.data.frame_replay import FrameRows, frame_rows
from iqlearn_jax.envs import DEVICE_BACKENDS, is_host, make_env
from iqlearn_jax.envs.api import Environment
from iqlearn_jax.envs.gymnasium import borrowed, read_spec
from iqlearn_jax.envs.host import HostEnvs
from iqlearn_jax.errors import InputError, unknown
from iqlearn_jax.methods import FEEDS, FORWARD_RL, Method, make_method
from iqlearn_jax.rewards import load_reward, on_recovered
from iqlearn_jax.sweep.mesh import Placement, place_runs
from iqlearn_jax.train.device import Loop, make_offline, make_online
from iqlearn_jax.train.evaluate import random_observations
from iqlearn_jax.train.host import make_host, random_play
from iqlearn_jax.train.rollout import make_rollout
from iqlearn_jax.train.state import (
    Picks,
    demonstrated_obs,
    identity_normalization,
    make_hparams,
    measure_normalization,
    number_of_runs,
    pick_demos,
    runs_of,
)
from iqlearn_jax.types import EnvSpec, Hparams, Transition

NORMALIZE_BY = ("both", "demos")


class Problem(NamedTuple):
    """A configuration made concrete.

    Attributes:
      env: on-device environment, or None where it steps on the host.
      demos: the whole demonstration file, or None for plain RL.
      rows: its transitions on the device, shared by all runs.
      picks: what each run may see of them [R].
      hparams: traced leaves [R].
      seeds: [R].
      varied: {name: [R]} of the hyperparameters in which the runs differ.
      placement: where the runs lie; `picks` and `hparams` have its R' slots.
    """

    config: Any
    spec: EnvSpec
    env: Any
    demos: demos_lib.Demos | None
    rows: Transition | FrameRows | None
    picks: Picks | None
    hparams: Hparams
    method: Method
    seeds: np.ndarray
    varied: dict[str, np.ndarray]
    placement: Placement

    @property
    def inputs(self) -> tuple:
        """What `Loop.init` takes."""
        return self.hparams, self.placement.put(self.seeds), self.rows, self.picks


def make_problem(config, normalization: dict[str, np.ndarray] | None = None) -> Problem:
    """Loads and checks everything that training needs, before anything is compiled.

    Args:
      normalization: the statistics of observations that a run started with; None measures them anew.

    Raises:
      InputError: whatever is wrong with the configuration, the environment or the demonstrations.
    """
    check_feed(config)
    check_schedule(config)
    env = None if is_host(config.env.backend) else make_env(config.env.id, config.env.backend)
    spec = host_spec(config.env.id) if env is None else env.spec
    check_inputs(config, spec)
    method = rewarded(config, spec, make_method(config, spec))
    demos = load_demos(config, spec)
    seeds, varied = runs_of(config)
    picks = None if demos is None else pick_demos(config, demos, seeds)
    rows = None if demos is None else jax.tree.map(jnp.asarray, demo_rows(config, spec, demos))
    if normalization is None:
        normalization = find_normalization(config, spec, env, demos, picks, len(seeds))
    expected = identity_normalization(len(seeds), spec.obs_shape, config.whiten)
    hparams = make_hparams(config, check_normalization(normalization, expected))
    place = place_runs(len(seeds), host_env=env is None and config.feed == "replay")
    hparams, picks, rows = place.put(hparams), place.put(picks), place.put_shared(rows)
    return Problem(config, spec, env, demos, rows, picks, hparams, method, seeds, varied, place)


def rewarded(config, spec: EnvSpec, method: Method) -> Method:
    """The method itself, or on the recovered reward that `config.reward_path` names.

    Raises:
      InputError: a method that learns from demonstrations, an unusable file, or another environment's reward.
    """
    if not config.reward_path:
        return method
    if config.method not in FORWARD_RL:
        raise InputError(
            f"config.reward_path is '{config.reward_path}', but method '{config.method}' learns from "
            f"demonstrations; set --config.method to one of {', '.join(FORWARD_RL)}"
        )
    return on_recovered(method, load_reward(config.reward_path), spec)


def demo_rows(config, spec: EnvSpec, demos: demos_lib.Demos) -> Transition | FrameRows:
    """The demonstrations as compiled code reads them: images once per frame."""
    if len(spec.obs_shape) == 3:
        return frame_rows(demos, spec.frame_stack, config.demos.path)
    return demos_lib.transitions(demos)


def find_normalization(
    config, spec: EnvSpec, env: Environment | None, demos, picks, runs: int
) -> dict[str, np.ndarray]:
    """What standardises each run's inputs: its demonstrations and, where it will act, random play, half each.

    An expert that holds still shows next to no spread; by its standard deviation alone the learner's own
    observations would lie hundreds of deviations away. With both, in turn, the expert's states lie close
    together: `normalize_by="demos"` is for methods that must tell those apart with a penalty on slopes.
    """
    if not config.normalize_obs or len(spec.obs_shape) != 1:
        return identity_normalization(runs, spec.obs_shape, config.whiten)
    found = [[] for _ in range(runs)] if demos is None else [[x] for x in demonstrated_obs(demos, picks)]
    if config.feed != "demos" and config.normalize_by == "both":
        play = (
            random_play(config.env.id, spec) if env is None else random_observations(env, jax.random.key(0))
        )
        found = [[*parts, play] for parts in found]
    return measure_normalization(found, config.whiten)


def check_normalization(found: dict[str, np.ndarray], like: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Refuses statistics that belong to other runs or another environment, whose shapes are not as `like`."""
    shapes, expected = ({name: x.shape for name, x in arrays.items()} for arrays in (found, like))
    if shapes != expected:
        raise InputError(
            f"normalization.npz holds {shapes}; expected {expected}; restore the file or start a new folder"
        )
    return found


def make_loop(problem: Problem) -> Loop:
    """The compiled loop that the configuration's feed and environment ask for."""
    config, method, map_runs = problem.config, problem.method, problem.placement.map_runs
    if config.feed == "demos":
        return make_offline(config, method, map_runs)
    if config.feed == "rollout":
        return make_rollout(config, method, problem.env, map_runs)
    if problem.env is not None:
        return make_online(config, method, problem.env, map_runs)
    return make_host(config, method, HostEnvs(config.env.id, problem.seeds.tolist(), config.online.num_envs))


def find_spec(config) -> EnvSpec:
    """Static facts of the configured environment, without anything else of a problem."""
    if is_host(config.env.backend):
        return host_spec(config.env.id)
    return make_env(config.env.id, config.env.backend).spec


def host_spec(env_id: str) -> EnvSpec:
    """Static facts of a gymnasium environment."""
    with borrowed(env_id, 1) as envs:
        return read_spec(env_id, envs[0])


def load_demos(config, spec: EnvSpec) -> demos_lib.Demos | None:
    """The demonstration file, validated against the environment; None for plain RL.

    With `state_only` the actions are replaced by zeros, so that nothing can learn from them.
    """
    if config.method in FORWARD_RL:
        return None
    if not config.demos.path:
        raise InputError(
            f"config.demos.path is empty, but method '{config.method}' learns from demonstrations; "
            "set --demos=FILE.npz"
        )
    demos = demos_lib.load(config.demos.path, spec, observation_only=config.state_only)
    if not config.state_only:
        return demos
    shape = () if spec.discrete else spec.action_low.shape
    blank = np.zeros((len(demos), *shape), np.int32 if spec.discrete else np.float32)
    return dataclasses.replace(demos, actions=blank)


def check_inputs(config, spec: EnvSpec) -> None:
    """Refuses sources of statistics that do not exist, and whitening of what is not standardised.

    Raises:
      InputError: names the field and what it may be.
    """
    if config.normalize_by not in NORMALIZE_BY:
        raise unknown("config.normalize_by", str(config.normalize_by), NORMALIZE_BY)
    if config.normalize_by == "demos" and config.method in FORWARD_RL:
        raise InputError(
            f"config.normalize_by is 'demos', but method '{config.method}' has no demonstrations; set "
            "--config.normalize_by=both"
        )
    if config.whiten and not (config.normalize_obs and len(spec.obs_shape) == 1):
        raise InputError(
            f"config.whiten is True, but config.normalize_obs is {config.normalize_obs} and observations of "
            f"{spec.id} have shape {spec.obs_shape}; expected True and vectors: set --config.whiten=False"
        )


def check_feed(config) -> None:
    """Refuses feeds that do not exist, or not for the environment's backend.

    Raises:
      InputError: names the field and what it may be.
    """
    if config.feed not in FEEDS:
        raise unknown("config.feed", str(config.feed), FEEDS)
    if config.feed == "rollout" and is_host(config.env.backend):
        raise InputError(
            f"config.feed is 'rollout', which plays on the device only, but config.env.backend is "
            f"'{config.env.backend}'; set --config.env.backend to one of {', '.join(DEVICE_BACKENDS)}"
        )


def check_schedule(config) -> None:
    """Refuses intervals that do not fit into each other.

    Raises:
      InputError: names the two fields.
    """
    check_numbers(config)
    pairs = [
        (outer, "log_every") for outer in ("updates", "eval_every", "checkpoint_every", "snapshot_every")
    ]
    if config.feed == "replay":
        _check_multiple(
            "log_every", config.log_every, "online.updates_per_step", config.online.updates_per_step
        )
    for outer, inner in pairs:
        _check_multiple(outer, config[outer], inner, config[inner])


def check_numbers(config) -> None:
    """Refuses numbers that would end in NaN or in a traceback from inside a library.

    Raises:
      InputError: names the field, its value and the range.
    """
    for key, (low, high) in RANGES.items():
        value = config
        for part in key.split("."):
            value = value[part]
        if not low <= value <= high:  # NaN fails too
            raise InputError(f"config.{key} is {value}; expected a number in [{low:g}, {high:g}]")
    check_grid(config)
    if not all(isinstance(width, int) and width > 0 for width in config.hidden):
        raise InputError(f"config.hidden is {config.hidden}; expected positive whole numbers, e.g. (64, 64)")


def check_grid(config) -> None:
    """Refuses grids and parts that name no runs, and values outside their range.

    Raises:
      InputError: names the field, its value and what was expected.
    """
    for name, values in config.grid.items():
        low, high = RANGES.get(name, (-np.inf, np.inf))
        if any(isinstance(x, bool) or not isinstance(x, int | float) or not low <= x <= high for x in values):
            raise InputError(f"config.grid.{name} is {values}; expected numbers in [{low:g}, {high:g}]")
        if len(set(values)) < len(values):
            raise InputError(f"config.grid.{name} is {values}; expected each value once")
    whole = len(config.part) == 2 and all(type(x) is int for x in config.part)
    if not whole or not 0 <= config.part[0] < config.part[1] <= number_of_runs(config):
        raise InputError(
            f"config.part is {config.part}; expected (k, n) with 0 <= k < n <= {number_of_runs(config)} runs"
        )


def _check_multiple(outer: str, value: int, inner: str, unit: int) -> None:
    if unit < 1 or value < 0 or value % unit:
        raise InputError(
            f"config.{outer} is {value}; expected a multiple of config.{inner} ({unit}), e.g. "
            f"{max(unit, 1) * max(1, round(value / max(unit, 1)))}"
        )
