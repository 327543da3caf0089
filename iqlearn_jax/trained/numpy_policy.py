"""A trained policy in NumPy alone, for robots and other machines without JAX.

This file needs NumPy and nothing else of this library: copy it beside the policy file or import it from here.

    import numpy_policy
    policy = numpy_policy.load("policy.npz")
    action = policy(obs)

The file is one that `iqlearn policy export` wrote. Its metadata say which arrays make up which layers;
nothing is unpickled, no code comes out of it. The policy plays deterministically: the most likely discrete
action, or the squashed mean of a continuous one. Policies of methods that act otherwise are refused.
"""

import hashlib
import json
import os

import numpy as np

FORMAT, SCHEMA_VERSION = "iqlearn_jax policy", 1


class NumpyPolicy:
    """The deterministic policy of a file as a function of observations.

    Attributes:
      metadata: of the file: config, spec, run, provenance, network, digest.
      obs_shape: of one observation; () for numbered states.
      discrete: whether actions are integers; else they are vectors inside the environment's bounds.
    """

    def __init__(self, arrays, metadata):
        """Takes what `read` gives."""
        self.metadata = metadata
        self.network = metadata["network"]
        self.obs_shape = tuple(metadata["spec"]["obs_shape"])
        self.discrete = metadata["spec"]["num_actions"] is not None
        self.own = metadata["spec"].get("spaces") or {"observation": None, "action": None}
        self.arrays = {name: np.asarray(x) for name, x in arrays.items()}

    def __call__(self, obs):
        """Actions of observations.

        Args:
          obs: [..., *obs_shape] as the environment gives them, with any leading axes, or none. Where its own
            are others (dictionaries, integers), those or flattened ones.
        Returns:
          [...] int32, or [..., action_dim] float32 in the environment's units; [..., k] int32 where it takes
          several integers.
        Raises:
          ValueError: another shape, or a state that there is not.
        """
        obs = np.asarray(self._flattened(obs))
        lead = obs.shape[: obs.ndim - len(self.obs_shape)]
        if lead + self.obs_shape != obs.shape:
            raise ValueError(
                f"obs: found shape {obs.shape}; expected {self.obs_shape} after any leading axes"
            )
        out = self.outputs(obs.reshape(-1, *self.obs_shape))
        action = np.argmax(out, axis=-1).astype(np.int32) if self.discrete else self._squash(out)
        return own_action(self.own["action"], action.reshape(lead + action.shape[1:]))

    def _flattened(self, obs):
        part = self.own["observation"]
        if part is None:
            return obs
        if "parts" in part:
            return flat(part, obs) if isinstance(obs, (dict, tuple, list)) else obs
        obs, shape = np.asarray(obs), tuple(part["shape"])
        if "sizes" in part:
            is_own = obs.dtype.kind in "iub"
        elif shape:
            is_own = obs.shape[-len(shape) :] == shape
        else:
            is_own = obs.shape[-1:] != (1,)
        return flat(part, obs) if is_own else obs

    def outputs(self, obs):
        """Values of actions [B, A], or means before tanh and what else there is; obs: [B, *obs_shape]."""
        x = self._prepare(obs)
        count = self.network["members"]
        if not count:
            return self._layers(x, None)
        return np.min([self._layers(x, member) for member in range(count)], axis=0)

    def _prepare(self, obs):
        how = self.network["input"]
        if how["kind"] == "state":
            return self._states(obs)
        origin = self.metadata["spec"].get("obs_origin")  # of vectors that float32 cannot hold as they are
        x = (obs if origin is None else obs - np.asarray(origin)).astype(np.float32)
        if how["kind"] == "image":
            return x / np.float32(how["divide_by"])
        x = (x - self.arrays[how["mean"]]) / self.arrays[how["std"]]
        return x @ self.arrays[how["whiten"]] if how["whiten"] else x

    def _states(self, obs):
        if obs.dtype.kind not in "iu" or (
            obs.size and not 0 <= obs.min() <= obs.max() < self.network["input"]["states"]
        ):
            raise ValueError(
                f"obs: expected states 0..{self.network['input']['states'] - 1}, integers; found {obs}"
            )
        return obs

    def _layers(self, x, member):
        for layer in self.network["layers"]:
            parts = {key: self.arrays[name] for key, name in layer["arrays"].items()}
            if member is not None:
                parts = {key: array[member] for key, array in parts.items()}
            x = LAYERS[layer["kind"]](x, layer, **parts)
        return x

    def _squash(self, mean):
        low, high = (
            np.asarray(self.metadata["spec"][name], np.float32) for name in ("action_low", "action_high")
        )
        mean = mean[..., : len(low)]  # then come spreads, and a quadratic critic's peak
        return np.clip(low + 0.5 * (high - low) * (np.tanh(mean) + 1), low, high).astype(np.float32)


