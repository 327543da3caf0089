"""An environment that has been opened: what is known of it, and how it is played on device or host."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from iqlearn_jax.envs.api import Environment
from iqlearn_jax.envs.failing import asked
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec


@dataclass(frozen=True, eq=False)
class EnvHandle:
    """One environment; compared and hashed by identity, so that caches can hold what was compiled for it.

    Attributes:
      spec: static facts.
      backend: "gymnax", "gridworld", a pipeline of brax ("spring", ...), "gymnasium", "registered", or "none"
        where there is no simulator.
      device: pure functions for compiled loops; None elsewhere.
      make: () -> a new gymnasium environment, whose time limit the caller counts; None elsewhere.
    """

    spec: EnvSpec
    backend: str
    device: Environment | None = None
    make: Callable[[], Any] | None = None
    _idle: list[Any] = field(default_factory=list, repr=False)

    def new(self, count: int) -> list[Any]:
        """`count` new gymnasium environments.

        Raises:
          InputError: it has no host simulator, or `make` gives the same environment again.
          SimulatorError: `make` raised, or did not come back.
        """
        if self.make is None:
            raise InputError(
                f"environment '{self.spec.id}' (backend '{self.backend}') has no simulator on the host; open "
                "it with env.backend=gymnasium, or register one with iqlearn_jax.register_env"
            )
        envs = [_made(self.spec.id, self.make) for _ in range(count)]
        self._require_distinct(envs)
        return envs

    @contextmanager
    def borrowed(self, count: int) -> Iterator[list[Any]]:
        """Lends `count` gymnasium environments, and keeps them for the next time: one takes 0.1 s to make.

        They come in any state, so reset them with a seed. After an exception they are not used again.

        Raises:
          InputError: as `new`.
        """
        kept = [self._idle.pop() for _ in range(min(count, len(self._idle)))]
        envs = kept + self.new(count - len(kept))
        self._require_distinct(envs)
        yield envs
        self._idle.extend(envs)

    def _require_distinct(self, envs: list[Any]) -> None:
        if len({id(env.unwrapped) for env in envs}) < len(envs):
            raise InputError(
                f"environment '{self.spec.id}': its factory returned the same environment twice; make a new "
                "one at each call, e.g. register_env(name, lambda: Walk())"
            )


def _made(name: str, make: Callable[[], Any]) -> Any:
    with asked(name, "when it was made"):
        return make()
