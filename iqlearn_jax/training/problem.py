"""Everything that a configuration stands for: environment, demonstrations, method and loop, checked early."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.config.values import check
from iqlearn_jax.data import demos as demos_lib
from iqlearn_jax.data.others import join, with_others
from iqlearn_jax.data.sampling import (
    DemoIndices,
    Rows,
    check_normalization,
    demonstrated_obs,
    identity_normalization,
    make_rows,
    measure_normalization,
    pick_demos,
    relative_demos,
    rounded,
)
from iqlearn_jax.devices.placement import Placement, place_runs
from iqlearn_jax.envs.api import Environment
from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.registry import DEVICE_BACKENDS, open_env, resolve_backend
from iqlearn_jax.errors import InputError
from iqlearn_jax.loops.loop import Loop, RunState, make_hparams, make_offline, runs_of
from iqlearn_jax.methods import FORWARD_RL, Method, check_policy_keys, make_method
from iqlearn_jax.training import observations
from iqlearn_jax.types import EnvSpec, Hparams


class Problem(NamedTuple):
    """A configuration made concrete.

    Attributes:
      config: with nothing left to be decided (`concrete`).
      handle: the environment; `env` is the compiled one, None where it steps on the host or there is none.
      demos: the whole demonstration file, or None for plain RL.
      others: transitions of anyone beside them, None where `config.data.path` names none.
      rows: the transitions of both on the device, shared by all runs.
      demo_indices: which of them each run may see [R].
      hparams: traced leaves [R].
      seeds: [R].
      varied: {name: [R]} of the hyperparameters in which the runs differ.
      placement: where the runs lie; `demo_indices` and `hparams` have its R' slots.
    """

    config: Any
    handle: EnvHandle
    demos: demos_lib.Demos | None
    others: demos_lib.Demos | None
    rows: Rows | None
    demo_indices: DemoIndices | None
    hparams: Hparams
    method: Method
    seeds: np.ndarray
    varied: dict[str, np.ndarray]
    placement: Placement

    @property
    def spec(self) -> EnvSpec:
        """Static facts of the environment."""
        return self.handle.spec

    @property
    def env(self) -> Environment | None:
        """The compiled environment, if there is one."""
        return self.handle.device

    @property
    def has_simulator(self) -> bool:
        """Whether policies can be played; without one, scores are not known."""
        return self.handle.backend != "none"

    @property
    def is_played(self) -> bool:
        """Whether policies are evaluated: there is a simulator, and `eval_episodes` is not 0."""
        return self.has_simulator and self.config.eval_episodes > 0

    @property
    def inputs(self) -> tuple:
        """What `Loop.init` takes."""
        return self.hparams, self.placement.put(self.seeds), self.rows, self.demo_indices


def concrete(config) -> Any:
    """A copy in which the environment's backend is decided and paths are absolute.

    Raises:
      InputError: no backend has such an environment, or there is no such bundled demonstration.
    """
    config = copy.deepcopy(config)
    config.env.backend = resolve_backend(config.env.id, config.env.backend)
    if config.demos.path:
        config.demos.path = demos_lib.absolute(config.demos.path)
    if config.data.path:
        config.data.path = demos_lib.absolute(config.data.path)
    for name in ("reward_path", "init_from"):
        config[name] = config[name] and str(Path(config[name]).absolute())
    return config


def make_problem(
    config,
    normalization: dict[str, np.ndarray] | None = None,
    handle: EnvHandle | None = None,
    demos: demos_lib.Demos | None = None,
    networks: Any = None,
    optimizer: Any = None,
    named: Iterable[str] = (),
) -> Problem:
    """Loads and checks everything that training needs, before anything is compiled.

    Args:
      normalization: the statistics of observations that a run started with, whose origin is that of `handle`;
        None measures both anew, or takes those of `config.init_from`.
      handle: an environment that is open already; None opens `config.env`.
      demos: demonstrations in memory; None reads `config.demos.path`.
      networks, optimizer: as `methods.make_method`.
      named: dotted keys that were set on purpose, so that they should be read.
    Raises:
      InputError: whatever is wrong with the configuration, the environment or the demonstrations.
    """
    check(config)
    if handle is None:
        config = concrete(config)
        handle = open_env(config.env)
    check_inputs(config, handle)
    check_policy_keys(config, named, handle.spec)
    method = on_reward(config, handle.spec, make_method(config, handle.spec, networks, optimizer))
    demos, others = usable_demos(config, handle.spec, demos), usable_others(config, handle.spec)
    seeds, varied = runs_of(config)
    chosen = None if demos is None else pick_demos(config, demos, seeds)
    if normalization is None:
        handle, normalization = measure(config, handle, demos, chosen, others, len(seeds))
    spec = handle.spec
    rows, demo_indices = pick_rows(config, spec, chosen, demos, others)
    expected = identity_normalization(len(seeds), spec.obs_shape, config.whiten)
    hparams = make_hparams(config, check_normalization(normalization, expected))
    place = place_runs(len(seeds), host_env=handle.device is None and config.feed == "replay")
    hparams, demo_indices, rows = place.put(hparams), place.put(demo_indices), place.put_shared(rows)
    return Problem(config, handle, demos, others, rows, demo_indices, hparams, method, seeds, varied, place)


def measure(
    config, handle: EnvHandle, demos, chosen, others, runs: int
) -> tuple[EnvHandle, dict[str, np.ndarray]]:
    """The environment with observations relative to an origin, where float32 needs one, and what standardises
    each run's inputs: its demonstrations and, half each, other data or random play.

    An expert that holds still shows next to no spread; by its standard deviation alone the learner's own
    observations would lie hundreds of deviations away. With both, in turn, the expert's states lie close
    together: `normalize_by="demos"` is for methods that must tell those apart with a penalty on slopes.
    """
    shape = handle.spec.obs_shape
    if config.init_from:
        return observations.inherited(config, handle, runs)
    if not config.normalize_obs or len(shape) != 1:
        return handle, identity_normalization(runs, shape, config.whiten)
    beside = None
    if config.normalize_by == "both" and (config.feed != "demos" or others is not None):
        beside = observations.random_play(handle) if others is None else others.observations
    seen = [x for x in (None if demos is None else demos.observations, beside) if x is not None]
    if config.reward_path or any(x.dtype == np.float64 for x in seen):
        handle = observations.moved(config, handle, seen)
    sources = sources_of(handle.spec, demos, chosen, beside, runs)
    if (entries := rounded(sources[0])).size:
        observations.warn_of_rounding(sources[0], entries)
    return handle, measure_normalization(sources, config.whiten)


def sources_of(spec: EnvSpec, demos, chosen, beside, runs: int) -> list[list[np.ndarray]]:
    """Of each run the observations [n, D] that it sees, as learning sees them, source by source."""
    more = [] if beside is None else [spec.relative(beside)]
    if demos is None:
        return [more for _ in range(runs)]
    return [[x, *more] for x in demonstrated_obs(relative_demos(demos, spec), chosen)]


def on_reward(config, spec: EnvSpec, method: Method) -> Method:
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
    from iqlearn_jax.rewards import load_reward, on_recovered

    return on_recovered(method, load_reward(config.reward_path), spec)


def pick_rows(config, spec: EnvSpec, chosen, demos, others) -> tuple[Rows | None, DemoIndices | None]:
    """The transitions of both files on the device, and what each run may see of them; None for plain RL."""
    if demos is None:
        return None, None
    whole = demos
    if others is not None:
        chosen, whole = with_others(chosen, demos, others), join(demos, others, spec)
    return jax.tree.map(jnp.asarray, make_rows(whole, spec)), chosen


def make_loop(problem: Problem) -> Loop:
    """The compiled loop that the configuration's feed and environment ask for."""
    config, method, map_runs = problem.config, problem.method, problem.placement.map_runs
    if config.feed == "demos":
        return make_offline(config, method, map_runs)
    # imported here: learning offline needs no environment
    if config.feed == "rollout":
        assert problem.env is not None  # `check_inputs`
        from iqlearn_jax.loops.rollout import make_rollout

        return make_rollout(config, method, problem.env, map_runs)
    if problem.env is not None:
        from iqlearn_jax.loops.online import make_online

        return make_online(config, method, problem.env, map_runs)
    from iqlearn_jax.envs.host import HostEnvs
    from iqlearn_jax.loops.host import make_host

    return make_host(config, method, HostEnvs(problem.handle, problem.seeds.tolist(), config.online.num_envs))


