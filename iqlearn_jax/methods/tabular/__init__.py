"""Methods that need an exact model."""
