"""The front door: training from Python, and what one holds afterwards."""

import copy
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from iqlearn_jax.config.values import as_plain
from iqlearn_jax.data.demos import Demos
from iqlearn_jax.errors import InputError, SimulatorError
from iqlearn_jax.loops.loop import RunState
from iqlearn_jax.runs.files import read_json
from iqlearn_jax.runs.folder import RunFolder
from iqlearn_jax.runs.history import History, read_history
from iqlearn_jax.trained.settings import configured, dotted, in_python
from iqlearn_jax.training.problem import Problem, make_problem
from iqlearn_jax.training.session import Clock, Session, Stopped, begin
from iqlearn_jax.training.train import claimed, run_session
from iqlearn_jax.types import EnvSpec

if TYPE_CHECKING:
    from iqlearn_jax.rewards import RecoveredReward
    from iqlearn_jax.trained.policy import Policy


class Run:
    """Trained runs, one for each seed (and each point of a grid).

    Attributes:
      config: what they were trained with.
      seeds: [R].
    """

    def __init__(self, problem: Problem, state: RunState, clock: Clock, history: History):
        """Made by `train` and `load`."""
        self._problem, self._state, self._clock, self._history = problem, state, clock, history

    def __repr__(self) -> str:
        task = f"{self.config.method} on {self.config.env.id}"
        return f"Run({task}, {len(self.seeds)} runs, {self._state.updates[0]} updates)"

    @property
    def config(self) -> Any:
        """The configuration, an `ml_collections.ConfigDict`."""
        return self._problem.config

    @property
    def seeds(self) -> np.ndarray:
        """[R] seeds, in the order of everything else that has an axis of runs."""
        return self._problem.seeds

    @property
    def history(self) -> dict[str, np.ndarray]:
        """Metrics as columns: "update", "env_steps", "wall_seconds" [T]; others [T, R], NaN if unknown."""
        return self._history.columns()

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The content of `summary.json` (docs/formats.md): returns, scores, correlations."""
        from iqlearn_jax.training.summary import finish

        return finish(self._session(self._problem), self._state, self._clock)

    @property
    def returns(self) -> np.ndarray | None:
        """[R] mean true returns of the final policies, NaN where one is not finite; None if not played."""
        returns = self.summary["returns"]
        return None if returns is None else np.asarray(returns, float)

    @in_python
    def policy(self, seed: int = 0) -> "Policy":
        """The final policy of run number `seed`, counted from 0: observation(s) -> action(s); see `Policy`.

        Raises:
          InputError: there is no such run.
        """
        from iqlearn_jax.trained.policy import make_policy

        return make_policy(*self._one(seed))

    @in_python
    def reward(self, seed: int = 0) -> "RecoveredReward":
        """The recovered reward of run number `seed`: (obs, action, next_obs, terminated) -> r; see
        `RecoveredReward`.

        Raises:
          InputError: there is no such run, or the method recovers no reward.
        """
        from iqlearn_jax.rewards import make_reward

        return make_reward(*self._one(seed))

    @in_python
    def save(self, folder: str | PathLike) -> None:
        """Writes the folder that `iqlearn train` would have written; demonstrations in memory go with it.

        Raises:
          InputError: the folder holds a run already.
        """
        from iqlearn_jax.training.summary import finish

        problem = self._problem._replace(config=copy.deepcopy(self.config))  # which gets the folder's paths
        with claimed(problem, Path(folder)) as run_folder, closing(run_folder):
            run_folder.rewind(0)
            for chunk in self._history.chunks():
                run_folder.write(*chunk[:3], self.seeds, chunk[3])
            run_folder.save(int(self._state.updates[0]), self._state)
            session = self._session(problem, run_folder)
            session.doctor.conclude()
            finish(session, self._state, self._clock)

    def _session(self, problem: Problem, folder: RunFolder | None = None) -> Session:
        session = Session(problem, folder, progress=False)
        session.history = self._history
        return session

    def _one(self, seed: int) -> tuple:
        """(method, spec, hparams, state, config, about) of one run."""
        if not 0 <= seed < len(self.seeds):
            raise InputError(f"seed is {seed}; expected the number of a run, 0 to {len(self.seeds) - 1}")
        problem = self._problem
        hparams, state = problem.placement.one((problem.hparams, self._state.state), seed)
        about = {
            "run": {"index": seed, "seed": int(self.seeds[seed]), "updates": int(self._state.updates[0])}
        }
        return problem.method, problem.spec, hparams, state, as_plain(problem.config), about


@in_python
def train(
    env: Any,
    demos: Demos | str | PathLike | None = None,
    method: str | None = None,
    *,
    config: Any = None,
    spaces: tuple[Any, Any] | EnvSpec | None = None,
    networks: Any = None,
    optimizer: Any = None,
    workdir: str | PathLike | None = None,
    callback: Callable[[int, Mapping[str, np.ndarray]], None] | None = None,
    progress: bool = True,
    **settings: Any,
) -> Run:
    """Learns from demonstrations; all seeds at once, in one compiled program.

    Args:
      env: name of an environment, a gymnasium environment or a function that makes one, a JAX environment
        (`Environment`, or gymnax's), or None: offline learning needs no simulator, only `spaces`; scores are
        then not known.
      demos: demonstrations, a file, or "bundled:NAME"; None for forward RL (methods "rl", "ppo" and "pqn").
      method: `iqlearn list methods`; by default that of the configuration, "iq".
      config: what the settings change: a configuration or the name of one that comes with the library, e.g.
        "cartpole:online"; None takes the defaults of `iqlearn list keys`.
      spaces: (observation space, action space) of gymnasium, or an `EnvSpec`, where `env` is None.
      networks, optimizer: as `make_method`.
      workdir: folder to write as `iqlearn train` does, None for none.
      callback: called with the number of updates and the metrics [R] after each chunk of `log_every` updates.
      progress: shows a bar.
      settings: configuration keys (`seeds`, `updates`, `temperature`, ...), dots as two underscores:
        `online__num_envs=4`. A key that the method does not read is refused.
    Returns:
      the runs. Training in memory that is interrupted, or whose environment fails, returns what was learned
      until then, with a warning.
    Raises:
      InputError: whatever cannot be used, in one line that names the field and the remedy.
    """
    config, handle = configured(config, env, spaces, demos, method, settings)
    memory = demos if isinstance(demos, Demos) else None
    named = dotted(settings)
    problem = make_problem(config, None, handle, memory, networks, optimizer, named)
    if workdir is None:
        return _finished(Session(problem, None, callback, progress))

    with claimed(problem, Path(workdir)) as folder:
        return _finished(Session(problem, folder, callback, progress))


def _finished(session: Session) -> Run:
    """The trained runs. Without a folder, what an interrupted training has learned is all that there is."""
    try:
        state, clock = run_session(session, begin)
    except (Stopped, SimulatorError) as error:
        if session.folder is not None or session.latest is None:
            raise
        state, clock = session.latest
        why = f": {error}" if isinstance(error, SimulatorError) else ""
        number, last = state.updates[0], session.problem.config.updates
        logging.warning("stopped after %d updates of %d%s", number, last, why)
    run = Run(session.problem, state, clock, session.history)
    if session.folder is not None:
        from iqlearn_jax.training.summary import finish

        run.summary = finish(session, state, clock)
    return run


@in_python
def load(folder: str | PathLike, at: str = "final") -> Run:
    """The runs of a folder that `train` or `iqlearn train` wrote.

    Args:
      at: "final", "likeness" (of each run the first snapshot like the demonstrations) or some updates.
    Raises:
      InputError: no trained run in the folder, or what it needs has changed or gone.
    """
    from iqlearn_jax.trained.load import load_states

    workdir = Path(folder)
    problem, state = load_states(workdir, at)
    history = read_history(workdir / "metrics.jsonl", len(problem.seeds))
    clock = Clock(wall=history.clocks["wall_seconds"][-1] if len(history) else 0.0)
    run = Run(problem, state, clock, history)
    if at == "final" and (workdir / "summary.json").exists():
        run.summary = read_json(workdir / "summary.json")
    return run
