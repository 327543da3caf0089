"""Ant-v5 of gymnasium: online, paper, offline, bc (see `presets.mujoco`)."""

from iqlearn_jax.presets import mujoco

CONFIGS = mujoco("Ant-v5", paper_term="mixture", paper_temperature=0.001)
