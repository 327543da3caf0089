"""Hopper-v5 of gymnasium: online, paper, offline, bc (see `presets.mujoco`)."""

from iqlearn_jax.presets import mujoco

CONFIGS = mujoco("Hopper-v5")
