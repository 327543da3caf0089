"""Pure maths on arrays: every equation of the paper in one place. Imports only jax and chex."""
