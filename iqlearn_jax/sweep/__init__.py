"""Runs as an array axis: what surrounds the compiled loop on the host."""