def usable_demos(config, spec: EnvSpec, given: demos_lib.Demos | None) -> demos_lib.Demos | None:
    """The demonstrations, validated against the environment; None for plain RL.

    With `state_only` the actions are replaced by zeros, so that nothing can learn from them.
    """
    if config.method in FORWARD_RL:
        return None
    if given is None and not config.demos.path:
        raise InputError(
            f"config.demos.path is empty, but method '{config.method}' learns from demonstrations; "
            "set --demos=FILE.npz"
        )
    if given is None:
        demos = demos_lib.load(config.demos.path, spec, observation_only=config.state_only)
    else:
        demos = given
        demos_lib.validate(demos, spec, observation_only=config.state_only)
    demos = demos_lib.in_terms_of(spec, demos)
    return demos_lib.blank_actions(demos, spec) if config.state_only else demos


def usable_others(config, spec: EnvSpec) -> demos_lib.Demos | None:
    """The file of `config.data.path`, validated against the environment; None where none is named."""
    if not config.data.path:
        return None
    return demos_lib.in_terms_of(spec, demos_lib.load(config.data.path, spec))


def check_inputs(config, handle: EnvHandle) -> None:
    """Refuses feeds without a simulator, statistics without a source, whitening of what is no vector.

    Raises:
      InputError: names the field and what it may be.
    """
    spec = handle.spec
    if config.feed != "demos" and handle.backend == "none":
        raise InputError(
            f"config.feed is '{config.feed}', but there is no simulator; set --config.feed=demos, or give one"
        )
    if config.feed == "rollout" and handle.device is None:
        raise InputError(
            f"config.feed is 'rollout', which plays on the device only, but config.env.backend is "
            f"'{handle.backend}'; set --config.env.backend to one of {', '.join(DEVICE_BACKENDS)}"
        )
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


def data_digest(problem: Problem) -> str | None:
    """What identifies the content of the demonstrations or of the reward file; None for plain RL."""
    if problem.config.reward_path:
        from iqlearn_jax.rewards.file import content_digest

        return content_digest(problem.config.reward_path)
    digests = [demos.digest for demos in (problem.demos, problem.others) if demos is not None]
    return "+".join(digests) or None


def updates_done(problem: Problem, run: RunState) -> int:
    """Updates of all runs so far; they go in step."""
    return int(problem.placement.get(run.updates)[0])


def find_spec(config) -> EnvSpec:
    """Static facts of the configured environment, without anything else of a problem."""
    return open_env(concrete(config).env).spec
