"""Humanoid-v5 of gymnasium: online, paper, offline, bc (see `presets.mujoco`)."""

from iqlearn_jax.presets import mujoco

CONFIGS = mujoco("Humanoid-v5", paper_temperature=1.0)
