"""Foreign demonstrations: a reader for each format."""
