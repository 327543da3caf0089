"""Inverse soft-Q learning (IQ-Learn) in JAX: a policy and its reward from demonstrations."""

__version__ = "0.1.0"
