"""What stays of a training whose environment fails."""

from collections.abc import Iterator
from contextlib import contextmanager

from iqlearn_jax.errors import SimulatorError
from iqlearn_jax.loops.loop import RunState
from iqlearn_jax.training.problem import updates_done
from iqlearn_jax.training.session import Clock, Session


def keep(session: Session, run: RunState, clock: Clock, error: SimulatorError) -> None:
    """Saves what was learned until a simulator failed, if there is a folder, and says so in the error.

    Args:
      run: the state, where the error carries none.
    """
    run = run if error.run is None else error.run
    session.latest, done = (run, clock), updates_done(session.problem, run)
    if session.folder is not None:
        session.folder.save(done, run)
        error.args = (f"{error}; what was learned in {done} updates is saved: go on with --resume",)


@contextmanager
def nothing_lost() -> Iterator[None]:
    """Adds to an environment's error, after training, that nothing is lost.

    Raises:
      SimulatorError: the same.
    """
    try:
        yield
    except SimulatorError as error:
        error.args = (
            f"{error}; training is done and saved: --resume evaluates again (or plays nothing, with "
            "--force --config.eval_episodes=0)",
        )
        raise
