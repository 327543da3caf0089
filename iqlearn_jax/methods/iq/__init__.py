"""Inverse soft-Q learning (Garg et al. 2021)."""
