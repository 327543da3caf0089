"""The folder of a run: its files, checkpoints, provenance and lock."""
