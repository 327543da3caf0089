"""Configurations by file and name, e.g. "cartpole:offline"; installed as `iqlearn_jax.configs`."""
