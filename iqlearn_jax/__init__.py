"""Inverse soft-Q learning (IQ-Learn) in JAX: a policy and its reward from demonstrations."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from iqlearn_jax.config.schema import Key
    from iqlearn_jax.data.convert.convert import convert_demos
    from iqlearn_jax.data.demos import Demos, load_demos
    from iqlearn_jax.envs.api import Environment, Step
    from iqlearn_jax.envs.gymnax import from_gymnax
    from iqlearn_jax.envs.registry import register_env
    from iqlearn_jax.errors import InputError
    from iqlearn_jax.methods import Method, register_method
    from iqlearn_jax.ops.iq.divergences import Divergence, register_divergence
    from iqlearn_jax.ops.iq.objectives import iq_loss
    from iqlearn_jax.rewards import load_reward
    from iqlearn_jax.trained.alone import make_method
    from iqlearn_jax.trained.policy import load_policy
    from iqlearn_jax.trained.run import Run, load, train
    from iqlearn_jax.types import Batch, EnvSpec, Transition

# Imported when first asked for: `import iqlearn_jax` alone must not pay for JAX.
_PUBLIC = {
    "train": "trained.run", "load": "trained.run", "Run": "trained.run", "make_method": "trained.alone",
    "Demos": "data.demos", "load_demos": "data.demos", "convert_demos": "data.convert.convert",
    "load_policy": "trained.policy", "load_reward": "rewards",
    "register_env": "envs.registry", "from_gymnax": "envs.registry", "Environment": "envs.api",
    "Step": "envs.api",
    "register_method": "methods", "Method": "methods", "Key": "config.schema",
    "register_divergence": "ops.iq.divergences", "Divergence": "ops.iq.divergences",
    "iq_loss": "ops.iq.objectives",
    "Batch": "types", "Transition": "types", "EnvSpec": "types", "InputError": "errors",
}  # fmt: skip

__all__ = [
    "Batch", "Demos", "Divergence", "EnvSpec", "Environment", "InputError", "Key", "Method", "Run",
    "Step", "Transition",
    "convert_demos", "from_gymnax", "iq_loss", "load", "load_demos", "load_policy", "load_reward",
    "make_method", "register_divergence", "register_env", "register_method", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"iqlearn_jax has no attribute '{name}'; public are {', '.join(__all__)}")
    return getattr(import_module(f"iqlearn_jax.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
