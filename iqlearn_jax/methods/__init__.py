"""Methods of imitation: a module for each, `METHODS` the only catalogue."""

from iqlearn_jax.config.schema import FEEDS, Key
from iqlearn_jax.errors import Catalogue
from iqlearn_jax.methods.catalogue import FORWARD_RL, METHODS, register_method
from iqlearn_jax.methods.make import check_keys, check_policy_keys, make_method
from iqlearn_jax.methods.method import DEMOS, Method, MethodEntry

__all__ = [
    "DEMOS",
    "FEEDS",
    "FORWARD_RL",
    "METHODS",
    "Catalogue",
    "Key",
    "Method",
    "MethodEntry",
    "check_keys",
    "check_policy_keys",
    "make_method",
    "register_method",
]  # fmt: skip
