"""The divergence doctor: what has gone wrong in a run, by its metrics alone."""
