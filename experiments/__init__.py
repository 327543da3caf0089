"""The paper's tables and figures, and ours: compositions of configurations, no algorithms."""
