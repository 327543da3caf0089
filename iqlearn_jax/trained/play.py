"""What a policy earns in its environment, or in another one with the same observations and actions."""

import copy
from itertools import count
from typing import Any

import jax
import numpy as np

from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.host import evaluate_host
from iqlearn_jax.envs.relative import in_float64
from iqlearn_jax.loops.play import episode_returns
from iqlearn_jax.trained.policy import Policy
from iqlearn_jax.training.evaluation import EVALUATION_STREAM


def environment_of(config: Any, env_id: str | None = None, backend: str | None = None) -> Any:
    """The environment of a configuration or another one, for `envs.registry.open_env`.

    Args:
      env_id: of another environment; it has no keyword arguments, but the same wrappers.
      backend: another one; None stays where the configuration is, or looks for one where that has none.
    """
    env = copy.deepcopy(config.env)
    if env_id is not None:
        elsewhere = env.backend in ("none", "registered")
        env.update({"id": env_id, "kwargs": "{}", "backend": "auto" if elsewhere else env.backend})
    if backend is not None:
        env.backend = backend
    return env


def policy_returns(policy: Policy, handle: EnvHandle, episodes: int) -> np.ndarray:
    """True returns [episodes] of a policy, from the starts that evaluations of its run play.

    It acts deterministically, or draws where its configuration has `eval_sampled`.

    Raises:
      InputError: an environment with other observations or actions, or without a simulator.
    """
    policy.require_fit(handle.spec)
    if policy.spec.obs_origin is not None:
        handle = in_float64(handle)  # the policy subtracts its origin
    sampled, seed = policy.metadata["config"].get("eval_sampled", False), seed_of(policy)
    base = jax.random.key(seed + EVALUATION_STREAM)

    def act(obs, key):
        return policy.in_spec_terms(obs, key, deterministic=not sampled)

    if (env := handle.device) is not None:
        return np.asarray(jax.jit(lambda key: episode_returns(env, act, key, episodes))(base))
    steps = count()
    played = evaluate_host(
        handle, lambda obs: act(obs, jax.random.fold_in(base, next(steps))), [seed], episodes
    )
    return played.returns[0]


def seed_of(policy: Policy) -> int:
    """The seed of the run that a policy is of; 0 where its metadata do not say."""
    return policy.metadata.get("run", {}).get("seed", 0)