def flat(part, x):
    """An environment's own observation [..., *shape], or a dictionary or tuple of such, as [..., D]."""
    if "parts" in part:
        return np.concatenate([flat(inner, x[key]) for key, inner in part["parts"]], axis=-1)
    x = np.asarray(x)
    x = x.reshape((*x.shape[: x.ndim - len(part["shape"])], -1))
    if "sizes" not in part:  # float64 stays: an origin may have to be subtracted before it is cast
        return x if x.dtype == np.float64 else x.astype(np.float32)
    x = x - np.asarray(part["starts"])
    if not np.all((x >= 0) & (x < part["sizes"])):
        raise ValueError(f"obs: expected integers from {part['starts']}, so many of each: {part['sizes']}")
    hot = [x[..., i, None] == np.arange(n) for i, n in enumerate(part["sizes"])]
    return np.concatenate(hot, axis=-1).astype(np.float32)


def own_action(part, action):
    """Numbers [...] or vectors [..., A] of the network as the environment takes them."""
    if part is None:
        return action
    if "sizes" not in part:
        return action.reshape(action.shape[:-1] + tuple(part["shape"]))
    digits, number = [], action
    for n in reversed(part["sizes"]):
        digits.append(number % n)
        number = number // n
    own = np.stack(digits[::-1], axis=-1) + np.asarray(part["starts"], np.int32)
    return own.astype(np.int32).reshape(action.shape + tuple(part["shape"]))


def dense(x, layer, kernel, bias):
    """x [B, n] @ kernel [n, m] + bias [m]."""
    return x @ kernel + bias


def conv(x, layer, kernel, bias):
    """Convolution of [B, H, W, C] without padding; kernel [size, size, C, features], bias [features]."""
    size, stride = kernel.shape[0], layer["stride"]
    rows, columns = ((length - size) // stride * stride + 1 for length in x.shape[1:3])
    shifts = [(i, j) for i in range(size) for j in range(size)]
    parts = [x[:, i : i + rows : stride, j : j + columns : stride] for i, j in shifts]
    return np.concatenate(parts, axis=-1) @ kernel.reshape(-1, kernel.shape[-1]) + bias


def layer_norm(x, layer, scale, bias):
    """The last axis without its mean, by its deviation."""
    mean = x.mean(axis=-1, keepdims=True)
    variance = np.square(x - mean).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + np.float32(layer["epsilon"])) * scale + bias


def relu(x, layer):
    """max(x, 0)"""
    return np.maximum(x, 0)


def flatten(x, layer):
    """[B, ...] as [B, n]."""
    return x.reshape(len(x), -1)


def table(x, layer, values):
    """Rows of values [S, A] of states [B]."""
    return values[x]


LAYERS: dict = {
    "dense": dense,
    "conv": conv,
    "layer_norm": layer_norm,
    "relu": relu,
    "flatten": flatten,
    "table": table,
}


def load(path):
    """The deterministic policy of a file.

    Raises:
      ValueError: a foreign, damaged, changed or newer file, or a method that NumPy alone cannot play.
      OSError: no such file.
    """
    arrays, metadata = read(path)
    if metadata.get("network") is None:
        raise ValueError(
            f"{os.fspath(path)}: method '{metadata['config']['method']}' acts by more than layers that NumPy "
            "alone can play; load it where JAX is: iqlearn_jax.load_policy"
        )
    unknown = {layer["kind"] for layer in metadata["network"]["layers"]} - LAYERS.keys()
    if unknown:
        raise ValueError(f"{os.fspath(path)}: unknown layers {sorted(unknown)}; take a newer numpy_policy.py")
    return NumpyPolicy(arrays, metadata)


def read(path):
    """Arrays and metadata of a policy file whose digest is right. Raises as `load`."""
    try:
        arrays = read_arrays(path)
        metadata = json.loads(str(arrays.pop("metadata")[()]))
        kind, version = metadata["format"], metadata["schema_version"]
    except OSError:
        raise
    except Exception as error:  # foreign bytes can make zipfile and NumPy raise anything
        said = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise ValueError(
            f"{os.fspath(path)}: expected a policy file, found none, or a damaged one ({said})"
        ) from error
    if kind != FORMAT:
        raise ValueError(f"{os.fspath(path)}: expected '{FORMAT}', found '{kind}'")
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{os.fspath(path)}: schema version {version}; this reader knows {SCHEMA_VERSION}: take a newer"
        )
    if metadata.get("digest") != digest(arrays, metadata):
        raise ValueError(
            f"{os.fspath(path)}: its digest is wrong: the file changed after it was exported; export it again"
        )
    return arrays, metadata


def read_arrays(path):
    """Arrays of an npz file; of nothing but a file, and of none that unpacks to far more than it is."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError("a folder, pipe or device")
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        declared = sum(member.file_size for member in archive.zip.infolist())
        if declared > 256 * os.path.getsize(path) + 2**26:
            raise ValueError(f"{declared} bytes of arrays in a file of {os.path.getsize(path)}")
        return {name: archive[name] for name in archive.files}


def digest(arrays, metadata):
    """SHA-256 (hex) over name, dtype, shape and bytes of every array, and over the other metadata."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        sha.update(f"{name} {array.dtype.str} {array.shape};".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    rest = {name: value for name, value in metadata.items() if name != "digest"}
    sha.update(json.dumps(rest, sort_keys=True).encode())
    return sha.hexdigest()
