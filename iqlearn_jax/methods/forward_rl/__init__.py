"""Forward RL on a given reward."""
