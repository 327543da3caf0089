"""Demonstrations: the file format, its checks, converters and the choice of what a run may see."""
