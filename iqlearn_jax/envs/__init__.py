"""Environments behind one interface: on the device (`make_env`) or on the host (`iqlearn_jax.envs.host`)."""

from iqlearn_jax import errors
from iqlearn_jax.envs.api import Environment
from iqlearn_jax.errors import InputError

BRAX_BACKENDS = ("spring", "positional", "generalized", "mjx")
DEVICE_BACKENDS = ("gymnax", "gridworld", *BRAX_BACKENDS)
HOST_BACKENDS = ("gymnasium",)


def is_host(backend: str) -> bool:
    """True where the environment is stepped by Python on the host, False where it is compiled.

    Raises:
      InputError: no such backend.
    """
    if backend not in DEVICE_BACKENDS + HOST_BACKENDS:
        raise errors.unknown("environment backend", backend, DEVICE_BACKENDS + HOST_BACKENDS)
    return backend in HOST_BACKENDS


def make_env(env_id: str, backend: str) -> Environment:
    """Makes an on-device environment; the same arguments give the same object, so jit compiles once.

    Args:
      env_id: a name of that backend: "CartPole-v1" (gymnax), "Gridworld-8x8" (gridworld), "hopper" (brax).
      backend: "gymnax", "gridworld", or a physics pipeline of brax: "spring", "positional",
        "generalized", "mjx".
    Raises:
      InputError: unknown name, a host backend (see `envs.host.HostEnvs`), or a package not installed.
    """
    if is_host(backend):
        raise InputError(f"backend '{backend}' steps on the host; make '{env_id}' with envs.host.HostEnvs")
    # Imported where needed: brax and gymnax take seconds to load, and gymnax is an extra.
    if backend == "gymnax":
        from iqlearn_jax.envs.gymnax import make_gymnax

        return make_gymnax(env_id)
    if backend == "gridworld":
        from iqlearn_jax.envs.gridworld import make_gridworld

        return make_gridworld(env_id)
    from iqlearn_jax.envs.brax import make_brax

    return make_brax(env_id, backend)
