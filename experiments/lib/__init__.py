"""What tables and studies share; imports neither."""
