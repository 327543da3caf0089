"""What one can do with a run that has ended."""
