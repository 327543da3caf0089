"""Loops: what turns a method and its data into one compiled program."""
