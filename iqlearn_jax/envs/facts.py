"""What is known of an environment, as JSON and arrays; whether two have the same observations and actions."""

from typing import Any

import numpy as np

from iqlearn_jax.envs.spaces import OwnSpaces
from iqlearn_jax.errors import InputError
from iqlearn_jax.ops.tabular.mdp import MDP
from iqlearn_jax.types import EnvSpec

MDP_ARRAYS = ("transition", "initial")
SPACES = ("obs_shape", "num_actions", "action_low", "action_high")


def spec_to_json(spec: EnvSpec) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Facts of an environment as JSON, and the tables of its exact model, where there is one."""
    facts = spec._asdict() | {"obs_dtype": np.dtype(spec.obs_dtype).name, "obs_shape": list(spec.obs_shape)}
    for name in ("action_low", "action_high"):
        facts[name] = None if spec.discrete else np.asarray(facts[name]).tolist()
    mdp, origin, spaces = facts.pop("mdp"), facts.pop("obs_origin"), facts.pop("spaces")
    if origin is not None:
        facts["obs_origin"] = np.asarray(origin).tolist()
    if spaces is not None:
        facts["spaces"] = spaces._asdict()
    if mdp is None:
        return facts, {}
    tables = {f"spec/{name}": np.asarray(getattr(mdp, name)) for name in MDP_ARRAYS}
    return facts | {"gamma": float(mdp.gamma)}, tables


def spec_from_json(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> EnvSpec:
    """The inverse of `spec_to_json`; `arrays` may hold others.

    Raises:
      KeyError: something is missing.
    """
    facts = dict(facts)
    gamma, spaces = facts.pop("gamma", None), facts.pop("spaces", None)
    for name in ("action_low", "action_high"):
        facts[name] = None if facts[name] is None else np.asarray(facts[name], np.float32)
    if "obs_origin" in facts:
        facts["obs_origin"] = np.asarray(facts["obs_origin"], np.float64)
    facts["obs_shape"], facts["obs_dtype"] = tuple(facts["obs_shape"]), np.dtype(facts["obs_dtype"])
    facts["spaces"] = None if spaces is None else OwnSpaces(**spaces)
    if gamma is None:
        return EnvSpec(**facts)
    return EnvSpec(**facts, mdp=MDP(**{name: arrays[f"spec/{name}"] for name in MDP_ARRAYS}, gamma=gamma))


def require_fit(learned_in: EnvSpec, env: EnvSpec, what: str) -> None:
    """Refuses an environment with other observations or actions than the one that `what` was learned in.

    Raises:
      InputError: names what differs.
    """
    for name, (before, now) in spaces_of(learned_in, env).items():
        if not same(before, now):
            raise InputError(
                f"{name} of environment '{env.id}' is {now}, but the {what} was learned in '{learned_in.id}' "
                f"with {before}; use an environment with the same observations and actions"
            )


def spaces_of(learned_in: EnvSpec, env: EnvSpec) -> dict[str, tuple[Any, Any]]:
    """What must agree, of both; the scale of images goes by their dtype, tables by their states."""
    both = (learned_in, env)
    facts = {name: tuple(getattr(spec, name) for spec in both) for name in SPACES}
    if len(learned_in.obs_shape) == 3:
        facts["obs_dtype"] = tuple(str(np.dtype(spec.obs_dtype)) for spec in both)
    if learned_in.spaces is not None or env.spaces is not None:
        facts["spaces"] = tuple(None if spec.spaces is None else spec.spaces._asdict() for spec in both)
    if learned_in.obs_shape == ():
        facts["states"] = tuple(None if spec.mdp is None else len(spec.mdp.initial) for spec in both)
    return facts


def same(a: Any, b: Any) -> bool:
    """Whether two facts of an EnvSpec are equal; bounds up to their rounding to float32."""
    if a is None or b is None:
        return a is b
    if isinstance(a, dict):
        return a == b
    if np.asarray(a).dtype.kind == "f":
        return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-6, atol=0)
    return np.shape(a) == np.shape(b) and np.array_equal(a, b)
