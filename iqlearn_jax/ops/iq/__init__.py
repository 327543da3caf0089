"""The mathematics of IQ-Learn on arrays."""
