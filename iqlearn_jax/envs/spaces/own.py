"""An environment's own observations and actions where an EnvSpec has others: vectors and one number.

Parts of a space are plain JSON, so that policies carry them along (docs/formats.md):
`{"shape": [...]}` are numbers, `{"shape", "sizes", "starts"}` integers (entry i is one of `sizes[i]` from
`starts[i]`), `{"parts": [[key, part], ...]}` a dictionary or tuple in the order of its space. Flattened, they
follow one another, numbers row by row, each integer as one of `sizes[i]` indicators (one-hot).
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.errors import InputError

Part = dict[str, Any]
OBSERVATIONS = ("observations", "next_observations")


class OwnSpaces(NamedTuple):
    """What an environment shows and takes itself, where that is not what its EnvSpec says.

    Attributes:
      observation: a part, None where observations are those of the EnvSpec.
      action: a part without parts; None likewise. Integers are one of all their combinations there, counted
        with the last entry fastest.
    """

    observation: Part | None
    action: Part | None

    def flat_obs(self, obs: Any) -> Any:
        """Own observations with any leading axes, or such as are flat already, as [..., D] float32.

        Raises:
          InputError: other shapes, or an integer outside its range (JAX arrays are not searched for those).
        """
        part = self.observation
        if part is None or ("parts" not in part and not _is_own(part, obs)):
            return obs
        if "parts" in part and not isinstance(obs, Mapping | tuple | list):
            return obs
        return _flat(part, obs, "")

    def own_actions(self, actions: Any) -> Any:
        """Actions of the EnvSpec [...] or [..., action_dim] as the environment takes them."""
        part = self.action
        if part is None:
            return actions
        lead = actions.shape if "sizes" in part else actions.shape[:-1]
        if "sizes" in part:
            actions = _digits(part, actions)
        return actions.reshape((*lead, *part["shape"]))

    def flat_actions(self, actions: Any) -> Any:
        """Own actions [..., *shape] as those of the EnvSpec: their numbers [...] int32, or [..., action_dim].

        Raises:
          InputError: as `flat_obs`.
        """
        part = self.action
        if part is None:
            return actions
        xp, actions = _library(actions), _array(actions)
        lead = _lead(actions, part, "actions")
        actions = actions.reshape((*lead, math.prod(part["shape"])))
        if "sizes" not in part:
            return actions
        digits = _in_range(part, actions, "actions")
        weights = np.cumprod([1, *part["sizes"][:0:-1]])[::-1]
        return xp.asarray((digits * weights.astype(np.int32)).sum(axis=-1), np.int32)

    def flat_fields(self, arrays: Mapping[str, Any], source: Any) -> dict[str, Any]:
        """Fields of demonstrations with flat observations and the EnvSpec's actions; absent ones stay so.

        Actions are the environment's own, observations those or flat already.

        Raises:
          InputError: file, field, what was found and expected.
        """
        fields = dict(arrays)
        for name in (*OBSERVATIONS, "actions"):
            if fields.get(name) is None:
                continue
            try:
                flat = self.flat_actions if name == "actions" else self.flat_obs
                fields[name] = flat(fields[name])
            except InputError as error:
                raise InputError(f"{source}: {name}: {error}") from error
        return fields

    def own_fields(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The inverse of `flat_fields`: what a file of demonstrations holds. Flat observations stay flat."""
        if arrays.get("actions") is None:
            return dict(arrays)
        return {**arrays, "actions": self.own_actions(arrays["actions"])}

    @property
    def order(self) -> str:
        """What a flat observation consists of, in words: `goal (one-hot of 2), place [1]`."""
        return "" if self.observation is None else ", ".join(_words(self.observation, ""))


def size(part: Part) -> int:
    """Entries of a flat observation."""
    if "parts" in part:
        return sum(size(inner) for _, inner in part["parts"])
    return sum(part["sizes"]) if "sizes" in part else math.prod(part["shape"])


def _flat(part: Part, x: Any, name: str) -> Any:
    if "parts" in part:
        pieces = [_flat(inner, _item(x, key, name), f"{name}[{key!r}]") for key, inner in part["parts"]]
        return _library(*pieces).concatenate(pieces, axis=-1)
    xp, x = _library(x), _array(x)
    x = x.reshape((*_lead(x, part, name), math.prod(part["shape"])))
    if "sizes" not in part:  # float64 stays: an origin may have to be subtracted before it is cast
        return x if x.dtype == np.float64 else x.astype(np.float32)
    digits = _in_range(part, x, name)
    hot = [digits[..., i, None] == np.arange(n) for i, n in enumerate(part["sizes"])]
    return xp.concatenate(hot, axis=-1).astype(np.float32)


def _item(x: Any, key: Any, name: str) -> Any:
    try:
        return x[key]
    except (KeyError, IndexError, TypeError) as error:
        found = f"keys {sorted(map(str, x))}" if isinstance(x, Mapping) else f"a {type(x).__name__}"
        raise InputError(f"observation{name}: found {found}; expected one with {key!r}") from error


def _lead(x: Any, part: Part, name: str) -> tuple[int, ...]:
    """Leading axes of an own array; a single entry needs no axis of its own."""
    shape = tuple(part["shape"])
    lead = x.shape[: x.ndim - len(shape)]
    if lead + shape == x.shape:
        return lead
    if math.prod(shape) == 1 and "sizes" in part:
        return x.shape
    raise InputError(f"{name or 'observation'}: found shape {x.shape}; expected [..., {str(shape)[1:-1]}]")


def _in_range(part: Part, x: Any, name: str) -> Any:
    """Integers [..., k] counted from 0."""
    digits = x - np.asarray(part["starts"])
    if isinstance(x, jax.Array):
        return digits.astype(np.int32)
    if x.dtype.kind not in "iub" or ((digits < 0) | (digits >= part["sizes"])).any():
        ends = [(start, start + n - 1) for start, n in zip(part["starts"], part["sizes"], strict=True)]
        expected = ", ".join(f"{low}..{high}" for low, high in dict.fromkeys(ends))
        found = f"{x.dtype} {x.min()}..{x.max()}"
        raise InputError(f"{name or 'observation'}: found {found}; expected integers {expected}")
    return digits.astype(np.int32)


def _digits(part: Part, index: Any) -> Any:
    """The integers [..., k] int32 of one number [...]."""
    digits = []
    for n in reversed(part["sizes"]):
        digits.append(index % n)
        index = index // n
    xp = _library(index)
    return xp.stack(digits[::-1], axis=-1).astype(np.int32) + np.asarray(part["starts"], np.int32)


def _is_own(part: Part, obs: Any) -> bool:
    """Whether an array is the part itself and not flat: by its kind, or else by its shape."""
    obs = _array(obs)
    if "sizes" in part:
        return obs.dtype.kind in "iub"
    shape = tuple(part["shape"])
    if not shape:
        return obs.shape[-1:] != (1,)
    return obs.ndim >= len(shape) and obs.shape[obs.ndim - len(shape) :] == shape


def _words(part: Part, name: str) -> list[str]:
    if "parts" in part:
        pairs = ((f"{name}.{key}".lstrip("."), inner) for key, inner in part["parts"])
        return [word for key, inner in pairs for word in _words(inner, key)]
    if "sizes" in part:
        return [f"{name} (one-hot of {' + '.join(map(str, part['sizes']))})".strip()]
    return [f"{name} {part['shape']}".strip()]


def _array(x: Any) -> Any:
    return x if isinstance(x, jax.Array) else np.asarray(x)


def _library(*x: Any) -> Any:
    return jnp if any(isinstance(each, jax.Array) for each in x) else np
