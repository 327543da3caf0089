"""Pure maths on arrays: every equation of the paper in one place, without environments or training."""
