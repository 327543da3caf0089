"""Environments behind one interface, on the device or on the host."""
