"""Runs on devices: mapped over on one, spread over several, the same program either way."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from iqlearn_jax.errors import InputError


def vmap(function: Callable, in_axes: tuple[int | None, ...] | int = 0) -> Callable:
    """As `jax.vmap` over leading axes, but one entry alone goes through without an axis.

    XLA's plain products [m, k] x [k, n] are faster on the CPU than batches of one (docs/performance.md).

    Args:
      in_axes: 0 or None for each argument, or 0 for all.
    """

    def mapped(*args: Any) -> Any:
        axes = (in_axes,) * len(args) if isinstance(in_axes, int) else in_axes
        if _size(args, axes) > 1:
            return jax.vmap(function, axes)(*args)
        one = [arg if axis is None else _each(jnp.squeeze, arg) for arg, axis in zip(args, axes, strict=True)]
        return _each(jnp.expand_dims, function(*one))

    return mapped


def _size(args: tuple, axes: tuple) -> int:
    mapped = [arg for arg, axis in zip(args, axes, strict=True) if axis is not None]
    return jax.tree.leaves(mapped)[0].shape[0]


def _each(change: Callable, tree: Any) -> Any:
    return jax.tree.map(partial(change, axis=0), tree)


AXIS = "run"


class Placement(NamedTuple):
    """Where R runs lie.

    Attributes:
      runs: R, as asked for.
      slots: R' >= R, the leading axis of everything on the devices; what lies behind R repeats the last run.
      mesh: the devices, None for a single one.
    """

    runs: int
    slots: int
    mesh: Mesh | None

    def put(self, tree: Any) -> Any:
        """Arrays [R, ...] (or of more slots) as arrays [R', ...] over the devices."""

        return jax.tree.map(lambda x: jax.device_put(fit(x, self.runs, self.slots), self.sharding), tree)

    def put_shared(self, tree: Any) -> Any:
        """Arrays that all runs read, whole on every device."""
        if self.mesh is None:
            return tree
        sharding = NamedSharding(self.mesh, P())
        return jax.tree.map(lambda x: jax.device_put(np.asarray(x), sharding), tree)

    def get(self, tree: Any) -> Any:
        """NumPy arrays [R, ...] of arrays [R', ...], the same in every process."""
        if jax.process_count() > 1:
            tree = multihost_utils.process_allgather(tree, tiled=True)
        return jax.tree.map(lambda x: np.asarray(x)[: self.runs], tree)

    def one(self, tree: Any, run: int) -> Any:
        """One run's part of arrays [R', ...], in every process and there on one device."""
        if self.mesh is None:
            return jax.tree.map(lambda x: x[run], tree)
        cut = jax.jit(partial(_cut, run=run), out_shardings=NamedSharding(self.mesh, P()))
        return jax.tree.map(lambda x: x.addressable_data(0), cut(tree))

    @property
    def devices(self) -> int:
        """Number of devices that hold runs."""
        return 1 if self.mesh is None else self.mesh.size

    @property
    def map_runs(self) -> Callable:
        """As `vmap`, each device over its own runs."""
        return vmap if self.mesh is None else partial(_map_runs, self.mesh)

    @property
    def everywhere(self) -> jax.sharding.Sharding:
        """Of whole arrays: in the host's memory, or on every device where several processes share them."""
        if jax.process_count() == 1:
            return jax.sharding.SingleDeviceSharding(jax.local_devices(backend="cpu")[0])
        assert self.mesh is not None
        return NamedSharding(self.mesh, P())

    @property
    def sharding(self) -> jax.sharding.Sharding:
        """Of arrays [R', ...]."""
        if self.mesh is None:
            return jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        return NamedSharding(self.mesh, P(AXIS))


def place_runs(runs: int, host_env: bool = False) -> Placement:
    """Lays runs over all devices of all processes; fewer runs than devices leave devices idle.

    Args:
      host_env: the environment steps in Python; its runs stay on one device.
    Raises:
      InputError: several processes with an environment on the host.
    """
    devices = jax.devices()
    if host_env and jax.process_count() > 1:
        raise InputError(
            f"config.env.backend 'gymnasium' steps in Python, which {jax.process_count()} processes cannot "
            "share; start one process, or take an environment on the device (brax, gymnax)"
        )
    if host_env or len(devices) == 1:
        return Placement(runs, runs, None)
    if jax.process_count() == 1:
        devices = devices[:runs]
    return Placement(runs, -(-runs // len(devices)) * len(devices), Mesh(np.array(devices), (AXIS,)))


def fit(x: Any, runs: int, slots: int) -> Any:
    """The first R of an array's runs, padded to R' by repeating the last of them."""
    return x[np.minimum(np.arange(slots), runs - 1)]


def is_main() -> bool:
    """Whether this process writes the files; the others only compute."""
    return jax.process_index() == 0


def wait_for_all(where: str) -> None:
    """Returns when every process is here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(where)


def largest_of_all(number: int) -> int:
    """The largest of the processes' numbers (flags are 0 and 1); all must ask, and all get the same."""
    if jax.process_count() == 1:
        return number
    return int(np.max(multihost_utils.process_allgather(np.array(number))))


def _map_runs(mesh: Mesh, function: Callable, in_axes: tuple) -> Callable:
    specs = tuple(P() if axis is None else P(AXIS) for axis in in_axes)
    mapped = vmap(function, in_axes=in_axes)
    return jax.shard_map(mapped, mesh=mesh, in_specs=specs, out_specs=P(AXIS), check_vma=False)


def _cut(tree: Any, run: int) -> Any:
    return jax.tree.map(lambda x: x[run], tree)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_device_per_core() -> None:
    """Without an accelerator JAX shows each core as a device, and runs are spread over them.

    64 small runs on 2 cores go 1.7 times as fast as mapped over on one device (docs/performance.md). For
    programs of our own only, before JAX computes anything; JAX_NUM_CPU_DEVICES or XLA_FLAGS take precedence.
    """
    unset = jax.config.values["jax_num_cpu_devices"] == -1
    if unset and "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", cores())
