"""What a policy's network is made of, in words that `numpy_policy` understands; docs/formats.md lists them.

No method says it. It is read off the paths of the arrays that acting reads, since `nets.networks` names its
layers; the description is kept only if NumPy then does what the method does.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from iqlearn_jax.data.sampling import NORMALIZATION
from iqlearn_jax.envs.facts import spec_to_json
from iqlearn_jax.methods.function_file import Arrays
from iqlearn_jax.trained.numpy_policy import NumpyPolicy
from iqlearn_jax.types import EnvSpec, conv_layers

MEAN, STD, WHITEN = (f"hparams/{name}" for name in NORMALIZATION)
EPSILON = 1e-6  # flax's, of a layer normalisation
TRIED = 64  # observations on which NumPy and the method are compared; of images an eighth
RELU: dict[str, Any] = {"kind": "relu", "arrays": {}}
TOLERANCE = 1e-4  # of that comparison: far above rounding, far below another network


def describe(spec: EnvSpec, arrays: Arrays, names: set[str], act: Callable) -> dict[str, Any] | None:
    """The network that plays deterministically, as JSON; None where it is none that NumPy can play.

    Args:
      arrays: of the policy's file.
      names: of those that acting deterministically reads.
      act: observations [B, ...] -> actions [B, ...], deterministic.
    Returns:
      {"input": ..., "layers": [{"kind", "arrays": {part: name}}], "members": 0 or the size of an ensemble}.
    """
    body = names - {MEAN, STD, WHITEN}
    network = table(spec, arrays, body) if spec.obs_shape == () else layered(spec, arrays, names, body)
    return network if network is not None and agrees(spec, arrays, network, act) else None


def table(spec: EnvSpec, arrays: Arrays, names: set[str]) -> dict[str, Any] | None:
    """A table [S, A] or an ensemble of them [E, S, A]."""
    if len(names) != 1:
        return None
    [name] = names
    shape = (len(spec.mdp.initial), spec.num_actions)
    if arrays[name].shape[-2:] != shape or arrays[name].ndim > 3:
        return None
    layers = [{"kind": "table", "arrays": {"values": name}}]
    return {
        "input": {"kind": "state", "states": shape[0]},
        "layers": layers,
        "members": members(arrays[name], 2),
    }


def layered(spec: EnvSpec, arrays: Arrays, names: set[str], body: set[str]) -> dict[str, Any] | None:
    """A `QNetwork`, `Actor` or `QuadraticCritic`: an encoder of images, hidden layers, an output layer."""
    roots = {name.rpartition("/params/")[0] for name in body}
    unscaled = len(spec.obs_shape) == 1 and not {MEAN, STD} <= names
    if len(roots) != 1 or unscaled:
        return None
    root = f"{roots.pop()}/params"
    layers = [*encoder_layers(spec, root), *hidden_layers(body, root), dense(f"{root}/Dense_0")]
    described = {name for layer in layers for name in layer["arrays"].values()}
    if described != body:
        return None
    size = members(arrays[f"{root}/Dense_0/kernel"], 2)
    return {"input": network_input(spec, names), "layers": layers, "members": size}


def network_input(spec: EnvSpec, names: set[str]) -> dict[str, Any]:
    """What becomes of an observation before the first layer (`agents.common.make_preprocess`)."""
    if len(spec.obs_shape) == 3:
        return {"kind": "image", "divide_by": 255.0 if spec.obs_dtype == np.uint8 else 1.0}
    return {"kind": "vector", "mean": MEAN, "std": STD, "whiten": WHITEN if WHITEN in names else None}


def encoder_layers(spec: EnvSpec, root: str) -> list[dict[str, Any]]:
    """Convolutions of an image; nothing of a vector."""
    if len(spec.obs_shape) != 3:
        return []
    layers: list[dict[str, Any]] = []
    for number, (_, _, stride) in enumerate(conv_layers(spec.obs_shape[-2])):
        layers += [part(f"{root}/encoder/Conv_{number}", "conv", "kernel", "bias") | {"stride": stride}, RELU]
    return [*layers, {"kind": "flatten", "arrays": {}}]


def hidden_layers(names: set[str], root: str) -> list[dict[str, Any]]:
    """The layers of an `MLP`."""
    layers: list[dict[str, Any]] = []
    count = sum(name.startswith(f"{root}/MLP_0/Dense_") and name.endswith("/kernel") for name in names)
    for number in range(count):
        layers.append(dense(f"{root}/MLP_0/Dense_{number}"))
        norm = part(f"{root}/MLP_0/LayerNorm_{number}", "layer_norm", "scale", "bias")
        if norm["arrays"]["scale"] in names:
            layers.append(norm | {"epsilon": EPSILON})
        layers.append(RELU)
    return layers


def dense(path: str) -> dict[str, Any]:
    """A linear layer."""
    return part(path, "dense", "kernel", "bias")


def part(path: str, kind: str, *names: str) -> dict[str, Any]:
    """One layer with arrays at a path."""
    return {"kind": kind, "arrays": {name: f"{path}/{name}" for name in names}}


def members(array: np.ndarray, rank: int) -> int:
    """Size of the ensemble that an array of one member's rank is for; 0: it is for none."""
    return array.shape[0] if array.ndim > rank else 0


def agrees(spec: EnvSpec, arrays: Arrays, network: dict[str, Any], act: Callable) -> bool:
    """Whether NumPy acts as the method does; ties between discrete actions are left to either."""
    policy = NumpyPolicy(arrays, {"network": network, "spec": spec_to_json(spec)[0]})
    obs = observations(spec, arrays)
    actions, out = np.asarray(act(obs)), policy.outputs(obs)
    if not spec.discrete:
        width = np.asarray(spec.action_high) - np.asarray(spec.action_low)
        return out.shape[-1] >= len(width) and bool(
            np.all(np.abs(policy(obs).reshape(actions.shape) - actions) <= TOLERANCE * width)
        )
    best, taken = out.max(axis=-1), np.take_along_axis(out, actions[:, None], axis=-1)[:, 0]
    return out.shape[-1] == spec.num_actions and bool(np.all(best - taken <= TOLERANCE * (1 + np.abs(best))))


def observations(spec: EnvSpec, arrays: Arrays) -> np.ndarray:
    """Made-up observations of the policy's own scale: all states of a table, else random ones."""
    rng = np.random.default_rng(0)
    if spec.obs_shape == ():
        return np.arange(len(spec.mdp.initial), dtype=np.int32)
    if len(spec.obs_shape) == 3:
        high = 256 if np.dtype(spec.obs_dtype).kind in "iu" else 1.0
        return rng.uniform(0, high, (TRIED // 8, *spec.obs_shape)).astype(spec.obs_dtype)
    drawn = rng.normal(size=(TRIED, *spec.obs_shape))
    return spec.absolute((arrays[MEAN] + arrays[STD] * drawn).astype(spec.obs_dtype))
