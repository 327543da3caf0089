"""A recovered reward as a pure function of arrays, apart from the run that it comes from."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.envs.api import clip_action
from iqlearn_jax.envs.facts import require_fit
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods.function_file import learned_by, live_inputs
from iqlearn_jax.types import EnvSpec, Hparams, Transition

DRAWS = 16  # of an action in s', over which a deterministic reward averages where V(s') is sampled
Array = Any  # jax.Array, or what becomes one


@dataclasses.dataclass(frozen=True, eq=False)
class RecoveredReward:
    """r(s, a, s') of one trained run, in the units of its method; call it, jit it, vmap it, differentiate it.

    Attributes:
      spec: the environment that it was learned in; only sizes and bounds of actions matter to it.
      metadata: what docs/formats.md says of a reward file: config, run, provenance, digest.
      rule: `Method.reward` of the method that the config makes.
      end: its `Method.end_reward`.
      hparams, state: of the one run; what the reward does not read is zero.
      sampled: whether it holds a sampled V(s'): for Q − γV(s') of continuous actions only.
      draws: actions in s' over which the deterministic form averages.
    """

    spec: EnvSpec
    metadata: dict[str, Any]
    rule: Callable
    end: Callable | None
    hparams: Hparams
    state: Any
    sampled: bool
    draws: int = DRAWS

    def __repr__(self) -> str:
        return f"RecoveredReward({learned_by(self.spec, self.metadata)})"

    @property
    def gamma(self) -> jax.Array:
        """γ [] that the reward was learned with; train with the same."""
        return self.hparams["gamma"]

    def __call__(
        self, obs: Array, action: Array, next_obs: Array, terminated: Array, key: jax.Array | None = None
    ) -> jax.Array:
        """Rewards of transitions; observations are standardised and actions clipped as in training.

        With a key, V(s') is estimated by one action drawn in each row: unbiased, so that a mean over many
        steps is right. Without one the function is deterministic: all rows share `draws` fixed draws, and
        what they miss of V(s') stays as an error that depends on s' and falls as 1/√draws. The key plays no
        part unless `sampled`.

        Args:
          obs, next_obs: [..., *obs_shape] with the same leading axes, or none; `next_obs` is the true
            successor, not the start of the next episode.
          action: [...] integers or [..., action_dim] in the environment's units.
          terminated: [...] true ends of the task; not cuts by time.
          key: typed key, or None.
        Returns:
          [...] float32.
        Raises:
          InputError: arrays of other shapes than the environment's.
        """
        rows, lead = self._rows(obs, action, next_obs, terminated)
        return self._evaluate(rows, key).reshape(lead)

    def after_end(self, terminated: Array) -> jax.Array:
        """What follows an end, as seen from the step before it: γ/(1−γ)·r_end where terminated, else 0. [...]

        r_end is the reward of each step in the absorbing state, for ever. 0 where the method knows none.
        """
        ends = jnp.asarray(terminated).astype(jnp.float32)
        if self.end is None:
            return jnp.zeros_like(ends)
        return ends * self.gamma / (1.0 - self.gamma) * self.end(self.hparams, self.state)

    def with_ends(
        self, obs: Array, action: Array, next_obs: Array, terminated: Array, key: jax.Array | None = None
    ) -> jax.Array:
        """The reward plus `after_end`, for learners to whom a terminal state is worth 0. [...]"""
        return self(obs, action, next_obs, terminated, key) + self.after_end(terminated)

    def of_relative(self) -> "RecoveredReward":
        """The same reward of observations that are `spec.relative` already."""
        return dataclasses.replace(self, spec=self.spec._replace(obs_origin=None))

    def require_fit(self, env: EnvSpec) -> None:
        """Refuses an environment with other observations or actions.

        Raises:
          InputError: names what differs.
        """
        require_fit(self.spec, env, "reward")

    def save(self, path: Any) -> None:
        """Writes the reward to a file that `load_reward` reads.

        Raises:
          InputError: a number is not finite, or the file cannot be written.
        """
        from iqlearn_jax.rewards.file import write_reward

        write_reward(path, self)

    def _evaluate(self, rows: Transition, key: jax.Array | None) -> jax.Array:
        if key is not None or not self.sampled:
            key = jax.random.key(0) if key is None else key
            return self.rule(self.hparams, self.state, rows, key)

        def one(row: Transition, fixed: jax.Array) -> jax.Array:
            alone = jax.tree.map(lambda x: x[None], row)
            return self.rule(self.hparams, self.state, alone, fixed)[0]

        keys = jax.random.split(jax.random.key(0), self.draws)
        return jnp.mean(jax.vmap(jax.vmap(one, (0, None)), (None, 0))(rows, keys), axis=0)

    def _rows(
        self, obs: Array, action: Array, next_obs: Array, terminated: Array
    ) -> tuple[Transition, tuple[int, ...]]:
        """One batch [B] of transitions, and the leading axes that they had."""
        terminated = jnp.asarray(terminated).astype(bool)
        lead, spec = terminated.shape, self.spec
        action_shape = () if spec.discrete else np.shape(spec.action_low)
        shapes = {"obs": spec.obs_shape, "next_obs": spec.obs_shape, "action": action_shape}
        arrays = {"obs": obs, "next_obs": next_obs, "action": action}
        flat = {}
        for name, shape in shapes.items():
            given = arrays[name]
            if name != "action" and spec.obs_origin is not None:
                given = spec.relative(given if isinstance(given, jax.Array) else np.asarray(given))
            x = jnp.asarray(given)
            if x.shape != lead + shape:
                raise InputError(
                    f"{name}: found shape {x.shape}; with `terminated` of shape {lead} the reward of "
                    f"'{spec.id}' expects {lead + shape}"
                )
            flat[name] = x.reshape(-1, *shape)
        flat["action"] = clip_action(spec, flat["action"])
        ends = terminated.reshape(-1)
        blank = jnp.zeros(ends.shape, jnp.float32)
        return Transition(**flat, reward=blank, terminated=ends, truncated=jnp.zeros_like(ends)), lead


def what_is_read(
    rule: Callable, end: Callable | None, spec: EnvSpec, hparams: Hparams, state: Any
) -> tuple[Any, bool]:
    """Booleans in the structure of {"hparams", "state"}: what the reward reads, and whether it reads its key.

    Args:
      rule, end: `Method.reward` and `Method.end_reward`.
      hparams, state: of one run; shapes are enough.
    """

    def outputs(learned: dict[str, Any], key: jax.Array):
        hparams, state = learned["hparams"], learned["state"]
        end_reward = 0.0 if end is None else end(hparams, state)
        return rule(hparams, state, blank_rows(spec), key), end_reward, hparams["gamma"]

    return live_inputs(outputs, {"hparams": hparams, "state": state}, jax.random.key(0))


def blank_rows(spec: EnvSpec) -> Transition:
    """One transition of zeros, B = 1."""
    obs, no = jnp.zeros((1, *spec.obs_shape), spec.obs_dtype), jnp.zeros(1, bool)
    action = jnp.zeros(1, jnp.int32) if spec.discrete else jnp.zeros((1, len(spec.action_low)))
    return Transition(obs=obs, action=action, reward=jnp.zeros(1), next_obs=obs, terminated=no, truncated=no)
