"""Runs on devices and hosts."""
