"""Configurations: the table of keys, their checks, where they come from."""

from iqlearn_jax.config.values import base_config

__all__ = ["base_config"]
