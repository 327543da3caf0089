"""Distances between rewards that shaping does not change."""
