"""What a device environment returns, compared with what it declares; traced only, not compiled or run."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.envs.api import Environment, Step
from iqlearn_jax.envs.failing import asked
from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec

KINDS = {jnp.bool_: "bool", jnp.integer: "int", jnp.floating: "float"}  # of numbers, by JAX's abstract dtypes


def check_traced(env: Environment) -> None:
    """Refuses functions whose results would be broadcast or cast in silence, or change within an episode.

    Raises:
      InputError: names the environment, what it returned and what was expected.
      SimulatorError: it raised.
    """
    spec, key = env.spec, jax.eval_shape(jax.random.key, 0)
    state, obs = _traced(spec, "reset", lambda key: _fresh(env, key), key)
    _check_obs(spec, "reset", obs)
    step = Step(*_traced(spec, "step", lambda *x: _following(env, *x), state, _action(spec), key))
    _check_obs(spec, "step", step.obs)
    _check_number(spec, "reward", step.reward, ("bool", "int", "float"), "jnp.float32")
    _check_number(spec, "terminated", step.terminated, ("bool",), "jnp.bool_")
    _check_same(spec, "state", state, step.state)
    _check_same(spec, "observation", obs, step.obs)


def _traced(spec: EnvSpec, what: str, ask: Callable, *args: Any) -> Any:
    with asked(spec.id, f"when its {what} was traced"):
        return jax.eval_shape(ask, *args)


def _fresh(env: Environment, key: jax.Array) -> tuple[Any, Any]:
    result = env.reset(key)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise _differs(env.spec, "reset", _size(result), "(state, observation)")
    return result[0], result[1]


def _following(env: Environment, state: Any, action: jax.Array, key: jax.Array) -> tuple:
    result = env.step(state, action, key)
    if not all(hasattr(result, name) for name in Step._fields):
        raise _differs(env.spec, "step", _size(result), f"a Step of {', '.join(Step._fields)}")
    for name, cast in (("reward", "jnp.float32"), ("terminated", "jnp.bool_")):
        value = getattr(result, name)
        if isinstance(value, bool | int | float) and not hasattr(value, "dtype"):
            found = f"as {name} {value!r}, a Python {type(value).__name__}"
            raise _differs(env.spec, "step", found, f"an array: {cast}({name})")
    return tuple(getattr(result, name) for name in Step._fields)


def _action(spec: EnvSpec) -> jax.ShapeDtypeStruct:
    if spec.discrete:
        return jax.ShapeDtypeStruct((), jnp.int32)
    return jax.ShapeDtypeStruct(np.shape(spec.action_low), jnp.float32)


def _check_obs(spec: EnvSpec, what: str, obs: Any) -> None:
    shape, dtype = tuple(spec.obs_shape), np.dtype(spec.obs_dtype)
    if not _is_array(obs) or obs.shape != shape or _kind(obs.dtype) != _kind(dtype):
        raise InputError(
            f"environment '{spec.id}': {what}() returned as observation {_text(obs)}; expected shape {shape} "
            f"and {dtype}; return what spec.obs_shape and spec.obs_dtype declare, or declare what it returns"
        )


def _check_number(spec: EnvSpec, name: str, value: Any, kinds: tuple[str, ...], cast: str) -> None:
    if not _is_array(value) or value.shape != () or _kind(value.dtype) not in kinds:
        found, expected = f"as {name} {_text(value)}", f"one {kinds[-1]} of shape (): {cast}({name})"
        raise _differs(spec, "step", found, expected)


def _check_same(spec: EnvSpec, name: str, before: Any, after: Any) -> None:
    """Refuses what `step` returns in another structure, shape or dtype than `reset` did."""
    found: Any = jax.tree.structure(after)
    expected: Any = jax.tree.structure(before)
    if found != expected:
        raise _differs(spec, "step", f"a {name} of structure {found}", f"that of reset(): {expected}")
    pairs = zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True)
    for (path, old), new in pairs:
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            leaf = f"as {name}{jax.tree_util.keystr(path)} {_text(new)}"
            raise _differs(spec, "step", leaf, f"as reset() returned it, {_text(old)}")


def _differs(spec: EnvSpec, what: str, found: str, expected: str) -> InputError:
    found, expected = (" ".join(text.split())[:200] for text in (found, expected))
    return InputError(f"environment '{spec.id}': {what}() returned {found}; return {expected}")


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.ShapeDtypeStruct)


def _kind(dtype: Any) -> str:
    return next((name for kind, name in KINDS.items() if jnp.issubdtype(dtype, kind)), str(dtype))


def _text(value: Any) -> str:
    return f"shape {value.shape} of {value.dtype}" if _is_array(value) else f"a {type(value).__name__}"


def _size(value: Any) -> str:
    return f"{len(value)} values" if isinstance(value, tuple | list) else f"a {type(value).__name__}"
