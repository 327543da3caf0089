"""The record that every method is, and the one in which the catalogue describes it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from iqlearn_jax.agents.common import policy_class
from iqlearn_jax.config.schema import FEEDS
from iqlearn_jax.types import EnvSpec, Hparams

DEMOS = frozenset({"demos.path", "demos.trajectories", "demos.subsample"})  # of all that learn from them
# Keys of the agents that methods with one plain network refuse.
PLAIN = frozenset({"critics", "target_network", "learn_temperature", "excess_entropy", "state_only"})
ON_POLICY = PLAIN | {"exploration"}  # and of those that learn from their own policy's likelihood


def _unmade(**changes: Any) -> Hparams:
    raise TypeError("this method has no hyperparameters of its own: make it by iqlearn_jax.make_method")


class Labels(NamedTuple):
    """Rewards that depend on what an episode did before: given as it is lived, and kept in the replay.

    Attributes:
      begin: (rows, demo_indices, state, num_envs) -> state that remembers num_envs running episodes.
      label: (rows, demo_indices, state, transition [E]) -> (state, reward [E]).
    """

    begin: Callable
    label: Callable


class Method(NamedTuple):
    """A method as pure functions; static choices went in when it was made.

    Made by `make_method`, it takes hyperparameters (`hparams`) of which some are missing: those have the
    configuration's values. Unknown ones are refused.

    Attributes:
      init: (key, hparams) -> State.
      update: (hparams, state, batch, key) -> (State, Metrics).
      act: (hparams, state, obs [B, ...], key, deterministic) -> actions [B, ...].
      reward: (hparams, state, transition [B], key) -> recovered reward [B]; None where the method has none.
      round_updates: updates in a round, where it asks for `RoundTransition`s from the replay; else 0.
      window: steps of the demonstrated windows [B, window] that it asks for instead of rows [B]; else 0.
      from_start: those windows begin where episodes begin, and run on into other episodes after their end.
      value: (hparams, state, obs [B, ...], key) -> V(s) [B]; None where no critic is watched by it.
      end_reward: (hparams, state) -> recovered reward [] of each step in the absorbing state after an end,
        where `reward` of a terminal row does not hold it; None where nothing follows an end.
      labels: what rewards the learner's transitions before they are stored; None: nothing does.
      defaults: hyperparameters of one run at the configuration's values, observations as they are.
      hparams: (**changes) -> Hparams of one run as float32 arrays: `defaults` but for `changes`. Observations
        are standardised by `obs_mean` and `obs_std` [D]. InputError for an unknown name, with near ones.
    """

    init: Callable
    update: Callable
    act: Callable
    reward: Callable | None
    round_updates: int = 0
    window: int = 0
    from_start: bool = False
    value: Callable | None = None
    end_reward: Callable | None = None
    labels: Labels | None = None
    defaults: Mapping[str, np.ndarray] = MappingProxyType({})
    hparams: Callable[..., Hparams] = _unmade


class MethodEntry(NamedTuple):
    """What the catalogue knows of a method.

    Attributes:
      make: (config, spec) or (config, spec, parts) -> Method.
      keys: names in `config.schema.KEYS` of all keys with `of_method` that it reads.
      meaning: one line, with authors and year.
      feeds: what it can learn from: some of "demos", "replay" and "rollout"; `config.feed` chooses one.
      refuses: keys that it does not read and that must have their defaults, lest they promise something.
      parts: what of `agents.common.Parts` it can be built of: some of "critic", "actor" and "optimizer";
        `make` takes a third argument where there are any.
    """

    make: Callable[..., Method]
    keys: frozenset[str]
    meaning: str
    feeds: frozenset[str] = frozenset(FEEDS)
    refuses: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()


def quadratic(config, spec: EnvSpec, entry: MethodEntry) -> bool:
    """Whether the method's policy is that of one quadratic critic (`agents.gaussian_q`)."""
    return not spec.discrete and "policy_class" in entry.keys and policy_class(config) == "gaussian_q"
