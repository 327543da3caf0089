"""A method by itself, for training loops of one's own."""

from typing import Any

from iqlearn_jax import methods
from iqlearn_jax.config.values import base_config, check, require
from iqlearn_jax.methods import Method
from iqlearn_jax.trained.settings import apply_settings, dotted, in_python
from iqlearn_jax.types import EnvSpec


@in_python
def make_method(
    name: str, spec: EnvSpec, *, networks: Any = None, optimizer: Any = None, **settings: Any
) -> Method:
    """A method as a record of pure functions, for training loops of one's own.

    Args:
      name: `iqlearn list methods`.
      spec: sizes and bounds of observations and actions.
      networks, optimizer: see `iqlearn_jax.methods.make_method`.
      settings: configuration keys that the method reads, dots as two underscores.
    Returns:
      `init`, `update`, `act`, `reward` (docs/own_method.md), and `hparams()`: its hyperparameters.
    Raises:
      InputError: an unknown method, or a setting that is unknown, out of range or not read by it; a method
        that rewards transitions as they are lived ("pwil").
    """
    config = base_config()
    apply_settings(config, name, settings)
    check(config)
    methods.check_policy_keys(config, dotted(settings), spec)
    method = methods.make_method(config, spec, networks, optimizer)
    require(
        method.labels is None,
        f"method '{name}' rewards transitions as they are lived, which only the library's own loops do; use "
        f"iqlearn_jax.train(..., method='{name}')",
    )
    return method
