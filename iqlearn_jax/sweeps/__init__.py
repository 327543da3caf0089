"""Grids of settings on the same seeds."""
